//! A seccomp filter as the kernel takes it. Compiled from a profile once, by whoever starts many containers of one
//! profile: that takes milliseconds, loading it takes none. Not here: which calls a profile allows.
//!
//! A filter in bytes, as it lies in a bundle: flags of seccomp(2) in four bytes, then eight bytes for each instruction.

use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall, Spec,
};

use crate::{Error, Result, check};

const FLAGS_BYTES: usize = 4;
const INSTRUCTION_BYTES: usize = 8;
/// The kernel's `BPF_MAXINSNS`.
const INSTRUCTIONS_MAX: usize = 4096;

/// A compiled filter.
#[derive(Clone, Debug)]
pub struct Filter {
    flags: u32,
    instructions: Vec<libc::sock_filter>,
}

/// Where the compiled filter of a container lies.
pub fn file(bundle: &Path) -> PathBuf {
    bundle.join("seccomp.bpf")
}

impl Filter {
    /// The filter that a container's spec asks for: the one in its bundle, else one compiled now (a bundle of an older
    /// version has none). `None` only if the spec asks for none.
    pub fn of_bundle(bundle: &Path, spec: &Spec) -> Result<Option<Filter>> {
        let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
        let Some(profile) = profile else { return Ok(None) };
        let file = file(bundle);
        match fs::read(&file) {
            Ok(bytes) => Filter::from_bytes(&bytes).map(Some),
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => Filter::compile(profile).map(Some),
            Err(problem) => Err(Error::io(format!("cannot read {}", file.display()), problem)),
        }
    }

    /// Compiles a profile. Calls that this machine's library does not know are left out, as other runtimes do.
    pub fn compile(profile: &LinuxSeccomp) -> Result<Filter> {
        let default = action(profile.default_action(), profile.default_errno_ret())?;
        let mut context = ScmpFilterContext::new(default).map_err(refused)?;
        for arch in profile.architectures().iter().flatten() {
            context.add_arch(architecture(*arch)).map_err(refused)?;
        }
        for rule in profile.syscalls().iter().flatten() {
            add(&mut context, default, rule)?;
        }
        let mut bytes = flags(profile)?.to_ne_bytes().to_vec();
        let memory = rustix::fs::memfd_create("filter", rustix::fs::MemfdFlags::CLOEXEC);
        let mut memory = fs::File::from(memory.map_err(|problem| Error::io("cannot compile a filter", problem))?);
        context.export_bpf(&memory).map_err(refused)?;
        let read = memory.rewind().and_then(|()| memory.read_to_end(&mut bytes));
        read.map_err(|problem| Error::io("cannot compile a filter", problem))?;
        Filter::from_bytes(&bytes)
    }

    /// # Errors
    /// If it cannot be a filter. The kernel checks the rest when it is loaded.
    pub fn from_bytes(bytes: &[u8]) -> Result<Filter> {
        let broken = || Error::Invalid("the compiled seccomp filter is damaged".into());
        let (flags, rest) = bytes.split_first_chunk::<FLAGS_BYTES>().ok_or_else(broken)?;
        let (instructions, remainder) = rest.as_chunks::<INSTRUCTION_BYTES>();
        if !remainder.is_empty() || instructions.is_empty() || instructions.len() > INSTRUCTIONS_MAX {
            return Err(broken());
        }
        let instruction = |[a, b, jt, jf, k @ ..]: &[u8; INSTRUCTION_BYTES]| libc::sock_filter {
            code: u16::from_ne_bytes([*a, *b]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes(*k),
        };
        Ok(Filter { flags: u32::from_ne_bytes(*flags), instructions: instructions.iter().map(instruction).collect() })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.flags.to_ne_bytes().to_vec();
        for instruction in &self.instructions {
            bytes.extend(instruction.code.to_ne_bytes());
            bytes.extend([instruction.jt, instruction.jf]);
            bytes.extend(instruction.k.to_ne_bytes());
        }
        bytes
    }

    /// Holds this process to the filter, and all that come from it, for ever.
    pub(crate) fn load(&self) -> Result<()> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.instructions.len()).unwrap_or(u16::MAX),
            filter: self.instructions.as_ptr().cast_mut(),
        };
        // The kernel copies the program, and writes nothing.
        let loaded =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, self.flags, &raw const program) };
        check(loaded as i32, "cannot load the seccomp filter")
    }
}

fn add(context: &mut ScmpFilterContext, default: ScmpAction, rule: &LinuxSyscall) -> Result<()> {
    let action = action(rule.action(), rule.errno_ret())?;
    if action == default {
        return Ok(());
    }
    let comparisons: Vec<ScmpArgCompare> = rule.args().iter().flatten().map(comparison).collect();
    // One argument may be named once in a rule of the library: several comparisons of it are rules of their own.
    let mut indexes: Vec<usize> = rule.args().iter().flatten().map(|arg| arg.index()).collect();
    indexes.sort_unstable();
    let is_repeated = indexes.windows(2).any(|pair| pair[0] == pair[1]);
    for call in rule.names().iter().filter_map(|name| ScmpSyscall::from_name(name).ok()) {
        if comparisons.is_empty() {
            context.add_rule(action, call).map_err(refused)?;
        } else if is_repeated {
            for one in comparisons.chunks(1) {
                context.add_rule_conditional(action, call, one).map_err(refused)?;
            }
        } else {
            context.add_rule_conditional(action, call, &comparisons).map_err(refused)?;
        }
    }
    Ok(())
}

fn comparison(arg: &oci_spec::runtime::LinuxSeccompArg) -> ScmpArgCompare {
    let operator = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => ScmpCompareOp::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => ScmpCompareOp::Less,
        LinuxSeccompOperator::ScmpCmpLe => ScmpCompareOp::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => ScmpCompareOp::Equal,
        LinuxSeccompOperator::ScmpCmpGe => ScmpCompareOp::GreaterEqual,
        LinuxSeccompOperator::ScmpCmpGt => ScmpCompareOp::Greater,
        // The value is the mask, the second value what must be left of the argument.
        LinuxSeccompOperator::ScmpCmpMaskedEq => ScmpCompareOp::MaskedEqual(arg.value()),
    };
    let value = match arg.op() {
        LinuxSeccompOperator::ScmpCmpMaskedEq => arg.value_two().unwrap_or_default(),
        _ => arg.value(),
    };
    ScmpArgCompare::new(arg.index() as u32, operator, value)
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<ScmpAction> {
    let errno = errno.map_or(libc::EPERM, |errno| errno as i32);
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => ScmpAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(errno),
        LinuxSeccompAction::ScmpActTrace => ScmpAction::Trace(errno as u16),
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        LinuxSeccompAction::ScmpActNotify => {
            return Err(Error::Invalid("seccomp profiles with SCMP_ACT_NOTIFY are not supported".into()));
        }
    })
}

fn flags(profile: &LinuxSeccomp) -> Result<u32> {
    let mut all = 0;
    for flag in profile.flags().iter().flatten() {
        all |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => libc::SECCOMP_FILTER_FLAG_TSYNC,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            // Of use to a listener only, and those are refused.
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                return Err(Error::Invalid(
                    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a listener, which is not supported".into(),
                ));
            }
        };
    }
    Ok(all as u32)
}

fn architecture(arch: Arch) -> ScmpArch {
    match arch {
        Arch::ScmpArchNative => ScmpArch::Native,
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        Arch::ScmpArchMips => ScmpArch::Mips,
        Arch::ScmpArchMips64 => ScmpArch::Mips64,
        Arch::ScmpArchMips64n32 => ScmpArch::Mips64N32,
        Arch::ScmpArchMipsel => ScmpArch::Mipsel,
        Arch::ScmpArchMipsel64 => ScmpArch::Mipsel64,
        Arch::ScmpArchMipsel64n32 => ScmpArch::Mipsel64N32,
        Arch::ScmpArchPpc => ScmpArch::Ppc,
        Arch::ScmpArchPpc64 => ScmpArch::Ppc64,
        Arch::ScmpArchPpc64le => ScmpArch::Ppc64Le,
        Arch::ScmpArchS390 => ScmpArch::S390,
        Arch::ScmpArchS390x => ScmpArch::S390X,
        Arch::ScmpArchRiscv64 => ScmpArch::Riscv64,
        Arch::ScmpArchParisc => ScmpArch::Parisc,
        Arch::ScmpArchParisc64 => ScmpArch::Parisc64,
        Arch::ScmpArchLoongarch64 => ScmpArch::Loongarch64,
        Arch::ScmpArchM68k => ScmpArch::M68k,
        Arch::ScmpArchSh => ScmpArch::Sh,
        Arch::ScmpArchSheb => ScmpArch::Sheb,
    }
}

fn refused(problem: libseccomp::error::SeccompError) -> Error {
    Error::Invalid(format!("cannot compile the seccomp profile: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks the kernel in a child that has the default filter. The errors of the calls, 0 for success.
    fn under_the_default_filter(calls: &[fn() -> i64]) -> Vec<i32> {
        let profile = crate::seccomp::default_profile(&Default::default());
        let compiled = Filter::compile(&serde_json::from_value(profile).unwrap()).unwrap();
        let filter = Filter::from_bytes(&compiled.to_bytes()).unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        // The child of a process with threads makes system calls only.
        match unsafe { libc::fork() } {
            0 => unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                if filter.load().is_err() {
                    libc::_exit(1);
                }
                for call in calls {
                    let outcome = if call() < 0 { *libc::__errno_location() } else { 0 };
                    let _ = rustix::io::write(&write, &outcome.to_ne_bytes());
                }
                libc::_exit(0)
            },
            child => {
                drop(write);
                let mut bytes = Vec::new();
                fs::File::from(read).read_to_end(&mut bytes).unwrap();
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
                bytes.as_chunks().0.iter().map(|number| i32::from_ne_bytes(*number)).collect()
            }
        }
    }

    #[test]
    fn the_default_filter_refuses_what_leads_out() {
        let errors = under_the_default_filter(&[
            || unsafe { libc::syscall(libc::SYS_getppid) },
            || unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER) },
            || unsafe { libc::syscall(libc::SYS_mount, 0, 0, 0, 0, 0) },
            || unsafe { libc::syscall(libc::SYS_keyctl, 0, 0, 0, 0, 0) },
            || unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0) },
            || unsafe { libc::syscall(libc::SYS_clone3, 0, 0) },
            || unsafe { libc::syscall(libc::SYS_socket, libc::AF_VSOCK, libc::SOCK_STREAM, 0) },
            || unsafe { libc::syscall(libc::SYS_socket, 1_u64 << 32 | libc::AF_VSOCK as u64, libc::SOCK_STREAM, 0) },
            || unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0) }.min(0),
            || unsafe { libc::syscall(libc::SYS_personality, 0xffff_ffff_u32) },
            || unsafe { libc::syscall(libc::SYS_personality, 1) },
        ]);
        let eperm = libc::EPERM;
        assert_eq!(errors, [0, eperm, eperm, eperm, eperm, libc::ENOSYS, eperm, eperm, 0, 0, eperm]);
    }

    #[test]
    fn damaged_bytes_are_no_filter() {
        assert!(Filter::from_bytes(&[]).is_err());
        assert!(Filter::from_bytes(&[0; 4]).is_err());
        assert!(Filter::from_bytes(&[0; 13]).is_err());
        assert!(Filter::from_bytes(&[0; 12]).is_ok());
        assert!(Filter::from_bytes(&vec![0; 4 + 8 * (INSTRUCTIONS_MAX + 1)]).is_err());
    }

    #[test]
    fn a_profile_that_needs_a_listener_is_refused() {
        let profile = serde_json::json!({"defaultAction": "SCMP_ACT_NOTIFY"});
        assert!(Filter::compile(&serde_json::from_value(profile).unwrap()).is_err());
    }
}
