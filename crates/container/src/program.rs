//! Finding and executing a program as `execvp` does, with errors in the words that users know from runc.
//! Not here: what the process gives up before.

use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The path that `execvp` would take. The error names the program as it was given.
pub(crate) fn find(program: &str, env: &[String]) -> std::result::Result<String, String> {
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
