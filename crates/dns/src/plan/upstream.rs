//! The host's resolvers: which there are, and which of them to ask now.

use std::net::{IpAddr, SocketAddr};

const DNS_PORT: u16 = 53;
/// As glibc: further ones are not looked at.
const SERVERS_MAX: usize = 3;
/// So many questions in a row without an answer, and a server is asked only from time to time.
const FAILURES_MAX: u32 = 3;
const PROBE_MS: u64 = 1_000;

/// The `nameserver` lines of a resolv.conf (resolv.conf(5)), but for addresses in `own`: asking ourselves would never end.
pub fn parse(resolv_conf: &str, own: &[IpAddr]) -> Vec<SocketAddr> {
    let lines = resolv_conf.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    let addresses = lines.filter(|rest| rest.starts_with([' ', '\t'])).filter_map(|rest| {
        let text = rest.split_whitespace().next()?;
        // A link-local address may name its link, which a socket address cannot say here.
        text.split('%').next()?.parse::<IpAddr>().ok()
    });
    let others = addresses.filter(|address| !own.contains(address));
    others.take(SERVERS_MAX).map(|address| SocketAddr::new(address, DNS_PORT)).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    address: SocketAddr,
    failures: u32,
    next_try_ms: u64,
}

/// The servers with what is known of their health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstreams {
    servers: Vec<Server>,
}

impl Upstreams {
    pub fn new(addresses: &[SocketAddr]) -> Self {
        let server = |address: &SocketAddr| Server { address: *address, failures: 0, next_try_ms: 0 };
        Self { servers: addresses.iter().map(server).collect() }
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.address).collect()
    }

    /// Whom to ask, in this order. Nobody, if all are silent and were tried a moment ago: the client is told at once.
    pub fn choose(&mut self, now_ms: u64) -> Vec<SocketAddr> {
        let healthy = self.servers.iter().filter(|server| server.failures < FAILURES_MAX);
        let mut chosen: Vec<SocketAddr> = healthy.map(|server| server.address).collect();
        for server in self.servers.iter_mut().filter(|server| server.failures >= FAILURES_MAX) {
            if server.next_try_ms <= now_ms {
                server.next_try_ms = now_ms + PROBE_MS;
                chosen.push(server.address);
            }
        }
        chosen
    }

    pub fn report(&mut self, address: SocketAddr, answered: bool, now_ms: u64) {
        for server in self.servers.iter_mut().filter(|server| server.address == address) {
            server.failures = if answered { 0 } else { server.failures.saturating_add(1) };
            server.next_try_ms = now_ms + PROBE_MS;
        }
    }
}
