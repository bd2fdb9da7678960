//! What the API server is told.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct Config {
    /// The node or host that this server runs on; part of its identity Lease.
    pub hostname: String,
    /// Under which address clients reach this server: the endpoint of the Service `kubernetes`.
    pub advertise_address: IpAddr,
    /// `iss` of service-account tokens, and their default audience.
    pub issuer: String,
    /// Where certificates are, to be looked after while running.
    pub pki_dir: PathBuf,
    pub names: crate::pki::Names,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            advertise_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            pki_dir: PathBuf::new(),
            names: crate::pki::Names::default(),
        }
    }
}
