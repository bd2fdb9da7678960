//! What the cluster's processes use: the sum of RSS over a cgroup's processes, and the cgroup's CPU seconds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{Bench, Report};

const IDLE_SECONDS: u64 = 60;
const PAGE_BYTES: f64 = 4096.0;

/// Memory now, and CPU over a minute.
pub async fn idle(args: &Bench) -> Result<Report> {
    let seconds = args.count.map_or(IDLE_SECONDS, |count| count as u64);
    let before = cpu_seconds(&args.cgroup)?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = cpu_seconds(&args.cgroup)? - before;
    let mut report = Report::new("idle");
    let processes = processes(&args.cgroup)?;
    report.figure("processes", processes.len() as f64, "");
    report.figure(
        "memory (sum of RSS)",
        processes.iter().map(|p| rss_bytes(*p)).sum::<f64>() / (1 << 20) as f64,
        "MiB",
    );
    report.figure("cpu", used / seconds as f64 * 100.0, "% of a core");
    Ok(report)
}

/// Adds memory and the CPU seconds since `before` when the cgroup is on this machine.
pub fn add(report: &mut Report, cgroup: &str, before: Option<f64>) {
    let (Some(before), Ok(now)) = (before, cpu_seconds(cgroup)) else { return };
    report.figure("server cpu", now - before, "s");
    if let Ok(processes) = processes(cgroup) {
        let bytes: f64 = processes.iter().map(|p| rss_bytes(*p)).sum();
        report.figure("server memory (sum of RSS)", bytes / (1 << 20) as f64, "MiB");
    }
}

/// CPU seconds used by a cgroup so far; it may be of v1 or v2.
pub fn cpu_seconds(cgroup: &str) -> Result<f64> {
    let v1 = Path::new("/sys/fs/cgroup/cpuacct").join(cgroup).join("cpuacct.usage");
    if let Ok(nanoseconds) = fs::read_to_string(&v1) {
        return Ok(nanoseconds.trim().parse::<f64>().context("cpuacct.usage")? / 1e9);
    }
    let v2 = Path::new("/sys/fs/cgroup").join(cgroup).join("cpu.stat");
    let text = fs::read_to_string(&v2).with_context(|| format!("no cgroup {cgroup} on this machine"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
    Ok(line.context("cpu.stat has no usage")?.trim().parse::<f64>()? / 1e6)
}

fn processes(cgroup: &str) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    let roots = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(|root| Path::new(root).join(cgroup));
    let Some(root) = roots.iter().find(|root| root.exists()) else { bail!("no cgroup {cgroup} on this machine") };
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        folders.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    Ok(found)
}

/// A process that has ended uses nothing.
fn rss_bytes(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * PAGE_BYTES
}
