//! From nothing to a Ready node: `kybern up --wait` in an empty home, then `kybern delete`.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{Bench, Report};

const STARTS: usize = 5;
const NAME: &str = "bench";

pub fn run(args: &Bench) -> Result<Report> {
    let home = std::env::temp_dir().join(format!("kybern-bench-{}", std::process::id()));
    let kybern = |words: &[&str]| -> Result<()> {
        let mut command = Command::new("/proc/self/exe");
        command.args(words).env("KYBERN_HOME", &home).env("KUBECONFIG", home.join("kubeconfig"));
        let status = command.stdout(Stdio::null()).status().context("run kybern")?;
        if status.success() { Ok(()) } else { bail!("kybern {}: {status}", words.join(" ")) }
    };
    let mut times = Vec::new();
    for _ in 0..args.count.unwrap_or(STARTS) {
        std::fs::create_dir_all(&home)?;
        let begun = Instant::now();
        let up = kybern(&["up", "--name", NAME, "--api-port", "26443"]);
        times.push(begun.elapsed());
        kybern(&["delete", "--name", NAME])?;
        std::fs::remove_dir_all(&home)?;
        up?;
    }
    let mut report = Report::new("start");
    report.durations("kybern up until node Ready", &mut times);
    Ok(report)
}
