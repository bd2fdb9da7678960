//! Which devices a group may use: else a container with `CAP_MKNOD` could read the host's disks.
//!
//! Version 1 has files for it; in version 2 the kernel asks a small program instead, a list of allowances: what none of
//! them allows is refused.
//! <https://docs.kernel.org/bpf/prog_cgroup_sockopt.html> is its sibling; the context is `struct bpf_cgroup_dev_ctx`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::{Error, Result};

const PROG_LOAD: i32 = 5;
const PROG_ATTACH: i32 = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Groups above keep their own programs: all must agree.
const FLAG_ALLOW_MULTI: u32 = 2;
const TYPE_BLOCK: i32 = 1;
const TYPE_CHARACTER: i32 = 2;
const ACCESS_ALL: i32 = 7;

/// One instruction of the kernel's machine.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    /// Destination in the lower half, source in the upper.
    registers: u8,
    offset: i16,
    value: i32,
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, registers: to | from << 4, offset, value }
}

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_32_REGISTER: u8 = 0xbc;
const AND_32: u8 = 0x54;
const SHIFT_RIGHT_32: u8 = 0x74;
const JUMP_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;
// Registers: what is asked for, its type, major and minor number, and one to compute in (it held the context).
const ACCESS: u8 = 2;
const TYPE: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 1;

/// Tells a group of version 1 the rules, one after the other.
pub fn restrict_v1(folder: &Path, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    for rule in rules {
        let file = if rule.allow() { "devices.allow" } else { "devices.deny" };
        super::write(&folder.join(file), &line(rule))?;
    }
    Ok(())
}

/// Without the controller nothing is refused, and a container that may make nodes reads the host's disks.
pub fn none_to_restrict(rules: &[LinuxDeviceCgroup]) -> Result<()> {
    match rules.iter().any(|rule| !rule.allow()) {
        true => {
            Err(Error::Refused("this machine cannot limit devices: no cgroup hierarchy has that controller".into()))
        }
        false => Ok(()),
    }
}

/// `c 1:3 rwm`, with `*` for all.
fn line(rule: &LinuxDeviceCgroup) -> String {
    let kind = match rule.typ() {
        Some(LinuxDeviceType::B) => "b",
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => "c",
        _ => "a",
    };
    let number = |number: Option<i64>| number.map_or("*".to_string(), |number| number.to_string());
    let access = rule.access().clone().unwrap_or_default();
    format!("{kind} {}:{} {access}", number(rule.major()), number(rule.minor()))
}

/// Limits the group of version 2 whose folder is given to what the rules allow. `None` if they allow everything.
pub fn restrict(folder: &Path, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    let everything = |rule: &LinuxDeviceCgroup| {
        rule.allow()
            && rule.typ().is_none_or(|kind| kind == LinuxDeviceType::A)
            && rule.major().is_none()
            && rule.minor().is_none()
    };
    if rules.iter().any(everything) {
        return Ok(());
    }
    let what = || format!("cannot limit the devices of {}", folder.display());
    let program = load(&program(rules)).map_err(|source| Error::io(what(), source))?;
    let group = File::open(folder).map_err(|source| Error::io(what(), source))?;
    attach(&group, &program).map_err(|source| Error::io(what(), source))
}

fn program(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    let mut code = vec![
        instruction(LOAD_WORD, ACCESS, SCRATCH, 0, 0),
        instruction(MOVE_32_REGISTER, TYPE, ACCESS, 0, 0),
        instruction(AND_32, TYPE, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT_32, ACCESS, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, SCRATCH, 4, 0),
        instruction(LOAD_WORD, MINOR, SCRATCH, 8, 0),
    ];
    for rule in rules.iter().filter(|rule| rule.allow()) {
        code.extend(allowance(rule));
    }
    code.extend([instruction(MOVE, 0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    code
}

/// Answers yes if the rule allows, else goes on behind itself.
fn allowance(rule: &LinuxDeviceCgroup) -> Vec<Instruction> {
    let kind = match rule.typ() {
        Some(LinuxDeviceType::B) => Some(TYPE_BLOCK),
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(TYPE_CHARACTER),
        _ => None,
    };
    let access = rule.access().as_deref().unwrap_or("rwm");
    let bits = [('m', 1), ('r', 2), ('w', 4)]
        .into_iter()
        .filter(|(letter, _)| access.contains(*letter))
        .map(|(_, bit)| bit)
        .sum::<i32>();
    let number = |value: Option<i64>| value.filter(|value| *value >= 0).and_then(|value| i32::try_from(value).ok());
    let mut checks = Vec::new();
    checks.extend(kind.map(|kind| (TYPE, kind)));
    checks.extend(number(rule.major()).map(|major| (MAJOR, major)));
    checks.extend(number(rule.minor()).map(|minor| (MINOR, minor)));
    let narrows = bits != ACCESS_ALL;
    let mut code = Vec::new();
    if narrows {
        code.push(instruction(MOVE_32_REGISTER, SCRATCH, ACCESS, 0, 0));
        code.push(instruction(AND_32, SCRATCH, 0, 0, !bits & ACCESS_ALL));
        checks.push((SCRATCH, 0));
    }
    let count = checks.len();
    for (index, (register, value)) in checks.into_iter().enumerate() {
        // Over the other checks and the two instructions that answer.
        let behind = (count - 1 - index + 2) as i16;
        code.push(instruction(JUMP_NOT_EQUAL, register, 0, behind, value));
    }
    code.extend([instruction(MOVE, 0, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)]);
    code
}

/// The beginning of `union bpf_attr` for loading; the kernel takes what is missing as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u32; 4],
    version: u32,
    flags: u32,
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

fn bpf<T>(command: i32, attributes: &T) -> io::Result<i32> {
    // The attributes live until the call returns, and their size is given.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn load(code: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let attributes = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: code.len() as u32,
        instructions: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log: [0; 4],
        version: 0,
        flags: 0,
    };
    let fd = bpf(PROG_LOAD, &attributes)?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn attach(group: &File, program: &OwnedFd) -> io::Result<()> {
    let attributes = Attach {
        target: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: ATTACH_CGROUP_DEVICE,
        flags: FLAG_ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &attributes).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    /// A hierarchy of version 2: the only one, or the empty one beside version 1.
    fn hierarchy() -> Option<&'static Path> {
        let found = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        found.into_iter().find(|path| path.join("cgroup.subtree_control").exists())
    }

    #[test]
    fn what_cannot_be_refused_is_not_promised() {
        let rule = |allow: bool| serde_json::from_value(serde_json::json!({"allow": allow, "access": "rwm"})).unwrap();
        assert!(none_to_restrict(&[rule(false), rule(true)]).is_err());
        assert!(none_to_restrict(&[rule(true)]).is_ok());
        assert!(none_to_restrict(&[]).is_ok());
    }

    #[test]
    fn only_allowed_devices_open() {
        let Some(root) = hierarchy().filter(|_| rustix::process::geteuid().is_root()) else {
            eprintln!("skipped: needs root and a cgroup hierarchy of version 2");
            return;
        };
        let group = root.join(format!("container-devices-{}", std::process::id()));
        std::fs::create_dir(&group).unwrap();
        let rule = |text: serde_json::Value| -> LinuxDeviceCgroup { serde_json::from_value(text).unwrap() };
        let rules = [
            rule(serde_json::json!({"allow": false, "access": "rwm"})),
            rule(serde_json::json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"})),
            rule(serde_json::json!({"allow": true, "type": "c", "major": 1, "minor": 5, "access": "r"})),
        ];
        restrict(&group, &rules).unwrap();
        let procs = group.join("cgroup.procs");
        let run = |script: &str| {
            let procs = procs.clone();
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            unsafe { command.pre_exec(move || std::fs::write(&procs, "0")) };
            command.status().unwrap().success()
        };
        assert!(run("echo x > /dev/null"));
        assert!(run("head -c 1 /dev/zero > /dev/null"));
        assert!(!run("echo x 2>/dev/null > /dev/zero"));
        assert!(!run("head -c 1 /dev/urandom > /dev/null 2>&1"));
        std::fs::remove_dir(&group).unwrap();
    }
}
