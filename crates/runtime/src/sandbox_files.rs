//! Files and mounts that belong to one sandbox: its network namespace, shared memory, host name and resolver files.
//! Everything may be repeated, also after a kill in the middle. Not here: when.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rpc::cri;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::Config;
use crate::record::Sandbox;

/// Where things of sandboxes and containers are.
impl Config {
    pub(crate) fn sandbox_record(&self, id: &str) -> PathBuf {
        self.root.join("sandboxes").join(format!("{id}.json"))
    }

    pub(crate) fn container_dir(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    pub(crate) fn container_record(&self, id: &str) -> PathBuf {
        self.container_dir(id).join("record.json")
    }

    pub(crate) fn bundle(&self, id: &str) -> PathBuf {
        self.run.join("bundles").join(id)
    }

    pub(crate) fn socket(&self, id: &str) -> PathBuf {
        self.run.join("shims").join(format!("{id}.sock"))
    }

    pub(crate) fn namespace(&self, id: &str) -> PathBuf {
        self.run.join("netns").join(id)
    }

    pub(crate) fn sandbox_dir(&self, id: &str) -> PathBuf {
        self.run.join("sandboxes").join(id)
    }

    pub(crate) fn shm(&self, id: &str) -> PathBuf {
        self.sandbox_dir(id).join("shm")
    }
}

/// Makes the sandbox's folder with its files and its shared memory.
pub fn make(config: &Config, sandbox: &Sandbox, dns: Option<&cri::DnsConfig>) -> io::Result<()> {
    let folder = config.sandbox_dir(&sandbox.id);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("hostname"), format!("{}\n", sandbox.hostname))?;
    fs::write(folder.join("hosts"), hosts(sandbox))?;
    match dns {
        Some(dns) if !dns.servers.is_empty() || !dns.searches.is_empty() || !dns.options.is_empty() => {
            fs::write(folder.join("resolv.conf"), resolv_conf(dns))?;
        }
        _ => drop(
            fs::copy("/etc/resolv.conf", folder.join("resolv.conf"))
                .or_else(|_| fs::write(folder.join("resolv.conf"), "").map(|()| 0))?,
        ),
    }
    if sandbox.namespaces.host_ipc() {
        return Ok(());
    }
    let shm = config.shm(&sandbox.id);
    fs::create_dir_all(&shm)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("shm", &shm, "tmpfs", flags, Some(c"mode=1777,size=65536k"))?)
}

fn hosts(sandbox: &Sandbox) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_string();
    if let Some(address) = sandbox.address {
        text.push_str(&format!("{address}\t{}\n", sandbox.hostname));
    }
    text
}

fn resolv_conf(dns: &cri::DnsConfig) -> String {
    let mut text = String::new();
    for server in &dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    text
}

/// Removes what [`make`] made.
pub fn remove(config: &Config, id: &str) -> io::Result<()> {
    unmount(&config.shm(id))?;
    remove_dir(&config.sandbox_dir(id))
}

/// Unmounts everything at a path; nothing there is success.
pub fn unmount(path: &Path) -> io::Result<()> {
    loop {
        match rustix::mount::unmount(path, UnmountFlags::DETACH) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(()),
            Err(problem) => return Err(problem.into()),
        }
    }
}

/// Removes a folder with what is in it; absence is success.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => Err(problem),
        _ => Ok(()),
    }
}

/// Removes a file; absence is success.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => Err(problem),
        _ => Ok(()),
    }
}
