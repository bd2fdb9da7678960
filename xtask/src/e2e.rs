//! The Markdown suites on a real cluster with real containers, in namespaces that are made for them and go with them.
//!
//! ```text
//!   suites × kubectls ──▶ jobs ──▶ a few threads, each test in a Kubernetes namespace of its own ──▶ tally
//! ```
//! A heading that ends in `# once` is a test that does not depend on the client: it runs with our own kubectl only,
//! as do the suites of controllers and scheduler, which are simulated too.

mod cluster;
mod shell;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use suite::parse::Test;

use crate::shell::this_program;
use crate::tally::Tally;
use crate::{images, packages, product};
use cluster::Cluster;
use shell::Shell;

const SUITES: &str = "suites";
/// Set in the inner process, which is in the namespaces; holds the kubectl programs to test with, `:` between.
const INSIDE: &str = "KYBERN_E2E_KUBECTLS";
const BINARY: &str = "KYBERN_E2E_BINARY";
const ONCE: &str = "# once";
/// Beginnings of the names of suites that do not depend on the client.
const ONCE_SUITES: [&str; 2] = ["controllers-", "scheduler-"];
/// Tests side by side: most of the time a test waits for a probe, a back-off or a grace period.
const AT_ONCE_TESTS: usize = 6;

/// Runs the suites that match and closes with their sums.
pub fn run(filter: &str) -> Result<()> {
    suites(filter)?.close()
}

/// Runs the suites that match, with every upstream kubectl at hand and our own.
pub fn suites(filter: &str) -> Result<Tally> {
    if std::env::var_os(INSIDE).is_some() {
        return inside(filter);
    }
    packages::ensure(packages::TEST)?;
    images::build(images::DEFAULT_DIR.as_ref())?;
    let binary = product::build()?;
    let mut kubectls = vec![packages::kubectl()?];
    kubectls.extend(on_path("kubectl"));
    let report = std::env::temp_dir().join(format!("kybern-e2e-{}", std::process::id()));
    // The namespaces go when the last process in them does.
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .arg(this_program())
        .args(["e2e", filter])
        .env(INSIDE, std::env::join_paths(&kubectls)?)
        .env(BINARY, &binary)
        .env("KYBERN_E2E_REPORT", &report)
        .stdin(Stdio::null())
        .status()
        .context("unshare")?;
    let text = fs::read_to_string(&report).with_context(|| format!("the end-to-end run ended early: {status}"))?;
    fs::remove_file(&report)?;
    let mut tally = Tally::default();
    if kubectls.len() == 1 {
        tally.skip("suites with a newer upstream kubectl", "none on the PATH");
    }
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("passed", _)) => tally.passed += 1,
            Some(("failed", name)) => tally.failed.push(name.into()),
            Some(("skipped", name)) => tally.skipped.push(name.into()),
            _ => {}
        }
    }
    Ok(tally)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// In the namespaces: one cluster for all suites.
fn inside(filter: &str) -> Result<Tally> {
    crate::shell::output("ip", &["link", "set", "lo", "up"], Path::new("/"))?;
    let binary = PathBuf::from(std::env::var_os(BINARY).context("no binary")?);
    let home = std::env::temp_dir().join(format!("kybern-e2e-home-{}", std::process::id()));
    fs::create_dir_all(&home)?;
    let cluster = Cluster::new(binary, home);
    cluster.up()?;
    let mut kubectls: Vec<PathBuf> = std::env::split_paths(&std::env::var_os(INSIDE).context("inside")?).collect();
    kubectls.push(cluster.link_kubectl()?);
    let jobs = jobs(&kubectls, filter)?;
    let mut tally = work(&cluster, &jobs);
    if !tally.failed.is_empty() {
        println!("the server's complaints:\n{}", cluster.complaints());
    }
    tally.add("kybern delete", cluster.delete().map_err(|error| format!("{error:#}")));
    report(&tally)?;
    Ok(tally)
}

/// A test with one kubectl.
struct Job<'a> {
    name: String,
    namespace: String,
    test: Test,
    kubectl: &'a Path,
}

fn jobs<'a>(kubectls: &'a [PathBuf], filter: &str) -> Result<Vec<Job<'a>>> {
    let mut jobs = Vec::new();
    for file in files()? {
        let suite = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let tests = suite::parse::parse(&fs::read_to_string(&file)?).with_context(|| file.display().to_string())?;
        for (at, test) in tests.into_iter().enumerate().filter(|(_, test)| !test.only_in_sim) {
            let heading = test.name.trim_end_matches(ONCE).trim_end();
            let is_once = test.name.ends_with(ONCE) || ONCE_SUITES.iter().any(|start| suite.starts_with(start));
            let others = if is_once { kubectls.len().saturating_sub(1) } else { 0 };
            for (number, kubectl) in kubectls.iter().enumerate().skip(others) {
                let name = format!("{suite}: {heading} ({})", kubectl.display());
                if name.contains(filter) {
                    let namespace = format!("{suite}-{at}-{number}");
                    jobs.push(Job { name, namespace, test: test.clone(), kubectl });
                }
            }
        }
    }
    Ok(jobs)
}

fn files() -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(SUITES)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    Ok(files)
}

/// All jobs, a few at once.
fn work(cluster: &Cluster, jobs: &[Job]) -> Tally {
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE_TESTS.min(jobs.len()) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let outcome = one(cluster, job);
                    let name = format!("{} {} s", job.name, begun.elapsed().as_secs());
                    tally.lock().unwrap_or_else(PoisonError::into_inner).add(&name, outcome);
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one(cluster: &Cluster, job: &Job) -> Result<(), String> {
    let told = |error: anyhow::Error| format!("{error:#}");
    let mut world = Shell::new(cluster, job.kubectl, &job.namespace).map_err(told)?;
    let outcome = suite::run::run(&job.test, &mut world).map_err(|why| format!("{why}{}", world.events()));
    world.end().map_err(told).and(outcome)
}

fn report(tally: &Tally) -> Result<()> {
    let Some(path) = std::env::var_os("KYBERN_E2E_REPORT") else { return Ok(()) };
    let mut text = "passed x\n".repeat(tally.passed);
    tally.failed.iter().for_each(|name| text.push_str(&format!("failed {name}\n")));
    tally.skipped.iter().for_each(|name| text.push_str(&format!("skipped {name}\n")));
    fs::write(path, text).context("write the report")
}
