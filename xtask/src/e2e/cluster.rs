//! The cluster that the suites run on: brought up with all test images, deleted at the end.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::images;

const COMPLAINTS_MAX: usize = 40;

pub struct Cluster {
    pub binary: PathBuf,
    pub home: PathBuf,
    /// Cgroups are the machine's: a name of its own keeps this run apart from others.
    name: String,
}

impl Cluster {
    pub fn new(binary: PathBuf, home: PathBuf) -> Self {
        Self { binary, home, name: format!("e2e-{}", std::process::id()) }
    }

    fn kybern(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.binary);
        let status = command.args(args).env("KYBERN_HOME", &self.home).env("KUBECONFIG", self.kubeconfig()).status()?;
        if status.success() { Ok(()) } else { bail!("kybern {}: {status}", args.join(" ")) }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }

    pub fn up(&self) -> Result<()> {
        self.kybern(&["up", "--name", &self.name])?;
        for entry in fs::read_dir(images::DEFAULT_DIR)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tar") {
                self.kybern(&["image", "load", "--name", &self.name, &path.to_string_lossy()])?;
            }
        }
        Ok(())
    }

    /// Our own kubectl is the same executable under another name.
    pub fn link_kubectl(&self) -> Result<PathBuf> {
        let folder = self.home.join("bin");
        fs::create_dir_all(&folder)?;
        std::os::unix::fs::symlink(&self.binary, folder.join("kubectl"))?;
        Ok(folder.join("kubectl"))
    }

    /// The text of a kubeconfig whose one context has this namespace.
    pub fn config_for(&self, namespace: &str) -> Result<String> {
        let config = fs::read_to_string(self.kubeconfig())?;
        let name = &self.name;
        let context = format!("    cluster: kybern-{name}\n    user: kybern-{name}\n");
        if !config.contains(&context) {
            bail!("the kubeconfig has no context of the cluster:\n{config}");
        }
        Ok(config.replace(&context, &format!("{context}    namespace: {namespace}\n")))
    }

    /// The last complaints of the server, for the report of a failed run.
    pub fn complaints(&self) -> String {
        let log = self.home.join("log").join(&self.name).join("server.log");
        let text = fs::read_to_string(&log).unwrap_or_else(|error| format!("{}: {error}", log.display()));
        let is_complaint = |line: &&str| ["ERROR", "WARN", "panicked"].iter().any(|word| line.contains(word));
        let complaints: Vec<&str> = text.lines().filter(is_complaint).collect();
        complaints[complaints.len().saturating_sub(COMPLAINTS_MAX)..].join("\n")
    }

    pub fn delete(&self) -> Result<()> {
        self.kybern(&["delete", "--name", &self.name])?;
        for left in ["lib", "run", "log"] {
            if self.home.join(left).exists() {
                bail!("kybern delete left {}", self.home.join(left).display());
            }
        }
        fs::remove_dir_all(&self.home).context("remove the home of the cluster")
    }
}
