//! Whether ranges and the domain that were chosen can be a cluster's: judged by themselves, without a look at the machine.

use anyhow::{Result, bail};
use network::pool::Cidr;

use crate::settings::Settings;

/// Each node has a range of this size: one at least must fit.
const POD_PREFIX_MAX: u8 = 24;
/// The tenth address, that of the DNS, must be one before the last.
const SERVICE_PREFIX_MAX: u8 = 28;
/// Larger ones take networks that are not private.
const PREFIX_MIN: u8 = 8;

/// What no cluster may have, and what it is.
const SPECIAL: [(&str, &str); 5] = [
    ("0.0.0.0/8", "this network's own addresses"),
    ("127.0.0.0/8", "loopback addresses"),
    ("169.254.0.0/16", "link-local addresses"),
    ("224.0.0.0/4", "multicast addresses"),
    ("240.0.0.0/4", "reserved addresses"),
];

/// # Errors
/// The first thing that cannot be, with the flag that chooses another one.
pub fn check(settings: &Settings) -> Result<()> {
    let pods = range("--pod-cidr", &settings.pod_cidr, POD_PREFIX_MAX, "a node's range (/24)")?;
    let services = range("--service-cidr", &settings.service_cidr, SERVICE_PREFIX_MAX, "the DNS address (.10)")?;
    if pods.overlaps(services) {
        bail!(
            "the pod range {pods} overlaps the Service range {services}: choose another one with --pod-cidr or \
             --service-cidr"
        );
    }
    domain(&settings.domain)
}

fn range(flag: &str, text: &str, prefix_max: u8, what: &str) -> Result<Cidr> {
    let range: Cidr = match text.parse() {
        Ok(range) => range,
        Err(error) => bail!("{flag}: {error}"),
    };
    if range.prefix() < PREFIX_MIN {
        bail!("{flag}: {text} is too large: it must be within private addresses, such as 10.244.0.0/16");
    }
    for (special, what) in SPECIAL {
        if range.overlaps(special.parse()?) {
            bail!("{flag}: {text} has {what} ({special}): choose private ones, such as 10.244.0.0/16");
        }
    }
    if range.prefix() > prefix_max {
        bail!("{flag}: {text} is too small: {what} does not fit; it needs a prefix of /{prefix_max} or shorter");
    }
    Ok(range)
}

fn domain(text: &str) -> Result<()> {
    match machinery::validation::dns1123_subdomain(text).first() {
        Some(problem) => bail!("--domain: {text:?}: {problem}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pods: &str, services: &str, domain: &str) -> String {
        let chosen = Settings {
            pod_cidr: pods.into(),
            service_cidr: services.into(),
            domain: domain.into(),
            ..Settings::default()
        };
        check(&chosen).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn usual_ranges_are_taken() {
        check(&Settings::default()).unwrap();
        assert_eq!(said("172.20.5.0/24", "192.168.7.0/28", "a.b"), "");
        assert_eq!(said("10.0.0.0/9", "10.128.0.0/12", "cluster.local"), "");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_flag() {
        for bad in ["0.0.0.0/0", "127.0.0.0/16", "224.1.0.0/16", "169.254.0.0/16", "10.1.2.0/25", "255.0.0.0/16", "x"] {
            let said = said(bad, "10.96.0.0/16", "a");
            assert!(said.starts_with("--pod-cidr: "), "{bad}: {said:?}");
        }
        for bad in ["0.0.0.0/0", "127.0.0.0/16", "239.0.0.0/16", "10.1.2.0/29", "10.1.2.0/32", "10.1.2.0/33"] {
            let said = said("10.244.0.0/16", bad, "a");
            assert!(said.starts_with("--service-cidr: "), "{bad}: {said:?}");
        }
        for both in ["10.244.0.0/16", "10.244.3.0/24", "10.0.0.0/8"] {
            assert!(said("10.244.0.0/16", both, "a").contains("overlaps the Service range"), "{both}");
        }
        for bad in ["", "A.b", "a..b", "-a", "a_b", ".a", "a."] {
            assert!(said("10.244.0.0/16", "10.96.0.0/16", bad).starts_with("--domain: "), "{bad:?}");
        }
    }
}
