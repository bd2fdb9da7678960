//! The suites of controllers and scheduler in a simulated cluster: one test per heading, each in a cluster of its
//! own. The same files run on real containers by `cargo xtask e2e`.
//!
//! The harness is our own, because our kubectl writes to this process' standard output: one test at a time.

#![allow(clippy::unwrap_used)]

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sim::console::Console;
use suite::parse::Test;

const SUITES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../suites");
const PREFIXES: &[&str] = &["controllers-", "scheduler-"];
/// Another seed is another order of things; `KYBERN_SIM_SEED` sets it.
const SEED: u64 = 1;

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let seed = std::env::var("KYBERN_SIM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let (mut passed, mut failures) = (0, Vec::new());
    for (name, namespace, test) in tests() {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter)) {
            continue;
        }
        match run(seed, &namespace, &test) {
            Ok(()) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Err(why) => {
                println!("test {name} ... FAILED");
                failures.push((name, why));
            }
        }
    }
    if !failures.is_empty() {
        println!("\nfailures:\n");
        failures.iter().for_each(|(name, why)| println!("---- {name} ----\n{why}\n"));
    }
    let word = if failures.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {} failed; seed {seed}\n", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Name, namespace and steps of each test.
fn tests() -> Vec<(String, String, Test)> {
    let mut found = Vec::new();
    for file in files() {
        let suite = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let tests = suite::parse::parse(&text).unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
        for (at, test) in tests.into_iter().enumerate() {
            // Which kubectl runs it matters on real containers only.
            let heading = test.name.trim_end_matches("# once").trim_end();
            found.push((format!("{suite}: {heading}"), format!("{suite}-{at}"), test));
        }
    }
    found
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(SUITES)).unwrap().map(|entry| entry.unwrap());
    let ours = |name: &str| name.ends_with(".md") && PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let mut files: Vec<PathBuf> =
        entries.filter(|e| ours(&e.file_name().to_string_lossy())).map(|e| e.path()).collect();
    files.sort();
    files
}

/// In a thread of its own, which the simulation's clock and randomness belong to.
fn run(seed: u64, namespace: &str, test: &Test) -> Result<(), String> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let mut console = Console::open(runtime, seed, namespace).map_err(|error| format!("{error:#}"))?;
        suite::run::run(test, &mut console)
    };
    let guarded = || std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("it panicked".into()));
    std::thread::scope(|scope| scope.spawn(guarded).join().unwrap())
}
