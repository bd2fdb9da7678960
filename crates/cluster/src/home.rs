//! Where a cluster keeps its things.
//!
//! Data is in `/var/lib/kybern/NAME`, run files in `/run/kybern/NAME`; `KYBERN_HOME` moves both under one folder.

use std::path::{Path, PathBuf};

/// The cluster that commands mean without `--name`.
pub const DEFAULT_NAME: &str = "kybern";
/// The variable that moves all folders.
pub const ROOT: &str = "KYBERN_HOME";
/// What the kernel takes as the path of a Unix socket, without its end.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The folders of one cluster.
#[derive(Clone, Debug)]
pub struct Home {
    pub name: String,
    /// `KYBERN_HOME`, if set.
    pub root: Option<PathBuf>,
    pub data: PathBuf,
    pub run: PathBuf,
    /// Logs of pods, with upstream's layout below: `pods/`, `containers/`.
    pub logs: PathBuf,
}

impl Home {
    /// The home of the cluster `name`; `root` is the value of `KYBERN_HOME`, if set.
    pub fn new(name: &str, root: Option<&Path>) -> Self {
        let kept = root.map(Path::to_owned);
        let (data, run, logs) = match root {
            Some(root) => (root.join("lib"), root.join("run"), root.join("log")),
            None => ("/var/lib/kybern".into(), "/run/kybern".into(), "/var/log/kybern".into()),
        };
        Self { name: name.into(), root: kept, data: data.join(name), run: run.join(name), logs: logs.join(name) }
    }

    /// From this process' environment.
    pub fn of(name: &str) -> Self {
        let root = std::env::var_os(ROOT).filter(|v| !v.is_empty()).map(|root| absolute(root.into()));
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
                found.push(Self { name, root: self.root.clone(), data, run, logs });
            }
        }
        Ok(found)
    }

    /// The flag that chooses this cluster, for commands that people are told to type: nothing for the default one.
    pub fn flag(&self) -> String {
        if self.name == DEFAULT_NAME { String::new() } else { format!(" --name {}", self.name) }
    }

    /// # Errors
    /// The folders' paths are too long for the sockets in them.
    pub fn check_length(&self) -> anyhow::Result<()> {
        let socket = self.runtime_socket();
        let length = socket.as_os_str().len();
        if length > SOCKET_PATH_BYTES_MAX {
            anyhow::bail!(
                "the path of the socket {} has {length} bytes, and the kernel takes {SOCKET_PATH_BYTES_MAX} at most: \
                 choose a shorter KYBERN_HOME or --name",
                socket.display()
            );
        }
        Ok(())
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

/// The path from the root folder; as it is, where the working folder is gone.
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("x/y".into()), here.join("x/y"));
        assert_eq!(absolute("/x/y".into()), Path::new("/x/y"));
    }

    #[test]
    fn a_home_too_long_for_sockets_is_refused() {
        let of = |length: usize| Home::new("c", Some(Path::new(&format!("/{}", "x".repeat(length - 1)))));
        let rest = "/run/c/runtime.sock".len();
        of(SOCKET_PATH_BYTES_MAX - rest).check_length().unwrap();
        let refused = of(SOCKET_PATH_BYTES_MAX - rest + 1).check_length().unwrap_err().to_string();
        assert!(refused.contains("choose a shorter KYBERN_HOME"), "{refused}");
    }

    #[test]
    fn hints_name_clusters_other_than_the_default_one() {
        assert_eq!(Home::new("kybern", None).flag(), "");
        assert_eq!(Home::new("x", None).flag(), " --name x");
    }
}
