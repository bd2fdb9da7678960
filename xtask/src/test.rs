//! `cargo xtask test`: everything, on a machine that needs only Debian and Rust. `.ci/run` calls this.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::tally::Tally;
use crate::{e2e, images, leftovers, licences, packages, trials};

/// Runs all checks; the last line says how many passed, failed and were skipped.
pub fn run() -> Result<()> {
    packages::ensure(packages::BUILD)?;
    packages::ensure(packages::TEST)?;
    let mut tally = Tally::default();
    step("format", &mut tally, |_| cargo(&["fmt", "--all", "--check"], |line| println!("{line}")));
    step("licences", &mut tally, |_| licences::check());
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    step("clippy", &mut tally, |_| cargo(&clippy, |line| println!("{line}")));
    step("images", &mut tally, |_| images::build(images::DEFAULT_DIR.as_ref()));
    step("unit", &mut tally, unit);
    step("leftovers", &mut tally, |_| leftovers::run());
    step("kills", &mut tally, |_| trials::run(&["kills", trials::KILLS]));
    step("lifecycle", &mut tally, |_| trials::run(&["lifecycle"]));
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

/// The unit tests of all crates; each counts. Only what failed or was skipped is shown: the log stays readable.
fn unit(tally: &mut Tally) -> Result<()> {
    let mut report = Report::default();
    let outcome = cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"], |line| {
        if let Some(shown) = report.hear(line) {
            println!("{shown}");
        }
    });
    // A test that cannot run here says so in a line of its own, and passes.
    tally.passed += report.passed.saturating_sub(report.skipped.len());
    tally.failed.append(&mut report.failed);
    tally.skipped.append(&mut report.skipped);
    outcome
}

/// What the test programs said so far.
#[derive(Default)]
struct Report {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
    /// Within the part of a program's output that shows its failed tests.
    failures: bool,
}

impl Report {
    /// Takes the next line; gives it back if it is worth showing.
    fn hear<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|test| test.rsplit_once(" ... ")) {
            match outcome {
                "ok" => self.passed += 1,
                "FAILED" => self.failed.push(name.into()),
                _ => self.skipped.push(name.into()),
            }
            return (outcome != "ok").then_some(line);
        }
        if let Some(why) = line.trim().strip_prefix("skipped: ") {
            self.skipped.push(why.into());
            return Some(line);
        }
        match line {
            "failures:" => self.failures = true,
            "successes:" => self.failures = false,
            _ if line.starts_with("test result: ") => {
                self.failures = false;
                return Some(line);
            }
            _ => {}
        }
        self.failures.then_some(line)
    }
}

/// Runs cargo; each line that it prints is heard.
fn cargo(args: &[&str], mut hear: impl FnMut(&str)) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(cargo).args(args).stdout(Stdio::piped()).spawn().context("cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    // Test programs may print what is not UTF-8.
    for line in BufReader::new(output).split(b'\n') {
        hear(&String::from_utf8_lossy(&line?));
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { bail!("cargo {}: {status}", args.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn only_failures_and_skips_are_shown() {
        let said = "test a ... ok\ntest b ... FAILED\ntest c ... ignored, slow\n\nsuccesses:\n\n---- a stdout ----\nhello\n\
                    skipped: a: no kernel module\n\nfailures:\n\n---- b stdout ----\nwhy\n\nfailures:\n    b\n\n\
                    test result: FAILED. 1 passed; 1 failed\n";
        let mut report = Report::default();
        let shown: Vec<&str> =
            said.lines().filter_map(|line| report.hear(line)).filter(|line| !line.is_empty()).collect();
        assert_eq!((report.passed, report.failed, report.skipped.len()), (1, vec!["b".to_owned()], 2));
        assert_eq!(shown[..3], ["test b ... FAILED", "test c ... ignored, slow", "skipped: a: no kernel module"]);
        assert_eq!(
            shown[3..],
            ["failures:", "---- b stdout ----", "why", "failures:", "    b", "test result: FAILED. 1 passed; 1 failed"]
        );
    }
}
