//! NodePorts: host ports must be free.

use super::{Question, Refusal};
use crate::pod::{HostPort, Wanted};

const ANY: &str = "0.0.0.0";

pub fn filter(wanted: &Wanted) -> Option<Question<'_>> {
    if wanted.host_ports.is_empty() {
        return None;
    }
    Some(Box::new(|node| {
        let taken = wanted.host_ports.iter().any(|port| node.ports.iter().any(|held| collide(port, held)));
        taken.then(|| Refusal::passing("node(s) didn't have free ports for the requested pod ports"))
    }))
}

fn collide(a: &HostPort, b: &HostPort) -> bool {
    a.port == b.port && a.protocol == b.protocol && (a.address == b.address || a.address == ANY || b.address == ANY)
}
