//! Running other programs: what was run is in every error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command line and gives its standard output; a failure carries the command and its standard error.
pub fn output(program: &str, args: &[&str], dir: &Path) -> Result<String> {
    let line = format!("{program} {}", args.join(" "));
    let done = Command::new(program).args(args).current_dir(dir).output().with_context(|| line.clone())?;
    if !done.status.success() {
        bail!("{line}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a command line with this program's own output.
pub fn run(program: &str, args: &[&str]) -> Result<()> {
    let line = format!("{program} {}", args.join(" "));
    println!("$ {line}");
    let status = Command::new(program).args(args).stdin(Stdio::null()).status().with_context(|| line.clone())?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// This program, also when cargo has built it anew and the file that it was started from is gone.
pub fn this_program() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}
