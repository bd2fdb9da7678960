//! What a container sees as its files: mounts, devices and links below a root, and the change to that root.
//!
//! Everything is found by [`reach`], which does not leave the root whatever the image or a volume holds, and mounted by
//! descriptors. Runs in the container's first process, in a mount namespace of its own.
//! Not here: the root file system itself, which must be mounted, and what the mounts are.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Mount, Spec};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, makedev, mknodat, symlinkat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags as Propagation, UnmountFlags};

use crate::mount::{self, Options};
use crate::reach::{Links, Make, reach};
use crate::{Error, Result, cgroup};

/// Devices that every container has: name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];
/// The files of /proc that a volume may cover; anything else there could deceive the runtime or the program.
const COVERED_IN_PROC: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
];

/// Mounts and makes everything that the spec names below `root`.
pub fn assemble(root: &Path, spec: &Spec) -> Result<()> {
    let failed = |problem: Errno| Error::io("cannot prepare the root file system", problem);
    if is_shared(spec) {
        // The change of roots wants a parent that is not shared; what is mounted inside is still seen outside.
        rustix::mount::mount_change("/", Propagation::SHARED | Propagation::REC).map_err(failed)?;
        rustix::mount::mount_change(root, Propagation::PRIVATE).map_err(failed)?;
        rustix::mount::mount_bind_recursive(root, root).map_err(failed)?;
    }
    let handle = File::open(root).map_err(|problem| Error::io(format!("cannot open {}", root.display()), problem))?;
    let root = handle.as_fd();
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    for one in mounts {
        let named = |problem: Error| match problem {
            Error::Io { what, source } => {
                Error::io(format!("cannot mount {}: {what}", one.destination().display()), source)
            }
            other => other,
        };
        put(root, one).map_err(named)?;
    }
    // A /dev of the host's must not be written to.
    let own_dev = mounts.iter().any(|one| one.destination() == "/dev" && one.typ().as_deref() != Some("bind"));
    if own_dev {
        let devices = spec.linux().as_ref().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
        make_devices(root, devices).map_err(|problem| Error::io("cannot make the container's devices", problem))?;
    }
    Ok(())
}

fn is_shared(spec: &Spec) -> bool {
    spec.linux().as_ref().is_some_and(|linux| linux.rootfs_propagation().as_deref() == Some("shared"))
}

fn put(root: BorrowedFd, wanted: &Mount) -> Result<()> {
    let options = Options::of(wanted.options().as_deref().unwrap_or_default());
    let target = wanted.destination();
    let kind = wanted.typ().as_deref().unwrap_or("bind");
    match kind {
        "bind" => bind(root, wanted.source().as_deref().unwrap_or(Path::new("/")), target, &options),
        "cgroup" => cgroups(root, target, wanted.options().as_deref().unwrap_or_default()),
        // Through a link the masks below would hide something else.
        "proc" | "sysfs" => {
            let place = reach(root, target, Make::Folder, Links::Refuse).map_err(|problem| at("its place", problem))?;
            mount::file_system(kind, &options, place.as_fd()).map_err(|problem| at(kind, problem))
        }
        _ => {
            let place = reach(root, target, Make::Folder, Links::Follow).map_err(|problem| at("its place", problem))?;
            mount::file_system(kind, &options, place.as_fd()).map_err(|problem| at(kind, problem))
        }
    }
}

fn at(what: &str, problem: Errno) -> Error {
    Error::io(what, problem)
}

fn bind(root: BorrowedFd, source: &Path, target: &Path, options: &Options) -> Result<()> {
    let copy =
        mount::copy_of(source, options).map_err(|problem| at(&format!("source {}", source.display()), problem))?;
    let stat = rustix::fs::fstat(&copy).map_err(|problem| at("its source", problem))?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let make = if is_folder { Make::Folder } else { Make::File };
    let place = reach(root, target, make, Links::Follow).map_err(|problem| at("its place", problem))?;
    if mount::is_proc(place.as_fd()) && !COVERED_IN_PROC.iter().any(|known| Path::new(known) == target) {
        return Err(Error::Invalid(format!("{} cannot be mounted because it is inside /proc", target.display())));
    }
    if target == Path::new("/proc") && !mount::is_proc(copy.as_fd()) {
        return Err(Error::Invalid("/proc cannot be mounted because it is not of type proc".into()));
    }
    mount::bind(&copy, options, place.as_fd()).map_err(|problem| at("bind", problem))
}

/// The container's view of its groups; the process is in a group namespace of its own, which is the root of what it sees.
fn cgroups(root: BorrowedFd, target: &Path, words: &[String]) -> Result<()> {
    let failed = |problem: Errno| at("cgroups", problem);
    let place = || reach(root, target, Make::Folder, Links::Refuse);
    if cgroup::is_v2() {
        return mount::file_system("cgroup2", &Options::of(words), place().map_err(failed)?.as_fd()).map_err(failed);
    }
    let plain = ["nosuid", "noexec", "nodev", "mode=755"].map(str::to_string);
    mount::file_system("tmpfs", &Options::of(&plain), place().map_err(failed)?.as_fd()).map_err(failed)?;
    let folder = place().map_err(failed)?;
    for (name, controllers) in cgroup::hierarchies() {
        let one = reach(folder.as_fd(), Path::new(&name), Make::Folder, Links::Refuse).map_err(failed)?;
        let words: Vec<String> = words.iter().chain(&controllers).cloned().collect();
        mount::file_system("cgroup", &Options::of(&words), one.as_fd()).map_err(failed)?;
        for controller in controllers.iter().filter(|controller| **controller != name) {
            symlinkat(name.as_str(), &folder, controller.as_str()).map_err(failed)?;
        }
    }
    if words.iter().any(|word| word == "ro") {
        mount::make_read_only(folder.as_fd()).map_err(failed)?;
    }
    Ok(())
}

fn make_devices(root: BorrowedFd, devices: &[LinuxDevice]) -> rustix::io::Result<()> {
    let dev = reach(root, Path::new("/dev"), Make::Folder, Links::Refuse)?;
    for device in devices {
        let path: &PathBuf = device.path();
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
        let folder = reach(root, parent, Make::Folder, Links::Follow)?;
        let kind = match device.typ() {
            LinuxDeviceType::B => FileType::BlockDevice,
            _ => FileType::CharacterDevice,
        };
        let number = makedev(device.major() as u32, device.minor() as u32);
        let mode = Mode::from_raw_mode(device.file_mode().unwrap_or(0o666));
        is_there(mknodat(&folder, name, kind, mode, number))?;
    }
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_raw_mode(0o666);
        is_there(mknodat(&dev, name, FileType::CharacterDevice, mode, makedev(major, minor)))?;
    }
    for (name, target) in LINKS {
        is_there(symlinkat(target, &dev, name))?;
    }
    // Terminals are those of the container's own devpts, also where the host's device was asked for.
    match unlinkat(&dev, "ptmx", AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => symlinkat("pts/ptmx", &dev, "ptmx"),
        other => other,
    }
}

fn is_there(outcome: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match outcome {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Makes `root` the root of this process and of its mount namespace; nothing of the old root stays reachable.
pub fn enter(root: &Path, spec: &Spec) -> Result<()> {
    let failed = |problem: Errno| Error::io("cannot change the root", problem);
    let old = File::open("/").map_err(|problem| Error::io("cannot open the root", problem))?;
    rustix::process::chdir(root).map_err(failed)?;
    // The old root lies on the new one then, and is taken off.
    rustix::process::pivot_root(".", ".").map_err(failed)?;
    rustix::process::fchdir(&old).map_err(failed)?;
    rustix::mount::mount_change(".", Propagation::DOWNSTREAM | Propagation::REC).map_err(failed)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)?;
    if is_shared(spec) {
        rustix::mount::mount_change("/", Propagation::SHARED).map_err(failed)?;
    }
    Ok(())
}

/// Hides and protects what the spec says, in the new root. What is not there needs neither.
pub fn protect(spec: &Spec) -> Result<()> {
    let root = File::open("/").map_err(|problem| Error::io("cannot open the root", problem))?;
    let root = root.as_fd();
    let found = |path: &str| match reach(root, Path::new(path), Make::Nothing, Links::Follow) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(problem) => Err(Error::io(format!("cannot find {path}"), problem)),
        Ok(handle) => Ok(Some(handle)),
    };
    let Some(linux) = spec.linux() else { return Ok(()) };
    for path in linux.readonly_paths().iter().flatten() {
        if let Some(handle) = found(path)? {
            mount::read_only(handle.as_fd()).map_err(|problem| Error::io(format!("cannot protect {path}"), problem))?;
        }
    }
    for path in linux.masked_paths().iter().flatten() {
        if let Some(handle) = found(path)? {
            mask(root, &handle).map_err(|problem| Error::io(format!("cannot mask {path}"), problem))?;
        }
    }
    if spec.root().as_ref().is_some_and(|root| root.readonly() == Some(true)) {
        mount::make_read_only(root).map_err(|problem| Error::io("cannot make the root read-only", problem))?;
    }
    Ok(())
}

fn mask(root: BorrowedFd, handle: &OwnedFd) -> rustix::io::Result<()> {
    if FileType::from_raw_mode(rustix::fs::fstat(handle)?.st_mode) == FileType::Directory {
        let options =
            Options::of(&["ro", "nosuid", "nodev", "noexec", "nr_blocks=1", "nr_inodes=1"].map(str::to_string));
        return mount::file_system("tmpfs", &options, handle.as_fd());
    }
    let null = reach(root, Path::new("/dev/null"), Make::Nothing, Links::Refuse)?;
    if !is_null(null.as_fd()) {
        // Somebody put something else there, to have it read as what is hidden.
        return Err(Errno::NODEV);
    }
    mount::place(&mount::tree_of(null.as_fd(), false)?, handle.as_fd())
}

/// Whether a handle is the null device.
pub fn is_null(handle: BorrowedFd) -> bool {
    let null = makedev(1, 3);
    rustix::fs::fstat(handle)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == null)
}

/// The null device of the container that this process is in. What a volume at /dev has under that name may be a link to
/// a file of /proc that is still writable at this time: it is no standard stream then.
pub fn null() -> Result<OwnedFd> {
    let failed = |problem: Errno| Error::io("cannot open /dev/null", problem);
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open("/dev/null", flags, Mode::empty()).map_err(failed)?;
    if !is_null(opened.as_fd()) {
        return Err(Error::Refused("/dev/null is not the null device".into()));
    }
    rustix::fs::fcntl_setfl(&opened, OFlags::RDWR).map_err(failed)?;
    Ok(opened)
}

/// Puts a terminal on /dev/console, where programs look for it.
pub fn put_console(terminal: BorrowedFd) -> Result<()> {
    let failed = |problem: Errno| Error::io("cannot make /dev/console", problem);
    let root = File::open("/").map_err(|problem| Error::io("cannot open the root", problem))?;
    let place = reach(root.as_fd(), Path::new("/dev/console"), Make::File, Links::Refuse).map_err(failed)?;
    let copy = mount::tree_of(terminal, false).map_err(failed)?;
    mount::place(&copy, place.as_fd()).map_err(failed)
}
