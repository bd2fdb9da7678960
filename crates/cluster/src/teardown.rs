//! Taking a cluster off the machine, whatever is left of it: it works from what the kernel and the disk say,
//! so it works after `kill -9` of everything too, and twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use network::host::Claim;
use network::pool::Cidr;
use rustix::mount::{UnmountFlags, unmount};

use crate::home::Home;
use crate::owner::{self, Owner};
use crate::settings::Settings;
use crate::{cgroup, supervise, switches, turn};

/// Stops all processes and undoes what they did to the kernel; data stays.
pub fn stop(home: &Home, settings: &Settings) -> Result<Owner> {
    let _turn = turn::take(&home.run)?;
    let owner = undo(home, Some(settings))?;
    remove_folder(&home.run)?;
    Ok(owner)
}

/// Says whose the things of the cluster's name were; those of another home are left alone.
fn undo(home: &Home, settings: Option<&Settings>) -> Result<Owner> {
    let name = home.kernel_name();
    let owner = owner::of(home)?;
    if let Owner::Other(_) = owner {
        home.folders().into_iter().try_for_each(unmount_below)?;
        return Ok(owner);
    }
    supervise::stop(home)?;
    // A caller that runs inside of the cluster's cgroup (a test) is not its own victim.
    cgroup::kill(&name, &[std::process::id()])?;
    for folder in home.folders() {
        unmount_below(folder)?;
    }
    for link in network::pod::links(&name)? {
        network::pod::detach(&link.name)?;
    }
    proxy::cleanup(&name)?;
    network::ports::close(&network::ports::table(&name))?;
    // Without a record of having been up there is nothing of its own that could be told from the machine's.
    if let (Owner::Ours, Some(settings)) = (owner, settings) {
        let claim = claim(home, settings)?;
        network::host::remove_range(claim.services, claim.gateway)?;
        network::host::release_range(claim.pods)?;
        network::host::remove_gateway(claim.gateway)?;
    }
    switches::give_back(home)?;
    cgroup::remove(&name)?;
    Ok(owner)
}

/// Stops, and removes the data too.
pub fn delete(home: &Home, settings: Option<&Settings>) -> Result<Owner> {
    let _turn = turn::take(&home.run)?;
    let owner = undo(home, settings)?;
    // The folder that is locked goes last: until then nobody begins anew in what is left of the others.
    home.folders().into_iter().try_for_each(remove_folder)?;
    Ok(owner)
}

/// What a cluster adds to the machine for its ranges.
pub fn claim(home: &Home, settings: &Settings) -> Result<Claim> {
    Ok(Claim {
        gateway: gateway(settings)?,
        pods: settings.pod_cidr.parse()?,
        services: settings.service_cidr.parse()?,
        owner: home.kernel_name(),
    })
}

/// The gateway address of the first node: the first of the first range that nodes are given.
pub fn gateway(settings: &Settings) -> Result<std::net::Ipv4Addr> {
    let range: Cidr = settings.pod_cidr.parse()?;
    Ok(range.gateway())
}

/// Unmounts everything at or below a folder, the newest first.
fn unmount_below(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    let below: Vec<PathBuf> = points.map(PathBuf::from).filter(|point| point.starts_with(folder)).collect();
    for point in below.iter().rev() {
        match unmount(point, UnmountFlags::DETACH) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error).with_context(|| format!("unmount {}", point.display())),
        }
    }
    Ok(())
}

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &str) -> String {
    let mut out = String::new();
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(code.map_or('\\', char::from));
        rest = rest.get(at + if code.is_some() { 4 } else { 1 }..).unwrap_or("");
    }
    out + rest
}

/// Removes a folder, and the one that holds those of all clusters when it is empty then.
fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", folder.display()));
        }
        _ => {}
    }
    if let Some(parent) = folder.parent() {
        // It stays when other clusters are in it.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_spaces_are_read() {
        assert_eq!(unescape("/a\\040b/c"), "/a b/c");
        assert_eq!(unescape("/plain"), "/plain");
    }
}
