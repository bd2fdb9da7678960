//! What the store remembers of an image: one JSON file each. Not here: reading and writing the files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// How an image wants to be run. The same field names as in the OCI image spec's `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RunConfig {
    pub user: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub cmd: Vec<String>,
    pub working_dir: String,
    pub stop_signal: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub volumes: BTreeMap<String, Value>,
}

/// Go writes an absent list as `null`.
fn null_is_empty<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> std::result::Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// One image: content (id, layers, configuration) and the names by which it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:` of the image's configuration.
    pub id: String,
    /// Normalised `name:tag`.
    pub tags: Vec<String>,
    /// `name@sha256:…` of the manifest.
    pub digests: Vec<String>,
    /// Names of the folders below `layers`, lowest first.
    pub layers: Vec<String>,
    pub size_bytes: u64,
    pub config: RunConfig,
    /// Tags that came from an archive: they answer pulls without asking a registry.
    #[serde(default)]
    pub loaded: Vec<String>,
    /// Never collected as garbage.
    #[serde(default)]
    pub pinned: bool,
}

/// What an image's configuration file says.
pub(crate) struct Parsed {
    pub config: RunConfig,
    pub diff_ids: Vec<String>,
}

/// Reads an image's configuration. Images for another system are refused.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed> {
    let wrong = |problem: &dyn std::fmt::Display| Error::Invalid(format!("invalid image configuration: {problem}"));
    let tree: Value = serde_json::from_slice(bytes).map_err(|problem| wrong(&problem))?;
    let system = (tree["os"].as_str().unwrap_or("linux"), tree["architecture"].as_str().unwrap_or("amd64"));
    if system != ("linux", "amd64") {
        return Err(wrong(&format_args!("it is for {}/{}, this machine is linux/amd64", system.0, system.1)));
    }
    let config = match &tree["config"] {
        Value::Null => RunConfig::default(),
        config => serde_json::from_value(config.clone()).map_err(|problem| wrong(&problem))?,
    };
    let ids = tree["rootfs"]["diff_ids"].as_array().ok_or_else(|| wrong(&"no rootfs.diff_ids"))?;
    let diff_ids = ids.iter().map(|id| id.as_str().unwrap_or_default().to_string()).collect::<Vec<_>>();
    match diff_ids.iter().find(|id| !crate::reference::is_digest(id)) {
        Some(id) => Err(wrong(&format_args!("{id:?} is not a digest"))),
        None => Ok(Parsed { config, diff_ids }),
    }
}
