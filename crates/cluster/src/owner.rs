//! Whose the cgroup and the network rules of a cluster's name are: homes (`KYBERN_HOME`) are many, the kernel's names are
//! one for all of them.
//!
//! A cluster's record of switches says that it was brought up and not down. Living servers and shims say themselves
//! which home is theirs, and are believed before the record: one of a home that outlived a reboot is old.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use network::nft::Family;

use crate::home::Home;
use crate::{cgroup, supervise, switches};

/// The words after `kybern` by which its processes know their roles.
const ROLES: [&[u8]; 2] = [b"supervise", b"server"];
const SHIM: &[u8] = b"shim";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Ours,
    /// Nothing lives under this name.
    Nobody,
    /// A cluster of another home has it; a process of that one, where one is known.
    Other(Option<u32>),
}

/// Who has the kernel's things of this cluster's name.
pub fn of(home: &Home) -> Result<Owner> {
    let mut ours = false;
    for process in cgroup::processes(&format!("{}/{}", home.kernel_name(), supervise::SYSTEM_LEAF))? {
        match claims(Path::new("/proc").join(process.to_string()).as_path(), home) {
            Some(true) => ours = true,
            Some(false) => return Ok(Owner::Other(Some(process))),
            None => {}
        }
    }
    if ours || switches::was_up(home)? {
        return Ok(Owner::Ours);
    }
    let living = cgroup::processes(&home.kernel_name())?;
    match living.iter().find(|process| **process != std::process::id()) {
        Some(process) => Ok(Owner::Other(Some(*process))),
        None if network::nft::tables(Family::Ipv4)?.contains(&home.kernel_name()) => Ok(Owner::Other(None)),
        None => Ok(Owner::Nobody),
    }
}

/// # Errors
/// The name is another home's.
pub fn check(home: &Home) -> Result<()> {
    let name = &home.name;
    match of(home)? {
        Owner::Ours | Owner::Nobody => Ok(()),
        Owner::Other(Some(process)) => bail!(
            "a cluster {name:?} of another KYBERN_HOME runs on this machine (process {process}): choose another name \
             with --name, or delete that one first"
        ),
        Owner::Other(None) => bail!(
            "a cluster {name:?} of another KYBERN_HOME has the nftables table \"{table}\": choose another name with \
             --name, or delete that cluster first (if it is gone: nft delete table ip {table})",
            table = home.kernel_name()
        ),
    }
}

/// Whether a process of kybern belongs to this home; `None` for other processes, and for one that is ending.
fn claims(process: &Path, home: &Home) -> Option<bool> {
    // The environment first: who has a command line still after that had an environment when it was read.
    let environment = fs::read(process.join("environ")).ok()?;
    let line = fs::read(process.join("cmdline")).ok()?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let role = words.get(1)?;
    if *role == SHIM {
        return Some(path(words.get(2)?).starts_with(&home.run));
    }
    if !ROLES.contains(role) {
        return None;
    }
    let root = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"KYBERN_HOME="));
    // A server in the foreground has what its user typed, from where that user was.
    let folder = fs::read_link(process.join("cwd")).unwrap_or_default();
    let root = root.filter(|value| !value.is_empty()).map(|root| folder.join(path(root)));
    Some(same(root.as_deref(), home.root.as_deref()))
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// One folder may have many names.
fn same(one: Option<&Path>, other: Option<&Path>) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    one.map(real) == other.map(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_say_whose_they_are() {
        let root = std::env::temp_dir().join(format!("kybern-owner-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let claim = |line: &str, environment: &str, home: Option<&Path>| {
            fs::write(root.join("cmdline"), line).unwrap();
            fs::write(root.join("environ"), environment).unwrap();
            claims(&root, &Home::new("x", home))
        };
        let (one, other) = (Some(Path::new("/one")), Some(Path::new("/other")));
        let server = "kybern\0server\0--name\0x\0";
        assert_eq!(claim(server, "A=b\0KYBERN_HOME=/one\0", one), Some(true));
        assert_eq!(claim(server, "A=b\0KYBERN_HOME=/one\0", other), Some(false));
        assert_eq!(claim(server, "A=b\0KYBERN_HOME=/one\0", None), Some(false));
        assert_eq!(claim(server, "A=b\0", None), Some(true));
        assert_eq!(claim(server, "A=b\0", one), Some(false));
        let shim = "kybern\0shim\0/one/run/x/runtime/shims/1.sock\0";
        assert_eq!(claim(shim, "", one), Some(true));
        assert_eq!(claim(shim, "", other), Some(false));
        assert_eq!(claim("sleep\x001\0", "KYBERN_HOME=/one\0", other), None);
        assert_eq!(claim("", "", other), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
