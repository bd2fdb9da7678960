//! What the machine must have before anything is started; each missing thing says what to do about it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};
use network::pool::Cidr;

use crate::home::Home;
use crate::settings::Settings;
use crate::{switches, teardown};

/// # Errors
/// The user cannot do what the command does.
pub fn root(words: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("kybern {words} needs namespaces, mounts and network rules: run it as root (sudo kybern {words})");
    }
    Ok(())
}

/// # Errors
/// The first thing that is missing, with what to do.
pub fn machine(home: &Home, settings: &Settings) -> Result<()> {
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
    ranges(home, settings)?;
    addresses(home, settings)?;
    port(settings.api_port)
}

fn filesystem(name: &str, remedy: &str) -> Result<()> {
    let known = fs::read_to_string("/proc/filesystems").context("read /proc/filesystems")?;
    if known.lines().any(|line| line.split_whitespace().next_back() == Some(name)) {
        return Ok(());
    }
    bail!("this kernel does not know {name}: it needs {remedy}")
}

/// Clusters of one machine share its routes: none may have another one's addresses.
fn ranges(home: &Home, settings: &Settings) -> Result<()> {
    for other in switches::users(home)? {
        let Some(theirs) = Settings::load(&other)? else { continue };
        let pairs = flags(settings).into_iter().flat_map(|own| [(own, &theirs.pod_cidr), (own, &theirs.service_cidr)]);
        for ((flag, range), theirs) in pairs {
            if range.parse::<Cidr>()?.overlaps(theirs.parse()?) {
                bail!(
                    "the cluster {:?} has the addresses {theirs}: choose others than {range} with {flag}",
                    other.name
                );
            }
        }
    }
    Ok(())
}

fn flags(settings: &Settings) -> [(&'static str, &str); 2] {
    [("--pod-cidr", &settings.pod_cidr), ("--service-cidr", &settings.service_cidr)]
}

/// What the machine has itself stays as it is: it would lose its routes to others under a cluster's.
fn addresses(home: &Home, settings: &Settings) -> Result<()> {
    let ours = if switches::is_up_here(home)? { Some(teardown::claim(home, settings)?) } else { None };
    for (flag, range) in flags(settings) {
        if let Some(what) = network::host::taken(range.parse()?, ours.as_ref())? {
            bail!("this machine has addresses of {range} already: {what}. Choose another range with {flag}");
        }
    }
    Ok(())
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
