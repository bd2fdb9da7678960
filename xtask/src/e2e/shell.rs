//! One test's shell: a Kubernetes namespace and a folder of its own, the kubectl under test first on the path.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use suite::run::World;

use super::cluster::Cluster;

/// A command line that has not ended by then is killed, with all that it started.
const COMMAND_SECONDS_MAX: &str = "150";

pub struct Shell {
    namespace: String,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
}

impl Shell {
    pub fn new(cluster: &Cluster, kubectl: &Path, namespace: &str) -> Result<Self> {
        let folder = cluster.home.join("tests").join(namespace);
        fs::create_dir_all(&folder)?;
        // Under another name than `kubectl` our own executable would not know what it is called as.
        std::os::unix::fs::symlink(kubectl, folder.join("kubectl"))?;
        let config = folder.join("config");
        fs::write(&config, cluster.config_for(namespace)?)?;
        let binaries = cluster.binary.parent().map(|p| p.display().to_string()).unwrap_or_default();
        let path = std::env::var("PATH").unwrap_or_default();
        let environment = vec![
            ("PATH", format!("{}:{binaries}:{path}", folder.display())),
            ("KUBECONFIG", config.display().to_string()),
            ("KYBERN_HOME", cluster.home.display().to_string()),
            ("NAMESPACE", namespace.to_owned()),
            ("HOME", folder.display().to_string()),
            ("TERM", "xterm".to_owned()),
        ];
        let mut shell = Self { namespace: namespace.into(), environment, folder };
        let said = shell.run(&format!("kubectl create namespace {namespace}"), "");
        if said.contains("[exit ") { bail!("{said}") } else { Ok(shell) }
    }

    /// What happened in the namespace, for the report of a failed test.
    pub fn events(&mut self) -> String {
        self.run("echo events:; kubectl get events --sort-by=.metadata.creationTimestamp", "")
    }

    pub fn end(mut self) -> Result<()> {
        let line = format!("kubectl delete namespace {} --wait=false", self.namespace);
        let said = self.run(&line, "");
        fs::remove_dir_all(&self.folder)?;
        if said.contains("[exit ") { bail!("{said}") } else { Ok(()) }
    }
}

impl World for Shell {
    fn run(&mut self, line: &str, input: &str) -> String {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", COMMAND_SECONDS_MAX, "sh", "-c", &format!("exec 2>&1; {line}")]);
        command.envs(self.environment.iter().cloned()).current_dir(&self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let done = command.spawn().and_then(|mut child| {
            if let Some(mut stdin) = child.stdin.take() {
                // A command that does not read its input is none the worse for it.
                let _ = stdin.write_all(input.as_bytes());
            }
            child.wait_with_output()
        });
        match done {
            Ok(done) if done.status.success() => String::from_utf8_lossy(&done.stdout).into_owned(),
            Ok(done) => {
                let code = done.status.code().unwrap_or(-1);
                format!("{}[exit {code}]\n", String::from_utf8_lossy(&done.stdout))
            }
            Err(error) => format!("{error}\n[exit -1]\n"),
        }
    }
}
