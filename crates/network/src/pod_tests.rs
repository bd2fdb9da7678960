use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;
use crate::host;

/// A namespace that stands for a host, and all that is made in it; gone when dropped.
struct Ground {
    folder: PathBuf,
    host: PathBuf,
}

impl Ground {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("kybtest-net-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let host = folder.join("host");
        namespace::create(&host).unwrap();
        Self { folder, host }
    }

    fn on_host<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> T {
        namespace::within(&self.host, work).unwrap()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            namespace::remove(&entry.unwrap().path()).unwrap();
        }
        std::fs::remove_dir(&self.folder).unwrap();
    }
}

fn gateway() -> Ipv4Addr {
    Ipv4Addr::new(10, 244, 0, 1)
}

/// Whether something answers at `to`, if only with a refusal.
fn reaches(to: [u8; 4]) -> bool {
    let target = (Ipv4Addr::from(to), 9).into();
    match TcpStream::connect_timeout(&target, Duration::from_secs(1)) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

fn output(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn names_are_stable_and_short() {
    assert_eq!(link_name("a", "b").len(), LINK_NAME_BYTES_MAX);
    assert_eq!(link_name("a", "b"), link_name("a", "b"));
    assert_ne!(link_name("a", "b"), link_name("a", "c"));
    assert!(link_name("a", "b").starts_with(&link_prefix("a")));
    assert_ne!(link_prefix("a"), link_prefix("b"));
}

#[test]
fn namespaces_may_be_made_and_removed_twice() {
    let ground = Ground::new("twice");
    let path = ground.folder.join("pod");
    std::fs::write(&path, "").unwrap();
    assert!(!namespace::exists(&path));
    namespace::create(&path).unwrap();
    namespace::create(&path).unwrap();
    assert!(namespace::exists(&path));
    assert!(namespace::within(&path, || Ok(output("ip link show lo"))).unwrap().contains("LOOPBACK,UP"));
    namespace::remove(&path).unwrap();
    namespace::remove(&path).unwrap();
    assert!(!path.exists());
}

#[test]
fn two_pods_reach_each_other_and_the_host() {
    let ground = Ground::new("reach");
    let pods = ["one", "two"].map(|name| ground.folder.join(name));
    pods.iter().for_each(|pod| namespace::create(pod).unwrap());
    ground.on_host(|| {
        host::add_gateway(gateway())?;
        host::enable_forwarding()?;
        for (last, pod) in (2..).zip(&pods) {
            let name = link_name("reach", &last.to_string());
            let address = Ipv4Addr::new(10, 244, 0, last);
            let wanted =
                Attachment { namespace: pod, host_link: &name, address, gateway: gateway(), mtu: 1400, alias: "pod" };
            attach(&wanted)?;
            attach(&wanted)?;
        }
        assert_eq!(links("reach")?.len(), 2);
        assert_eq!(links("reach")?[0].alias, "pod");
        assert_eq!(links("other")?.len(), 0);
        Ok(())
    });
    let is_quiet = || Ok(!output("ip -6 addr show scope link").contains("fe80"));
    assert!(ground.on_host(is_quiet) && namespace::within(&pods[0], is_quiet).unwrap(), "link-local addresses");
    for to in [[10, 244, 0, 3], [10, 244, 0, 1]] {
        assert!(namespace::within(&pods[0], || Ok(reaches(to))).unwrap(), "{to:?}");
    }
    assert!(ground.on_host(|| Ok(reaches([10, 244, 0, 3]))));
    assert!(!ground.on_host(|| Ok(reaches([10, 244, 0, 4]))));
    ground.on_host(|| {
        detach(&link_name("reach", "2"))?;
        detach(&link_name("reach", "2"))?;
        assert_eq!(links("reach")?.len(), 1);
        assert_eq!(links("reach")?[0].addresses, [Ipv4Addr::new(10, 244, 0, 3)]);
        Ok(())
    });
}

#[test]
fn half_a_pair_and_another_address_are_repaired() {
    let ground = Ground::new("repair");
    let pods = ["one", "two"].map(|name| ground.folder.join(name));
    pods.iter().for_each(|pod| namespace::create(pod).unwrap());
    ground.on_host(|| {
        let name = link_name("repair", "x");
        let wanted = |pod, last| Attachment {
            namespace: pod,
            host_link: &name,
            address: Ipv4Addr::new(10, 244, 0, last),
            gateway: gateway(),
            mtu: 1500,
            alias: "",
        };
        host::add_gateway(gateway())?;
        attach(&wanted(&pods[0], 2))?;
        // The same name for another namespace: the stale pair goes.
        attach(&wanted(&pods[1], 2))?;
        attach(&wanted(&pods[1], 9))?;
        attach(&Attachment { alias: &"é".repeat(200), ..wanted(&pods[1], 9) })?;
        assert!(reaches([10, 244, 0, 9]));
        assert_eq!(links("repair")?[0].addresses, [Ipv4Addr::new(10, 244, 0, 9)]);
        Ok(())
    });
    let addresses = |pod: &PathBuf| namespace::within(pod, || Ok(output("ip -4 -o addr show eth0"))).unwrap();
    assert!(!addresses(&pods[0]).contains("10.244"));
    assert!(addresses(&pods[1]).contains("10.244.0.9/32") && !addresses(&pods[1]).contains("10.244.0.2/"));
}

#[test]
fn what_cannot_be_is_refused() {
    let absent = Path::new("/nonexistent/kybtest");
    let wanted = Attachment {
        namespace: absent,
        host_link: "a-name-that-is-too-long",
        address: gateway(),
        gateway: gateway(),
        mtu: 1500,
        alias: "",
    };
    assert!(matches!(attach(&wanted), Err(Error::Invalid(_))));
    assert!(attach(&Attachment { host_link: "kybtest0", ..wanted }).unwrap_err().is_absent());
    assert!(namespace::create(absent).unwrap_err().is_absent());
    namespace::remove(absent).unwrap();
}

#[test]
fn attaching_takes_little_time() {
    let ground = Ground::new("speed");
    let pods: Vec<_> = (2..42).map(|number| ground.folder.join(number.to_string())).collect();
    let start = Instant::now();
    pods.iter().for_each(|pod| namespace::create(pod).unwrap());
    let created = start.elapsed() / 40;
    let attached = ground.on_host(|| {
        host::add_gateway(gateway())?;
        let start = Instant::now();
        for (number, pod) in (2..).zip(&pods) {
            let name = link_name("speed", &number.to_string());
            let address = Ipv4Addr::new(10, 244, 0, number);
            attach(&Attachment {
                namespace: pod,
                host_link: &name,
                address,
                gateway: gateway(),
                mtu: 1500,
                alias: "",
            })?;
        }
        Ok(start.elapsed() / 40)
    });
    eprintln!("create a namespace {created:?}, attach {attached:?}");
    assert!(attached.as_millis() < 20, "{attached:?}");
}
