//! Runs the program `trials` against the release binary, in network and mount namespaces of its own.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{images, packages, product};

/// How often servers are killed where nobody says.
pub const KILLS: &str = "100";

pub fn run(words: &[&str]) -> Result<()> {
    packages::ensure(packages::BUILD)?;
    packages::ensure(packages::TEST)?;
    images::build(images::DEFAULT_DIR.as_ref())?;
    let (binary, trials) = (product::build()?, product::executable(&["--package", "trials"])?);
    // The namespaces go when the last process in them does.
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(&trials)
        .args(words)
        .env("KYBERN_TRIAL_BINARY", &binary)
        .env("KYBERN_TRIAL_IMAGES", images::DEFAULT_DIR)
        .stdin(Stdio::null())
        .status()
        .context("unshare")?;
    if status.success() { Ok(()) } else { bail!("trials {}: {status}", words.join(" ")) }
}
