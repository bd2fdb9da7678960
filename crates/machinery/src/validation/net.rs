//! Addresses and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::texts::{in_range, max_length};

const PORT_NAME_MAX: usize = 15;

/// An address in the wide sense of upstream: leading zeros in IPv4 numbers are read as decimal.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(unmapped);
    }
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        *octet = if digits { part.parse().ok()? } else { return None };
    }
    parts.next().is_none().then_some(IpAddr::V4(Ipv4Addr::from(octets)))
}

/// IPv4 addresses in IPv6 clothes count as IPv4, as in Go.
fn unmapped(address: Ipv6Addr) -> IpAddr {
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

/// The address and the length of the prefix.
pub fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let (address, digits) = (parse_ip(address)?, bits.bytes().all(|b| b.is_ascii_digit()));
    let bits: u8 = bits.parse().ok().filter(|_| digits)?;
    let most = if text.contains(':') { 128 } else { 32 };
    (bits <= most).then_some((address, bits))
}

pub fn ip(text: &str) -> Vec<String> {
    match parse_ip(text) {
        Some(_) => Vec::new(),
        None => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
    }
}

pub fn ipv4(text: &str) -> Vec<String> {
    match parse_ip(text) {
        Some(IpAddr::V4(_)) => Vec::new(),
        _ => vec!["must be a valid IPv4 address".into()],
    }
}

pub fn ipv6(text: &str) -> Vec<String> {
    match parse_ip(text) {
        Some(IpAddr::V6(_)) => Vec::new(),
        _ => vec!["must be a valid IPv6 address".into()],
    }
}

pub fn cidr(text: &str) -> Vec<String> {
    match parse_cidr(text) {
        Some(_) => Vec::new(),
        None => vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into()],
    }
}

pub fn port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65535)
}

/// An IANA service name: at most 15 bytes, a letter in it, no dash at the ends, no two in a row.
pub fn port_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > PORT_NAME_MAX {
        wrong.push(max_length(PORT_NAME_MAX));
    }
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || !text.bytes().all(good) {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".into());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports() {
        assert_eq!(parse_ip("010.0.0.1"), Some(IpAddr::from([10, 0, 0, 1])));
        assert!(ip("10.0.0.256").len() == 1 && ip("::1").is_empty() && ip("1.2.3").len() == 1);
        assert_eq!(parse_cidr("10.0.0.0/8"), Some((IpAddr::from([10, 0, 0, 0]), 8)));
        assert!(cidr("10.0.0.0/33").len() == 1 && cidr("10.0.0.0/+8").len() == 1 && cidr("fd00::/64").is_empty());
        assert!(port_name("http").is_empty() && port_name("80").len() == 1 && port_name("a--b").len() == 1);
    }
}
