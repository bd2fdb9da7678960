//! What a group uses, read from its files. Not here: rates over time.

use std::fs;
use std::path::Path;

use super::{Layout, folder, layout};

/// Usage of a group and of those below it; what could not be read is zero or `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_ns: u64,
    pub memory_bytes: u64,
    /// Usage without the file pages that the kernel would drop first.
    pub working_set_bytes: u64,
    pub rss_bytes: u64,
    pub page_faults: u64,
    pub major_page_faults: u64,
    pub memory_limit_bytes: Option<u64>,
    pub processes: u64,
    pub oom_kills: u64,
}

/// Above this a limit of version 1 means "none": it is the largest page-aligned number.
const NO_LIMIT_BYTES: u64 = 1 << 60;

pub(super) fn read(path: &str) -> Usage {
    match layout() {
        Layout::V2(root) => v2(&root.join(path.trim_start_matches('/'))),
        Layout::V1(_) => v1(path),
    }
}

fn v1(path: &str) -> Usage {
    let number =
        |controller: &str, file: &str| folder(controller, path).map_or(0, |folder| number_in(&folder.join(file)));
    let memory = folder("memory", path).unwrap_or_default();
    let stat = fs::read_to_string(memory.join("memory.stat")).unwrap_or_default();
    let oom = fs::read_to_string(memory.join("memory.oom_control")).unwrap_or_default();
    let used = number("memory", "memory.usage_in_bytes");
    Usage {
        cpu_ns: number("cpuacct", "cpuacct.usage"),
        memory_bytes: used,
        working_set_bytes: used.saturating_sub(field(&stat, "total_inactive_file")),
        rss_bytes: field(&stat, "total_rss"),
        page_faults: field(&stat, "total_pgfault"),
        major_page_faults: field(&stat, "total_pgmajfault"),
        memory_limit_bytes: Some(number("memory", "memory.limit_in_bytes"))
            .filter(|limit| *limit > 0 && *limit < NO_LIMIT_BYTES),
        processes: number("pids", "pids.current"),
        oom_kills: field(&oom, "oom_kill"),
    }
}

fn v2(folder: &Path) -> Usage {
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let stat = text("memory.stat");
    let used = number_in(&folder.join("memory.current"));
    Usage {
        cpu_ns: field(&text("cpu.stat"), "usage_usec").saturating_mul(1_000),
        memory_bytes: used,
        working_set_bytes: used.saturating_sub(field(&stat, "inactive_file")),
        rss_bytes: field(&stat, "anon"),
        page_faults: field(&stat, "pgfault"),
        major_page_faults: field(&stat, "pgmajfault"),
        memory_limit_bytes: text("memory.max").trim().parse().ok(),
        processes: number_in(&folder.join("pids.current")),
        oom_kills: field(&text("memory.events"), "oom_kill"),
    }
}

fn number_in(file: &Path) -> u64 {
    fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// The number after `name` in lines of `name number`.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.split_once(' ').filter(|(key, _)| *key == name))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}
