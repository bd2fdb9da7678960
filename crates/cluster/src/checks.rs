//! What the machine must have before anything is started; each missing thing says what to do about it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};

use crate::settings::Settings;

/// # Errors
/// The first thing that is missing, with what to do.
pub fn machine(settings: &Settings) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("kybern up makes namespaces, mounts and network rules: run it as root (sudo kybern up)");
    }
    filesystem("overlay", "CONFIG_OVERLAY_FS (modprobe overlay)")?;
    if !fs::exists("/proc/self/ns/net")? {
        bail!("this kernel has no network namespaces: it needs CONFIG_NET_NS");
    }
    if !fs::exists("/sys/fs/cgroup/cgroup.controllers")? && !fs::exists("/sys/fs/cgroup/memory")? {
        bail!("no cgroups below /sys/fs/cgroup: mount cgroup2 there (mount -t cgroup2 none /sys/fs/cgroup)");
    }
    let range = settings.pod_cidr.parse()?;
    let config = proxy::Config { table: "kybern".into(), node: String::new(), pods: range, services: None };
    proxy::check(&config)?;
    port(settings.api_port)
}

fn filesystem(name: &str, remedy: &str) -> Result<()> {
    let known = fs::read_to_string("/proc/filesystems").context("read /proc/filesystems")?;
    if known.lines().any(|line| line.split_whitespace().next_back() == Some(name)) {
        return Ok(());
    }
    bail!("this kernel does not know {name}: it needs {remedy}")
}

fn port(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "port {port} for the API server cannot be used ({error}): stop what listens there, \
             or choose another one with --api-port"
        ),
    }
}
