//! Ports of the host that lead into pods: from the CRI's wishes to the kernel's table, which follows the living sandboxes.
//! Not here: who may have which port; two pods that want the same one are the kubelet's and the scheduler's concern, and
//! the second is refused.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use network::ports::{self, Mapping};
use rpc::cri;
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::record::{Phase, Sandbox};
use crate::{Runtime, blocking, internal};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
/// There where the kernel can follow connections of SCTP, and so rewrite them.
const SCTP_TRACKING: &str = "/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established";

/// A port of the host as a sandbox wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// Only this address of the host; `None`: all of them.
    pub host: Option<Ipv4Addr>,
    /// The number of the protocol.
    pub protocol: u8,
    pub host_port: u16,
    pub port: u16,
}

/// What a sandbox wants. Without a port of the host nothing is wanted; what cannot be is refused.
pub fn wanted(mappings: &[cri::PortMapping]) -> Result<Vec<HostPort>, Status> {
    mappings.iter().filter(|mapping| mapping.host_port != 0).map(one).collect()
}

fn one(mapping: &cri::PortMapping) -> Result<HostPort, Status> {
    let refused = |why: String| Status::invalid_argument(format!("host port {}: {why}", mapping.host_port));
    let port = |number: i32| {
        u16::try_from(number).ok().filter(|port| *port != 0).ok_or_else(|| refused(format!("{number} is no port")))
    };
    let protocol = match mapping.protocol() {
        cri::Protocol::Tcp => TCP,
        cri::Protocol::Udp => UDP,
        cri::Protocol::Sctp if Path::new(SCTP_TRACKING).exists() => SCTP,
        cri::Protocol::Sctp => return Err(refused("this kernel does not track SCTP (CONFIG_NF_CT_PROTO_SCTP)".into())),
    };
    let host = match mapping.host_ip.as_str() {
        "" => None,
        text => match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) if address.is_unspecified() => None,
            Ok(IpAddr::V4(address)) if address.is_loopback() => {
                return Err(refused(format!("loopback address {address} is not supported")));
            }
            Ok(IpAddr::V4(address)) => Some(address),
            Ok(IpAddr::V6(address)) => return Err(refused(format!("{address}: pods have IPv4 addresses only"))),
            Err(_) => return Err(refused(format!("{text:?} is no address"))),
        },
    };
    Ok(HostPort { host, protocol, host_port: port(mapping.host_port)?, port: port(mapping.container_port)? })
}

/// The kernel's mappings to a sandbox whose address is given.
pub fn mappings(sandbox: &Sandbox, address: Option<Ipv4Addr>) -> Vec<Mapping> {
    let Some(address) = address else { return Vec::new() };
    let mapping = |wanted: &HostPort| Mapping {
        host: wanted.host,
        protocol: wanted.protocol,
        host_port: wanted.host_port,
        address,
        port: wanted.port,
    };
    sandbox.ports.iter().map(mapping).collect()
}

impl Runtime {
    /// Makes the table hold what the living sandboxes want, whatever was in it.
    pub(crate) async fn replace_host_ports(&self) -> Result<(), Status> {
        let wanted: Vec<Mapping> = {
            let state = self.state();
            let records = state.sandboxes.values().map(|sandbox| &sandbox.record);
            let living = records.filter(|record| record.phase == Phase::Ready);
            living.flat_map(|record| mappings(record, record.address)).collect()
        };
        let table = ports::table(&self.config().owner);
        let replaced = move || if wanted.is_empty() { ports::close(&table) } else { ports::replace(&table, &wanted) };
        blocking(move || replaced().map_err(|problem| internal("cannot restore the host's ports", problem))).await
    }

    pub(crate) fn add_host_ports(&self, sandbox: &Sandbox) -> Result<(), Status> {
        let wanted = mappings(sandbox, sandbox.address);
        ports::add(&ports::table(&self.config().owner), &wanted).map_err(|problem| {
            let numbers: Vec<String> = wanted.iter().map(|mapping| mapping.host_port.to_string()).collect();
            match problem.is_present() {
                true => {
                    Status::already_exists(format!("a host port of {} is taken by another pod", numbers.join(", ")))
                }
                false => internal("cannot map the host's ports", problem),
            }
        })
    }

    pub(crate) fn remove_host_ports(&self, gone: &[Mapping]) -> network::Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        ports::remove(&ports::table(&self.config().owner), gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_checked() {
        let wish = |host_ip: &str, host_port| cri::PortMapping {
            protocol: cri::Protocol::Udp.into(),
            container_port: 53,
            host_port,
            host_ip: host_ip.into(),
        };
        assert_eq!(wanted(&[wish("", 0)]).unwrap(), []);
        let all = HostPort { host: None, protocol: UDP, host_port: 5353, port: 53 };
        assert_eq!(wanted(&[wish("", 5353), wish("0.0.0.0", 5353)]).unwrap(), [all, all]);
        let one = HostPort { host: Some(Ipv4Addr::new(192, 0, 2, 1)), ..all };
        assert_eq!(wanted(&[wish("192.0.2.1", 5353)]).unwrap(), [one]);
        for (host_ip, port) in [("127.0.0.1", 1), ("::1", 1), ("x", 1), ("", 65536), ("", -1)] {
            assert!(wanted(&[wish(host_ip, port)]).is_err(), "{host_ip} {port}");
        }
    }
}
