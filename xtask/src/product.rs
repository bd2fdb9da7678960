//! The workspace's executables: built, and where they are.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Builds the release binary and gives its path.
pub fn build() -> Result<PathBuf> {
    executable(&["--release", "--package", "kybern"])
}

/// Builds what `cargo build WHAT` does and gives the path of its executable.
pub fn executable(what: &[&str]) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--locked", "--message-format", "json-render-diagnostics"])
        .args(what)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo build")?;
    if !built.status.success() {
        bail!("cargo build {}: {}", what.join(" "), built.status);
    }
    let lines = String::from_utf8_lossy(&built.stdout).into_owned();
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next_back().context("cargo names no executable")
}
