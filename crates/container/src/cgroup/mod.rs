//! Control groups, version 1 and 2 alike, through the file system: make, limit, read, stop and remove groups.
//! Not here: systemd as the manager of groups.

mod devices;
mod limits;
mod stats;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
pub use stats::Usage;

const ROOT: &str = "/sys/fs/cgroup";
/// Controllers of version 2 that groups below ours may use.
const CONTROLLERS_V2: [&str; 6] = ["cpu", "memory", "pids", "cpuset", "io", "hugetlb"];
/// How often a frozen group is asked whether it has come to rest, and a group just emptied whether it can go.
const ATTEMPTS_MAX: u32 = 200;
/// An event that was missed is looked for again after this.
const EVENT_TIMEOUT_NS: i64 = 10_000_000;
const EVENTS_LENGTH_MAX: usize = 256;

/// Limits of one group. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    pub cpu_shares: Option<u64>,
    pub cpu_quota: Option<i64>,
    pub cpu_period: Option<u64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    /// Bytes; -1 is no limit.
    pub memory_limit: Option<i64>,
    pub pids_limit: Option<i64>,
    /// Files of version 2 with what to write into them.
    pub unified: BTreeMap<String, String>,
}

/// How this machine mounts its groups.
#[derive(Clone, Debug)]
enum Layout {
    /// One mount point per controller.
    V1(BTreeMap<String, PathBuf>),
    V2(PathBuf),
}

fn layout() -> &'static Layout {
    static LAYOUT: OnceLock<Layout> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        if Path::new(ROOT).join("cgroup.controllers").exists() {
            return Layout::V2(PathBuf::from(ROOT));
        }
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Layout::V1(text.lines().flat_map(v1_mounts).collect())
    })
}

/// The controllers that a line of mountinfo mounts: `… <mount point> … - cgroup <source> <options>`.
fn v1_mounts(line: &str) -> Vec<(String, PathBuf)> {
    let Some((head, tail)) = line.split_once(" - ") else { return Vec::new() };
    let mut tail = tail.split(' ');
    let (Some("cgroup"), Some(_), Some(options)) = (tail.next(), tail.next(), tail.next()) else { return Vec::new() };
    let Some(point) = head.split(' ').nth(4).filter(|point| point.starts_with(ROOT)) else { return Vec::new() };
    // Named hierarchies (systemd's) limit nothing and are left alone.
    let known = |option: &&str| !matches!(*option, "rw" | "ro" | "xattr" | "clone_children") && !option.contains('=');
    options.split(',').filter(known).map(|option| (option.to_string(), PathBuf::from(point))).collect()
}

/// Whether this machine has version 2 only.
pub fn is_v2() -> bool {
    matches!(layout(), Layout::V2(_))
}

/// The folders that a group has, one per hierarchy. `path` begins with a slash.
fn folders(path: &str) -> Vec<PathBuf> {
    let relative = path.trim_start_matches('/');
    match layout() {
        Layout::V2(root) => vec![root.join(relative)],
        Layout::V1(mounts) => {
            let mut points: Vec<&PathBuf> = mounts.values().collect();
            points.dedup();
            points.into_iter().map(|point| point.join(relative)).collect()
        }
    }
}

/// The folder in which a controller keeps its files for a group.
fn folder(controller: &str, path: &str) -> Option<PathBuf> {
    let relative = path.trim_start_matches('/');
    match layout() {
        Layout::V2(root) => Some(root.join(relative)),
        Layout::V1(mounts) => mounts.get(controller).map(|point| point.join(relative)),
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(|source| Error::io(format!("cannot write {text:?} to {}", file.display()), source))
}

/// The hierarchies of version 1: the name of each one's mount point, and its controllers.
pub fn hierarchies() -> Vec<(String, Vec<String>)> {
    let Layout::V1(mounts) = layout() else { return Vec::new() };
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (controller, point) in mounts {
        let name = point.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.entry(name).or_default().push(controller.clone());
    }
    found.into_iter().collect()
}

/// Makes a group for other groups and sets its limits; a group that is there already gets the limits only.
pub fn create(path: &str, resources: &Resources) -> Result<()> {
    make(path, true, resources)
}

/// Makes a group for processes, and limits it and their devices. In version 2 it may have no groups below it.
pub fn create_leaf(path: &str, resources: &Resources, rules: &[oci_spec::runtime::LinuxDeviceCgroup]) -> Result<()> {
    make(path, false, resources)?;
    match layout() {
        Layout::V2(root) => devices::restrict(&root.join(path.trim_start_matches('/')), rules),
        Layout::V1(mounts) => match mounts.get("devices") {
            Some(point) => devices::restrict_v1(&point.join(path.trim_start_matches('/')), rules),
            None => devices::none_to_restrict(rules),
        },
    }
}

fn make(path: &str, has_groups: bool, resources: &Resources) -> Result<()> {
    for folder in folders(path) {
        fs::create_dir_all(&folder)
            .map_err(|source| Error::io(format!("cannot make cgroup {}", folder.display()), source))?;
    }
    match layout() {
        Layout::V2(root) if has_groups => delegate(root, path),
        Layout::V2(root) => delegate(root, path.rsplit_once('/').map_or("", |(parent, _)| parent)),
        Layout::V1(_) => inherit_cpuset(path)?,
    }
    limits::apply(path, resources)
}

/// Hands the controllers down to `path`'s children. A controller that the kernel lacks is not handed down.
fn delegate(root: &Path, path: &str) {
    let mut folder = root.to_path_buf();
    let mut parts = Path::new(path.trim_start_matches('/')).components();
    loop {
        for controller in CONTROLLERS_V2 {
            if let Err(problem) = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}")) {
                tracing::debug!(controller, folder = %folder.display(), %problem, "controller not delegated");
            }
        }
        match parts.next() {
            Some(part) => folder.push(part),
            None => return,
        }
    }
}

/// A new group of version 1 may use no processor until it is told which: those of its parent.
fn inherit_cpuset(path: &str) -> Result<()> {
    let Layout::V1(mounts) = layout() else { return Ok(()) };
    let Some(root) = mounts.get("cpuset") else { return Ok(()) };
    let mut parent = root.clone();
    for part in Path::new(path.trim_start_matches('/')).components() {
        let child = parent.join(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = fs::read_to_string(child.join(file)).unwrap_or_default();
            let above = fs::read_to_string(parent.join(file)).unwrap_or_default();
            if own.trim().is_empty() && !above.trim().is_empty() {
                write(&child.join(file), above.trim())?;
            }
        }
        parent = child;
    }
    Ok(())
}

/// Changes limits of a group that exists.
pub fn update(path: &str, resources: &Resources) -> Result<()> {
    limits::apply(path, resources)
}

/// Moves this process into the group, in every hierarchy that has it.
pub fn enter(path: &str) -> Result<()> {
    for folder in folders(path).into_iter().filter(|folder| folder.exists()) {
        write(&folder.join("cgroup.procs"), "0")?;
    }
    Ok(())
}

/// Makes the next moves into groups of version 1 quick. The first move after a pause waits for all processors to pass a
/// quiet point, 5 to 15 ms; those soon after do not. Called when it is known that one will follow, it waits meanwhile:
/// this process is "moved" to where it is. One call at a time is enough for all.
pub fn warm_up() {
    static IS_WARMING: AtomicBool = AtomicBool::new(false);
    if IS_WARMING.swap(true, Ordering::Relaxed) {
        return;
    }
    move_to_where_it_is();
    IS_WARMING.store(false, Ordering::Relaxed);
}

fn move_to_where_it_is() {
    let Some(root) = folder("pids", "/").filter(|_| !is_v2()) else { return };
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| line.split_once(":pids:")).map(|(_, path)| path.trim_start_matches('/'));
    if let Some(path) = path {
        // Only an optimization: a refusal costs the time that it would have saved.
        let _ = fs::write(root.join(path).join("cgroup.procs"), std::process::id().to_string());
    }
}

/// The processes of a group and of the groups below it. A group that is gone has none.
pub fn processes(path: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for controller in ["pids", "memory"] {
        if let Some(folder) = folder(controller, path) {
            collect_processes(&folder, &mut found);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn collect_processes(folder: &Path, found: &mut Vec<u32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    for child in child_groups(folder) {
        collect_processes(&child, found);
    }
}

fn child_groups(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Kills every process of a group and of those below it, and returns when they have ended.
pub fn kill(path: &str) -> Result<()> {
    if let Layout::V2(root) = layout() {
        let folder = root.join(path.trim_start_matches('/'));
        let file = folder.join("cgroup.kill");
        match fs::write(&file, "1") {
            Ok(()) => return wait_until_empty(&folder),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => {}
            Err(problem) => return Err(Error::io(format!("cannot write {}", file.display()), problem)),
        }
    }
    for _ in 0..ATTEMPTS_MAX {
        let pids = processes(path);
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids {
            if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
                // A process that ended in the meantime is what we want.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        pause();
    }
    Err(Error::Refused(format!("processes of cgroup {path} do not end")))
}

/// Waits, by the kernel's events, until no process is left in a group of version 2.
fn wait_until_empty(folder: &Path) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let failed = |problem: io::Error| Error::io(format!("cannot watch {}", folder.display()), problem);
    let events = match fs::File::open(folder.join("cgroup.events")) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    let mut text = [0; EVENTS_LENGTH_MAX];
    for _ in 0..ATTEMPTS_MAX {
        let length = match rustix::io::pread(&events, &mut text, 0) {
            Err(rustix::io::Errno::NODEV) => return Ok(()),
            other => other.map_err(|problem| failed(problem.into()))?,
        };
        if !String::from_utf8_lossy(&text[..length]).contains("populated 1") {
            return Ok(());
        }
        let limit = Timespec { tv_sec: 0, tv_nsec: EVENT_TIMEOUT_NS };
        match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(problem) => return Err(failed(problem.into())),
        }
    }
    Err(Error::Refused(format!("processes of cgroup {} do not end", folder.display())))
}

/// Gives dying processes a moment: version 1 has no event that tells of an emptied group.
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

/// Stops or resumes all processes of a group.
pub fn freeze(path: &str, frozen: bool) -> Result<()> {
    match layout() {
        Layout::V2(root) => {
            write(&root.join(path.trim_start_matches('/')).join("cgroup.freeze"), if frozen { "1" } else { "0" })
        }
        Layout::V1(_) => {
            let Some(folder) = folder("freezer", path) else { return Ok(()) };
            write(&folder.join("freezer.state"), if frozen { "FROZEN" } else { "THAWED" })
        }
    }
}

/// Removes a group and the groups below it, in every hierarchy. Its processes must have ended; absence is success.
pub fn remove(path: &str) -> Result<()> {
    let mut refusal = None;
    for folder in folders(path) {
        if let Err(problem) = remove_folder(&folder) {
            refusal = Some(Error::io(format!("cannot remove cgroup {}", folder.display()), problem));
        }
    }
    refusal.map_or(Ok(()), Err)
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    for child in child_groups(folder) {
        remove_folder(&child)?;
    }
    for attempt in 0.. {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A process that has just been reaped still counts for a moment.
            Err(problem) if attempt < ATTEMPTS_MAX && problem.kind() == io::ErrorKind::ResourceBusy => pause(),
            Err(problem) => return Err(problem),
        }
    }
    Ok(())
}

/// What the group uses now, and how often the kernel killed for memory in it. A group that is gone uses nothing.
pub fn usage(path: &str) -> Usage {
    stats::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_names_its_controllers() {
        let line = "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct";
        let names: Vec<String> = v1_mounts(line).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["cpu", "cpuacct"]);
        assert!(v1_mounts("25 1 254:0 / / rw,relatime - ext4 /dev/vda rw").is_empty());
    }

    #[test]
    fn a_group_is_made_limited_and_removed() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root to make cgroups");
            return;
        }
        let path = format!("/container-test-{}", std::process::id());
        create(&path, &Resources { memory_limit: Some(64 << 20), pids_limit: Some(50), ..Resources::default() })
            .unwrap();
        assert_eq!(usage(&path).memory_limit_bytes, Some(64 << 20));
        assert!(processes(&path).is_empty());
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
