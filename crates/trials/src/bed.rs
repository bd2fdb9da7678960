//! A cluster of a trial's own, under a home of its own.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use client::Client;
use client::https::Https;
use cluster::home::Home;

/// Where `cargo xtask images` puts the test images.
const IMAGES: &str = "KYBERN_TRIAL_IMAGES";

/// One cluster and its folders.
#[derive(Clone)]
pub struct Bed {
    binary: PathBuf,
    root: PathBuf,
    pub home: Home,
}

impl Bed {
    fn new(binary: PathBuf, name: &str) -> Result<Self> {
        let root = std::env::temp_dir().join(format!("kybern-check-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
        let home = Home::new(name, Some(&root));
        Ok(Self { binary, root, home })
    }

    /// Another cluster beside this one, under the same root.
    pub fn beside(&self, name: &str) -> Self {
        Self { home: Home::new(name, Some(&self.root)), ..self.clone() }
    }

    /// Runs `kybern WORDS --name NAME`; what it said is in the error.
    pub fn kybern(&self, words: &[&str]) -> Result<String> {
        let done = self.command(words).output().context("run kybern")?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            return Ok(said);
        }
        bail!("kybern {}: {}\n{said}{}", words.join(" "), ended(done.status), String::from_utf8_lossy(&done.stderr))
    }

    /// `kybern WORDS --name NAME`, not run yet.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).args(["--name", &self.home.name]).stdin(Stdio::null());
        command.env("KYBERN_HOME", &self.root).env("KUBECONFIG", self.kubeconfig());
        command
    }

    fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// Loads a test image: `nginx`.
    pub fn load(&self, image: &str) -> Result<()> {
        let images = std::env::var_os(IMAGES).with_context(|| format!("{IMAGES} is not set"))?;
        let file = Path::new(&images).join(format!("{image}.tar"));
        self.kybern(&["image", "load", &file.to_string_lossy()]).map(drop)
    }

    /// The administrator over HTTPS, on a connection of its own.
    pub async fn https(&self) -> Result<Https> {
        Ok(Https::new(client::kubeconfig::load_file(&self.home.kubeconfig()).await?)?)
    }

    pub async fn client(&self) -> Result<Client> {
        Ok(self.https().await?.client())
    }

    /// Deletes the cluster; nothing of it may be left in its folders.
    pub fn delete(&self) -> Result<()> {
        self.kybern(&["delete"])?;
        match self.home.folders().into_iter().find(|folder| folder.exists()) {
            Some(left) => bail!("kybern delete left {}", left.display()),
            None => Ok(()),
        }
    }

    /// Runs `check` with a bed, and removes its clusters and folders however it went. After a failure the servers' last
    /// words are shown.
    pub async fn with(binary: PathBuf, name: &str, check: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let bed = Self::new(binary, name)?;
        let outcome = check(&bed).await;
        let mut clusters = vec![bed.home.clone()];
        clusters.extend(bed.home.siblings()?);
        for home in clusters {
            let cluster = Self { home, ..bed.clone() };
            if outcome.is_err() {
                cluster.show_log();
            }
            cluster.delete()?;
        }
        std::fs::remove_dir_all(&bed.root).with_context(|| format!("remove {}", bed.root.display()))?;
        outcome
    }

    fn show_log(&self) {
        const LINES: usize = 60;
        println!("--- the last words of the server of {:?}", self.home.name);
        let log = std::fs::read_to_string(self.home.server_log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].iter().for_each(|line| println!("{line}"));
    }
}

fn ended(status: std::process::ExitStatus) -> String {
    status.signal().map_or_else(|| status.to_string(), |signal| format!("killed by signal {signal}"))
}
