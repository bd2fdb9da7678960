//! `cargo xtask test`: everything, on a machine that needs only Debian and Rust. `.ci/run` calls this.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::tally::Tally;
use crate::{e2e, images, leftovers, licences, packages};

/// Runs all checks; the last line says how many passed, failed and were skipped.
pub fn run() -> Result<()> {
    packages::ensure(packages::BUILD)?;
    packages::ensure(packages::TEST)?;
    let mut tally = Tally::default();
    step("format", &mut tally, |_| cargo(&["fmt", "--all", "--check"]).map(drop));
    step("licences", &mut tally, |_| licences::check());
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    step("clippy", &mut tally, |_| cargo(&clippy).map(drop));
    step("images", &mut tally, |_| images::build(images::DEFAULT_DIR.as_ref()));
    step("unit", &mut tally, unit);
    step("leftovers", &mut tally, |_| leftovers::run());
    step("e2e", &mut tally, |tally| {
        *tally += e2e::suites("")?;
        Ok(())
    });
    tally.close()
}

fn step(name: &str, tally: &mut Tally, work: impl FnOnce(&mut Tally) -> Result<()>) {
    println!("=== {name}");
    let begun = Instant::now();
    let outcome = work(tally).map_err(|error| format!("{error:#}"));
    let name = format!("{name} ({} s)", begun.elapsed().as_secs());
    tally.add(&name, outcome);
}

/// The unit tests of all crates; each counts.
fn unit(tally: &mut Tally) -> Result<()> {
    let said = cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"]);
    let text = match &said {
        Ok(text) => text.clone(),
        Err(error) => error.to_string(),
    };
    for line in text.lines().filter_map(|line| line.strip_prefix("test ")) {
        match line.rsplit_once(" ... ") {
            Some((_, "ok")) => tally.passed += 1,
            Some((name, "FAILED")) => tally.failed.push(name.into()),
            Some((name, outcome)) if outcome.starts_with("ignored") => tally.skipped.push(name.into()),
            _ => {}
        }
    }
    // A test that cannot run here says so in a line of its own, and passes.
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("skipped: ")) {
        tally.passed = tally.passed.saturating_sub(1);
        tally.skipped.push(line.into());
    }
    said.map(drop)
}

/// Runs cargo, shows and gives what it prints.
fn cargo(args: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo).args(args).stderr(Stdio::inherit()).output().context("cargo")?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    print!("{text}");
    if done.status.success() { Ok(text) } else { bail!("{text}\ncargo {}: {}", args.join(" "), done.status) }
}
