//! Where a cluster keeps its things.
//!
//! Data is in `/var/lib/kybern/NAME`, run files in `/run/kybern/NAME`; `KYBERN_HOME` moves both under one folder.

use std::path::{Path, PathBuf};

/// The folders of one cluster.
#[derive(Clone, Debug)]
pub struct Home {
    pub name: String,
    pub data: PathBuf,
    pub run: PathBuf,
    /// Logs of pods, with upstream's layout below: `pods/`, `containers/`.
    pub logs: PathBuf,
}

impl Home {
    /// The home of the cluster `name`; `root` is the value of `KYBERN_HOME`, if set.
    pub fn new(name: &str, root: Option<&Path>) -> Self {
        let (data, run, logs) = match root {
            Some(root) => (root.join("lib"), root.join("run"), root.join("log")),
            None => ("/var/lib/kybern".into(), "/run/kybern".into(), "/var/log/kybern".into()),
        };
        Self { name: name.into(), data: data.join(name), run: run.join(name), logs: logs.join(name) }
    }

    /// From this process' environment.
    pub fn of(name: &str) -> Self {
        let root = std::env::var_os("KYBERN_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
        Self::new(name, root.as_deref())
    }

    /// The other clusters of the same root that were brought up and not down.
    ///
    /// # Errors
    /// The folder of all run files cannot be read.
    pub fn siblings(&self) -> std::io::Result<Vec<Self>> {
        let Some(all) = self.run.parent() else { return Ok(Vec::new()) };
        let entries = match std::fs::read_dir(all) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != self.name {
                let beside = |own: &Path| own.with_file_name(&name);
                let (data, run, logs) = (beside(&self.data), beside(&self.run), beside(&self.logs));
                found.push(Self { name, data, run, logs });
            }
        }
        Ok(found)
    }

    pub fn settings(&self) -> PathBuf {
        self.data.join("settings.json")
    }

    /// The administrator's kubeconfig, written by the server.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("admin.kubeconfig")
    }

    /// What the server says of its start, a JSON line per step.
    pub fn progress(&self) -> PathBuf {
        self.run.join("progress")
    }

    /// Locked by who keeps the cluster running, while it lives; holds its process id.
    pub fn supervisor(&self) -> PathBuf {
        self.run.join("supervisor")
    }

    pub fn server_log(&self) -> PathBuf {
        self.logs.join("server.log")
    }

    pub fn runtime_socket(&self) -> PathBuf {
        self.run.join("runtime.sock")
    }

    /// The cgroup of all processes of the cluster, and the nftables table.
    pub fn kernel_name(&self) -> String {
        format!("kybern-{}", self.name)
    }

    /// Folders that deletion removes, that of the run files last.
    pub fn folders(&self) -> [&Path; 3] {
        [&self.logs, &self.data, &self.run]
    }
}
