//! The machine's own side: sysctls that can be put back, and what addresses and uplink it has.
//!
//! All of it concerns the network namespace of the calling thread.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::netlink::Socket;
use crate::pool::Cidr;
pub use crate::ranges::{
    Claim, add_gateway, add_range, release_range, remove_gateway, remove_range, reserve_range, taken,
};
use crate::route::{self, RouteFacts};
use crate::{Error, Result};

const SCOPE_UNIVERSE: u8 = 0;
const TABLE_MAIN: u8 = 254;
const SYSCTLS: &str = "/proc/sys";

/// What routing for namespaces asks of the machine, below `/proc/sys`.
pub const FORWARDING: [(&str, &str); 1] = [("net/ipv4/ip_forward", "1")];

/// Where the machine's traffic goes out by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    pub link: String,
    /// The source address of what goes out.
    pub address: Ipv4Addr,
    /// In bytes.
    pub mtu: u32,
}

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub link: String,
    pub address: Ipv4Addr,
    pub prefix: u8,
}

// === sysctls ===

/// Sets the switches of `FORWARDING`; returns the former values of those that it changed, for `restore`.
pub fn enable_forwarding() -> Result<BTreeMap<String, String>> {
    let mut former = BTreeMap::new();
    for (key, wanted) in FORWARDING {
        let value = read(key)?;
        if value != wanted {
            write(key, wanted)?;
            former.insert(key.to_owned(), value);
        }
    }
    Ok(former)
}

/// Like `enable_forwarding`, and records the former values in the file `record` before anything is changed, so that
/// `restore_recorded` can put them back whoever was killed in between. A value recorded earlier is kept.
pub fn enable_forwarding_recorded(record: &Path) -> Result<()> {
    let mut former = read_record(record)?;
    for (key, wanted) in FORWARDING {
        let value = read(key)?;
        if value != wanted {
            former.entry(key.to_owned()).or_insert(value);
        }
    }
    write_record(record, &former)?;
    enable_forwarding().map(drop)
}

/// Puts former values back.
pub fn restore(former: &BTreeMap<String, String>) -> Result<()> {
    former.iter().try_for_each(|(key, value)| write(key, value))
}

/// Moves what `record` holds into the record of somebody else who needs the switches still, and will be the one to put
/// them back. What the other one found itself is kept.
pub fn hand_over_recorded(record: &Path, heir: &Path) -> Result<()> {
    let mut theirs = read_record(heir)?;
    for (key, value) in read_record(record)? {
        theirs.entry(key).or_insert(value);
    }
    write_record(heir, &theirs)?;
    remove_record(record)
}

/// Puts back what `record` holds and removes it; no file is no error.
pub fn restore_recorded(record: &Path) -> Result<()> {
    restore(&read_record(record)?)?;
    remove_record(record)
}

fn remove_record(record: &Path) -> Result<()> {
    match fs::remove_file(record) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::system(format!("remove {}", record.display()), error))
        }
        _ => Ok(()),
    }
}

fn read(key: &str) -> Result<String> {
    let path = sysctl(key);
    let value = fs::read_to_string(&path).map_err(|error| Error::system(format!("read {}", path.display()), error))?;
    Ok(value.trim().to_owned())
}

fn write(key: &str, value: &str) -> Result<()> {
    let path = sysctl(key);
    fs::write(&path, value).map_err(|error| Error::system(format!("write {value} to {}", path.display()), error))
}

fn sysctl(key: &str) -> PathBuf {
    Path::new(SYSCTLS).join(key)
}

fn read_record(record: &Path) -> Result<BTreeMap<String, String>> {
    match fs::read_to_string(record) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.split_once('=')).map(owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(Error::system(format!("read {}", record.display()), error)),
    }
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Complete or not at all: a torn record would put wrong values back.
fn write_record(record: &Path, values: &BTreeMap<String, String>) -> Result<()> {
    let failed = |error| Error::system(format!("write {}", record.display()), error);
    let text: String = values.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    let fresh = record.with_extension("new");
    fs::write(&fresh, text).map_err(failed)?;
    fs::File::open(&fresh).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&fresh, record).map_err(failed)
}

// === what there is ===

/// The link and source address of the default route with the lowest metric; `None` without one.
pub fn uplink() -> Result<Option<Uplink>> {
    let mut socket = Socket::route()?;
    let routes = route::routes(&mut socket)?;
    let Some(default) = routes.iter().filter(|r| r.prefix == 0 && r.table == TABLE_MAIN).min_by_key(|r| r.metric)
    else {
        return Ok(None);
    };
    let links = route::links(&mut socket)?;
    let Some(link) = links.iter().find(|link| link.index == default.link) else { return Ok(None) };
    let address = source_of(default, &mut socket)?;
    Ok(address.map(|address| Uplink { link: link.name.clone(), address, mtu: link.mtu }))
}

fn source_of(default: &RouteFacts, socket: &mut Socket) -> Result<Option<Ipv4Addr>> {
    if default.source.is_some() {
        return Ok(default.source);
    }
    let mut found = route::addresses(socket)?;
    found.retain(|address| address.link == default.link && address.scope == SCOPE_UNIVERSE);
    // Of several addresses the kernel takes the one that reaches the gateway directly.
    let near = |a: &route::AddressFacts| {
        default.gateway.is_some_and(|gw| Cidr::new(a.address, a.prefix).is_ok_and(|range| range.contains(gw)))
    };
    Ok(found.iter().find(|a| near(a)).or(found.first()).map(|a| a.address))
}

/// The IPv4 addresses of this machine's links, loopback included.
pub fn addresses() -> Result<Vec<Address>> {
    let mut socket = Socket::route()?;
    let links = route::links(&mut socket)?;
    let name = |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
    let found = route::addresses(&mut socket)?;
    Ok(found
        .into_iter()
        .filter_map(|a| Some(Address { link: name(a.link)?, address: a.address, prefix: a.prefix }))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_values_are_recorded_once_and_put_back() {
        let record = std::env::temp_dir().join(format!("kybtest-host-{}", std::process::id()));
        crate::namespace::apart(|| {
            crate::pod::raise_loopback()?;
            write("net/ipv4/ip_forward", "0")?;
            enable_forwarding_recorded(&record)?;
            enable_forwarding_recorded(&record)?;
            assert_eq!(read("net/ipv4/ip_forward")?, "1");
            // A second user finds the switch on; the first one goes first.
            let second = record.with_extension("second");
            enable_forwarding_recorded(&second)?;
            hand_over_recorded(&record, &second)?;
            assert!(!record.exists());
            assert_eq!(read("net/ipv4/ip_forward")?, "1");
            restore_recorded(&second)?;
            restore_recorded(&second)?;
            assert_eq!(read("net/ipv4/ip_forward")?, "0");
            assert_eq!(uplink()?, None);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        assert!(addresses().unwrap().iter().any(|a| a.address == Ipv4Addr::LOCALHOST));
    }
}
