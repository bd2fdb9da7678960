use std::net::Ipv4Addr;
use std::process::Command;

use super::*;
use crate::namespace;

const SERVICES: Set = Set {
    name: "services",
    key: &[Field::Ipv4, Field::Protocol, Field::Port],
    data: Some(MapData::Verdict),
    is_dynamic: false,
};
const ENDPOINTS: Set = Set {
    name: "endpoints",
    key: &[Field::Mark, Field::Mark],
    data: Some(MapData::Fields(&[Field::Ipv4, Field::Port])),
    is_dynamic: false,
};
const AFFINITY: Set = Set {
    name: "affinity",
    key: &[Field::Mark, Field::Ipv4],
    data: Some(MapData::Fields(&[Field::Mark])),
    is_dynamic: true,
};

fn apart<T: Send>(work: impl FnOnce() -> crate::Result<T> + Send) -> T {
    namespace::apart(work).unwrap()
}

fn listing() -> String {
    let output = Command::new("nft").args(["-n", "list", "ruleset"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

fn service(last: u8, chain: &str) -> Element {
    let key = Key::default().ipv4(Ipv4Addr::new(10, 96, 0, last)).protocol(6).port(80);
    Element { key, data: Data::Verdict(Verdict::Goto(chain.into())) }
}

fn everything() -> Transaction {
    let mut transaction = Transaction::new(Family::Ipv4, "kybtest");
    transaction.add_table();
    for set in [SERVICES, ENDPOINTS, AFFINITY] {
        transaction.add_set(&set);
    }
    let hook = |kind, point, priority| Some(Hook { kind, point, priority });
    transaction.add_chain("pre", hook(ChainKind::Nat, HookPoint::Prerouting, -100));
    transaction.add_chain("post", hook(ChainKind::Nat, HookPoint::Postrouting, 100));
    transaction.add_chain("forward", hook(ChainKind::Filter, HookPoint::Forward, 0));
    transaction.add_chain("svc-a/b", None);
    transaction
}

#[test]
fn everything_is_taken_by_the_kernel() {
    use Expression as E;
    let r = Register;
    let text = apart(|| {
        let mut transaction = everything();
        let load = [E::destination(r(0)), E::Protocol { to: r(1) }, E::destination_port(r(2))];
        let lookup = E::Lookup { set: "services".into(), from: r(0), then: Lookup::Verdict };
        transaction.add_rule("pre", &[&load[..], &[lookup]].concat());
        let range = (Ipv4Addr::new(10, 244, 0, 0), Ipv4Addr::new(255, 255, 0, 0));
        transaction.add_rule("pre", &[&E::is_to_here()[..], &E::add_mark(0x4000)].concat());
        transaction.add_rule("post", &[&E::has_mark(0x4000)[..], &[E::Masquerade]].concat());
        let outside = [&E::source_in(range.0, range.1, true)[..], &E::destination_in(range.0, range.1, false)];
        transaction.add_rule("post", &[&outside.concat()[..], &[E::Masquerade]].concat());
        transaction.add_rule("forward", &[&E::is_new()[..], &[E::Reject(Reject::PortUnreachable)]].concat());
        let id = |register, number: u32| E::Load { to: r(register), value: number.to_ne_bytes().to_vec() };
        let endpoint = E::Lookup { set: "endpoints".into(), from: r(0), then: Lookup::Value(r(4)) };
        let nat = E::DestinationNat { address: r(4), port: r(5) };
        transaction.add_rule("svc-a/b", &[id(0, 7), E::Random { modulus: 3, to: r(1) }, endpoint, nat]);
        let forget = E::Forget { set: "affinity".into(), key: r(0), value: r(4) };
        let remember = E::Remember { set: "affinity".into(), key: r(0), value: Some(r(4)), timeout_ms: 10_000 };
        transaction.add_rule("svc-a/b", &[id(0, 7), E::source(r(1)), id(4, 9), forget, remember]);
        let known = E::Lookup { set: "affinity".into(), from: r(0), then: Lookup::Value(r(4)) };
        let keep = [E::SetPriority { from: r(4) }, E::Priority { to: r(0) }];
        transaction.add_rule("svc-a/b", &[&[id(0, 7), E::source(r(1)), known][..], &keep].concat());
        transaction.add_elements("services", &[service(1, "svc-a/b")]);
        let data = Data::Value(Key::default().ipv4(Ipv4Addr::new(10, 244, 0, 2)).port(8080));
        transaction.add_elements("endpoints", &[Element { key: Key::default().mark(7).mark(0), data }]);
        transaction.commit()?;
        assert_eq!(tables(Family::Ipv4)?, ["kybtest"]);
        assert_eq!(elements(Family::Ipv4, "kybtest", "services")?, [service(1, "svc-a/b")]);
        Ok(listing())
    });
    for part in [
        "10.96.0.1 . 6 . 80 : goto svc-a/b",
        "ip daddr . meta l4proto . th dport vmap @services",
        "fib daddr type 2 meta mark set meta mark | 0x00004000",
        "meta mark & 0x00004000 != 0x00000000 masquerade fully-random",
        "ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade fully-random",
        "ct state 0x8 reject",
        "numgen random mod 3",
        "10.244.0.2 . 8080",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_refused_change_takes_back_all_others() {
    let (message, tables_left) = apart(|| {
        let mut transaction = everything();
        transaction.add_elements("services", &[service(1, "no-such-chain")]);
        let message = transaction.commit().unwrap_err().to_string();
        Ok((message, tables(Family::Ipv4)?))
    });
    assert!(message.starts_with("add elements to services: No such file or directory"), "{message}");
    assert!(tables_left.is_empty());
}

#[test]
fn tables_go_and_need_not_be_there() {
    apart(|| {
        everything().commit()?;
        everything().commit()?;
        remove_table(Family::Ipv4, "kybtest")?;
        remove_table(Family::Ipv4, "kybtest")?;
        assert!(tables(Family::Ipv4)?.is_empty());
        assert!(elements(Family::Ipv4, "kybtest", "services").unwrap_err().is_absent());
        Transaction::new(Family::Ipv4, "kybtest").commit()
    });
}

#[test]
fn long_lists_of_elements_are_split() {
    let count = apart(|| {
        let mut transaction = everything();
        let many: Vec<_> = (0..5_000_u32)
            .map(|number| Element {
                key: Key::default().mark(number).mark(0),
                data: Data::Value(Key::default().ipv4(Ipv4Addr::from_bits(number)).port(1)),
            })
            .collect();
        transaction.add_elements("endpoints", &many);
        transaction.commit()?;
        let mut fewer = Transaction::new(Family::Ipv4, "kybtest");
        fewer.remove_elements("endpoints", &many[..4_000]);
        fewer.commit()?;
        elements(Family::Ipv4, "kybtest", "endpoints")
    });
    assert_eq!(count.len(), 1_000);
}

#[test]
fn chains_that_drop_are_found() {
    let found = apart(|| {
        let rules = "add table ip filter
            add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
            add chain ip filter INPUT { type filter hook input priority 0; policy drop; }
            add table inet other
            add chain inet other f { type filter hook forward priority 0; policy accept; }";
        assert!(Command::new("nft").arg(rules).status().unwrap().success());
        dropping_chains(HookPoint::Forward)
    });
    assert_eq!(found, [BaseChain { table: "filter".into(), name: "FORWARD".into() }]);
}
