//! Creates and starts a container through libcontainer. Runs in a process of its own, which ends afterwards.
//!
//! libcontainer makes the calling process non-dumpable, changes its folder and forks: nothing for a process that lives on.
//! The container's first process becomes a child of the *parent* of the process that calls [`run`].
//! Not here: the root file system must be mounted at `<bundle>/rootfs`, and `<bundle>/config.json` be written.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};

use crate::{Error, Result, cgroup, state_dir};

/// What the container's first process has as its standard streams.
pub enum Stdio {
    Pipes {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A socket on which the master side of the new terminal will be sent, by path.
    Terminal {
        console_socket: std::path::PathBuf,
    },
}

/// Creates the container `id` from `bundle` and starts it. Returns the process id of its first process.
pub fn run(id: &str, bundle: &Path, stdio: Stdio) -> Result<i32> {
    let state = state_dir(bundle);
    fs::create_dir_all(&state).map_err(|source| Error::io(format!("cannot make {}", state.display()), source))?;
    let mut builder = ContainerBuilder::new(id.to_string(), SyscallType::default())
        .with_root_path(&state)
        .map_err(refusal)?
        .with_executor(Payload);
    match stdio {
        Stdio::Pipes { stdin, stdout, stderr } => {
            builder = builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
        }
        Stdio::Terminal { console_socket } => builder = builder.with_console_socket(Some(console_socket)),
    }
    let mut container =
        builder.as_init(bundle).with_systemd(false).with_detach(true).as_sibling(true).build().map_err(refusal)?;
    let pid =
        container.pid().map(|pid| pid.as_raw()).ok_or_else(|| Error::Refused("the container has no process".into()))?;
    // Before the program runs; it waits for the start.
    if let Err(problem) = restrict_devices(bundle) {
        rustix::process::Pid::from_raw(pid)
            .map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        return Err(problem);
    }
    container.start().map_err(refusal)?;
    Ok(pid)
}

fn restrict_devices(bundle: &Path) -> Result<()> {
    if !cgroup::is_v2() {
        return Ok(());
    }
    let spec = Spec::load(bundle.join("config.json")).map_err(|problem| Error::Invalid(problem.to_string()))?;
    let linux = spec.linux().as_ref();
    let rules = linux.and_then(|linux| linux.resources().as_ref()).and_then(|resources| resources.devices().clone());
    match linux.and_then(|linux| linux.cgroups_path().as_ref()) {
        Some(path) => cgroup::restrict_devices(&path.to_string_lossy(), &rules.unwrap_or_default()),
        None => Ok(()),
    }
}

/// The innermost reason: the outer ones only say that something inside failed.
fn refusal(problem: libcontainer::error::LibcontainerError) -> Error {
    let mut text = problem.to_string();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&problem);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    Error::Refused(format!("failed to create container: {text}"))
}

/// Finds and executes the program. Refuses early, in the words that users know from runc, what cannot be executed.
#[derive(Clone)]
struct Payload;

impl Executor for Payload {
    fn validate(&self, spec: &Spec) -> std::result::Result<(), ExecutorValidationError> {
        let process = spec.process().as_ref();
        let args = process.and_then(|process| process.args().as_deref()).unwrap_or(&[]);
        let env = process.and_then(|process| process.env().as_deref()).unwrap_or(&[]);
        let program = args.first().ok_or_else(|| ExecutorValidationError::ArgValidationError("no command".into()))?;
        find_program(program, env).map(|_| ()).map_err(ExecutorValidationError::ArgValidationError)
    }

    fn exec(&self, spec: &Spec) -> std::result::Result<(), ExecutorError> {
        let process = spec.process().as_ref();
        let args = process.and_then(|process| process.args().as_deref()).unwrap_or(&[]);
        let env: Vec<String> = std::env::vars().map(|(key, value)| format!("{key}={value}")).collect();
        let program = find_program(args.first().map_or("", String::as_str), &env).map_err(ExecutorError::Other)?;
        // The standard library ignores SIGPIPE, and execve keeps that: programs expect the default.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let problem = execute(&program, args, &env);
        Err(ExecutorError::Other(format!("exec {program:?}: {problem}")))
    }
}

/// The path that `execvp` would take. The error names the program as it was given.
pub(crate) fn find_program(program: &str, env: &[String]) -> std::result::Result<String, String> {
    let executable =
        |path: &str| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return match fs::metadata(program) {
            Err(_) => Err(format!("exec: \"{program}\": stat {program}: no such file or directory")),
            Ok(meta) if meta.is_dir() => Err(format!("exec: \"{program}\": is a directory")),
            Ok(_) if !executable(program) => Err(format!("exec: \"{program}\": permission denied")),
            Ok(_) => Ok(program.to_string()),
        };
    }
    let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or("/usr/bin:/bin");
    path.split(':')
        .map(|folder| format!("{}/{program}", if folder.is_empty() { "." } else { folder }))
        .find(|candidate| executable(candidate))
        .ok_or_else(|| format!("exec: \"{program}\": executable file not found in $PATH"))
}

/// Replaces this process; returns only on failure.
pub(crate) fn execute(program: &str, args: &[String], env: &[String]) -> std::io::Error {
    let c_string = |text: &str| std::ffi::CString::new(text).ok();
    let Some(path) = c_string(program) else { return std::io::ErrorKind::InvalidInput.into() };
    let args: Vec<_> = args.iter().filter_map(|arg| c_string(arg)).collect();
    let env: Vec<_> = env.iter().filter_map(|entry| c_string(entry)).collect();
    let pointers = |list: &[std::ffi::CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(&args), pointers(&env));
    // Both arrays are terminated and outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    std::io::Error::last_os_error()
}
