//! What a cluster must bear, on real containers: `trials kills N`, `lifecycle` and `start`. Development only.
//!
//! `cargo xtask` builds this program and the one under trial and runs it in network and mount namespaces that go when it
//! ends; xtask itself stays small, because on a fresh machine it is what installs the libraries that this one needs.

mod bed;
mod kills;
mod lifecycle;
mod pods;
mod start;
mod strangers;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The executable under trial.
const BINARY: &str = "KYBERN_TRIAL_BINARY";

#[tokio::main]
async fn main() -> Result<()> {
    let binary =
        PathBuf::from(std::env::var_os(BINARY).with_context(|| format!("{BINARY} is not set: cargo xtask sets it"))?);
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["kills", count] => kills::run(binary, count.parse().context("how many kills")?).await,
        ["lifecycle"] => {
            lifecycle::run(binary.clone()).await?;
            strangers::run(binary).await
        }
        ["start"] => start::run(binary).await,
        _ => bail!("usage: trials kills N|lifecycle|start"),
    }
}
