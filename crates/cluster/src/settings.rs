//! What was chosen at the first `kybern up`, kept with the data: later starts use the same.

use std::fs;
use std::io;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::home::Home;

const NAME_BYTES_MAX: usize = 32;

/// The settings of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    pub api_port: u16,
    pub pod_cidr: String,
    pub service_cidr: String,
    pub dns_address: Ipv4Addr,
    pub domain: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_port: 6443,
            pod_cidr: "10.244.0.0/16".into(),
            service_cidr: "10.96.0.0/16".into(),
            dns_address: Ipv4Addr::new(10, 96, 0, 10),
            domain: "cluster.local".into(),
        }
    }
}

impl Settings {
    /// The settings of an existing cluster, or `None` when there is none.
    pub fn load(home: &Home) -> Result<Option<Self>> {
        let path = home.settings();
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    pub fn save(&self, home: &Home) -> Result<()> {
        fs::create_dir_all(&home.data).with_context(|| format!("create {}", home.data.display()))?;
        let staged = home.data.join("settings.new");
        fs::write(&staged, serde_json::to_vec_pretty(self)?).with_context(|| format!("write {}", staged.display()))?;
        fs::rename(&staged, home.settings()).with_context(|| format!("rename {}", staged.display()))
    }
}

/// Refuses names that cannot name links, cgroups and contexts.
pub fn check_name(name: &str) -> Result<()> {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let edges = !name.starts_with('-') && !name.ends_with('-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !letters || !edges {
        bail!(
            "{name:?} cannot name a cluster: use at most {NAME_BYTES_MAX} lower case letters, digits and '-', \
             starting and ending with a letter or digit"
        );
    }
    Ok(())
}
