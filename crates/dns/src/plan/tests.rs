use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::serialize::binary::BinDecodable;
use machinery::key::Key;
use serde_json::json;

use super::answer::{Sections, write};
use super::cache::{Cache, Question};
use super::name::Name;
use super::response::Response;
use super::upstream::{Upstreams, parse};
use super::wire::{Bad, Code, Query, kind};
use super::*;

fn service(spec: serde_json::Value) -> Option<Arc<ServiceFacts>> {
    let tree = json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec});
    ServiceFacts::of(&serde_json::from_value(tree).unwrap()).map(Arc::new)
}

fn slice(name: &str, endpoints: serde_json::Value) -> Arc<SliceFacts> {
    let tree = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints});
    Arc::new(SliceFacts::of(&serde_json::from_value(tree).unwrap()))
}

fn records() -> Records {
    let mut records = Records::new(Name::parse("cluster.local").unwrap());
    let ports = json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    let key = |name| Key::new("default", name);
    records.apply_service(&key("web"), service(json!({"clusterIP": "10.96.0.9", "ports": ports})));
    records.apply_service(&key("db"), service(json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]})));
    records.apply_service(&key("none"), service(json!({"clusterIP": "None"})));
    records.apply_service(&key("out"), service(json!({"type": "ExternalName", "externalName": "example.org"})));
    let dns = service(json!({"clusterIP": "10.96.0.10", "ports": [{"port": 53, "protocol": "UDP"}]}));
    records.apply_service(&Key::new("kube-system", "kube-dns"), dns);
    let endpoints = json!([{"addresses": ["10.244.0.2"], "hostname": "db-0"}, {"addresses": ["10.244.0.3"]},
        {"addresses": ["10.244.0.4"], "conditions": {"ready": false}}]);
    records.apply_slice(&key("db-1"), slice("db", endpoints));
    records.apply_slice(&key("web-1"), slice("web", json!([{"addresses": ["10.244.0.5"]}])));
    ["default", "kube-system"].iter().for_each(|name| records.apply_namespace(name, true));
    records.complete();
    records
}

fn query(name: &str, kind: u16, edns: bool) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    if edns {
        packet.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    }
    packet
}

/// The zone's answer, written and read again by another implementation, in short.
fn say(name: &str, wanted: u16) -> String {
    let zone = records().zone();
    let packet = query(name, wanted, true);
    let query = Query::parse(&packet).unwrap();
    let (code, sections) = match lookup(&zone, &query.name, query.kind) {
        Found::Records { answers, additional } => {
            (Code::NoError, Sections { answers, additional, ..Sections::default() })
        }
        Found::Nothing => (Code::NoError, Sections { authority: vec![zone.authority()], ..Sections::default() }),
        Found::NoSuchName => (Code::NoSuchName, Sections { authority: vec![zone.authority()], ..Sections::default() }),
        other => return format!("{other:?}"),
    };
    let message = Message::from_bytes(&write(&query, code, true, &sections, 4_096, 0)).unwrap();
    assert_eq!(message.queries[0].name().to_string().trim_end_matches('.'), name);
    let soa = message.authorities.iter().filter(|record| record.record_type() == RecordType::SOA).count();
    let said: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
    match (message.metadata.response_code, soa) {
        (ResponseCode::NoError, 0) => said.join(", "),
        (ResponseCode::NoError, 1) => "nothing".into(),
        (ResponseCode::NXDomain, 1) => "no such name".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn names_of_the_specification() {
    for (name, wanted, expected) in [
        ("web.default.svc.cluster.local", kind::A, "10.96.0.9"),
        ("WEB.Default.SVC.cluster.local", kind::A, "10.96.0.9"),
        ("web.default.svc.cluster.local", kind::AAAA, "nothing"),
        (
            "web.default.svc.cluster.local",
            kind::SRV,
            "0 50 80 web.default.svc.cluster.local., 0 50 53 web.default.svc.cluster.local.",
        ),
        ("_http._tcp.web.default.svc.cluster.local", kind::SRV, "0 100 80 web.default.svc.cluster.local."),
        ("_http._tcp.web.default.svc.cluster.local", kind::A, "nothing"),
        ("_tcp.web.default.svc.cluster.local", kind::A, "nothing"),
        ("_http._udp.web.default.svc.cluster.local", kind::SRV, "no such name"),
        ("10-244-0-5.web.default.svc.cluster.local", kind::A, "10.244.0.5"),
        ("db.default.svc.cluster.local", kind::A, "10.244.0.2, 10.244.0.3"),
        ("db-0.db.default.svc.cluster.local", kind::A, "10.244.0.2"),
        ("10-244-0-3.db.default.svc.cluster.local", kind::A, "10.244.0.3"),
        ("10-244-0-4.db.default.svc.cluster.local", kind::A, "no such name"),
        (
            "_http._tcp.db.default.svc.cluster.local",
            kind::SRV,
            "0 50 8080 db-0.db.default.svc.cluster.local., 0 50 8080 10-244-0-3.db.default.svc.cluster.local.",
        ),
        ("none.default.svc.cluster.local", kind::A, "no such name"),
        ("out.default.svc.cluster.local", kind::CNAME, "example.org."),
        ("1-2-3-4.default.pod.cluster.local", kind::A, "1.2.3.4"),
        ("1-2-3-4.absent.pod.cluster.local", kind::A, "no such name"),
        ("1-2-3.default.pod.cluster.local", kind::A, "no such name"),
        ("default.svc.cluster.local", kind::A, "nothing"),
        ("absent.svc.cluster.local", kind::A, "no such name"),
        ("svc.cluster.local", kind::A, "nothing"),
        ("google.com.default.svc.cluster.local", kind::A, "no such name"),
        ("a.b.c.web.default.svc.cluster.local", kind::A, "no such name"),
        ("google.com.cluster.local", kind::A, "no such name"),
        ("dns-version.cluster.local", kind::TXT, "1.1.0"),
        ("ns.dns.cluster.local", kind::A, "10.96.0.10"),
        ("cluster.local", kind::A, "nothing"),
        ("cluster.local", kind::NS, "ns.dns.cluster.local."),
        ("9.0.96.10.in-addr.arpa", kind::PTR, "web.default.svc.cluster.local."),
        ("2.0.244.10.in-addr.arpa", kind::PTR, "db-0.db.default.svc.cluster.local."),
        ("5.0.244.10.in-addr.arpa", kind::PTR, "10-244-0-5.web.default.svc.cluster.local."),
        ("8.8.8.8.in-addr.arpa", kind::PTR, "Foreign"),
        ("example.org", kind::A, "Foreign"),
        ("notcluster.local", kind::A, "Foreign"),
        ("xcluster.local", kind::A, "Foreign"),
        ("local", kind::A, "Foreign"),
        ("", kind::NS, "Foreign"),
    ] {
        assert_eq!(say(name, wanted), expected, "{name} {wanted}");
    }
    let soa = say("cluster.local", kind::SOA);
    assert!(soa.starts_with("ns.dns.cluster.local. hostmaster.cluster.local. ") && soa.ends_with(" 30"), "{soa}");
}

#[test]
fn aliases_are_found_and_nothing_is_said_too_early() {
    let zone = records().zone();
    let out = Name::parse("out.default.svc.cluster.local").unwrap();
    assert_eq!(lookup(&zone, &out, kind::A), Found::Alias(Name::parse("example.org").unwrap()));
    let early = Records::new(Name::parse("cluster.local").unwrap()).zone();
    assert_eq!(lookup(&early, &out, kind::A), Found::NotYet);
}

#[test]
fn deleted_things_have_no_names() {
    let mut records = records();
    records.zone();
    let before = records.zone().serial;
    records.apply_service(&Key::new("default", "db"), None);
    records.delete_slice(&Key::new("default", "web-1"));
    let zone = records.zone();
    assert!(zone.serial > before);
    for gone in ["db.default.svc.cluster.local", "10-244-0-5.web.default.svc.cluster.local"] {
        assert_eq!(lookup(&zone, &Name::parse(gone).unwrap(), kind::A), Found::NoSuchName);
    }
    let pointer = Name::parse("2.0.244.10.in-addr.arpa").unwrap();
    assert_eq!(lookup(&zone, &pointer, kind::PTR), Found::Foreign);
}

#[test]
fn what_does_not_fit_is_truncated_and_said_so() {
    let mut records = records();
    let many: Vec<_> = (0..200).map(|n| json!({"addresses": [format!("10.244.1.{n}")]})).collect();
    records.apply_slice(&Key::new("default", "db-1"), slice("db", json!(many)));
    let zone = records.zone();
    let packet = query("db.default.svc.cluster.local", kind::A, false);
    let query = Query::parse(&packet).unwrap();
    let Found::Records { answers, .. } = lookup(&zone, &query.name, query.kind) else { panic!() };
    let sections = Sections { answers, ..Sections::default() };
    let cut = write(&query, Code::NoError, true, &sections, query.udp_bytes(), 7);
    let message = Message::from_bytes(&cut).unwrap();
    assert!(
        cut.len() <= 512 && message.metadata.truncation && message.answers.len() == 29,
        "{}",
        message.answers.len()
    );
    assert_eq!(message.answers[0].data.to_string(), "10.244.1.7", "rotated");
    let whole = Message::from_bytes(&write(&query, Code::NoError, true, &sections, 65_535, 0)).unwrap();
    assert!(!whole.metadata.truncation && whole.answers.len() == 200);
}

#[test]
fn bad_packets_are_refused_or_ignored() {
    assert_eq!(Query::parse(b"").unwrap_err(), Bad::Ignore);
    let mut answer = query("a.b", kind::A, false);
    answer[2] |= 0x80;
    assert_eq!(Query::parse(&answer).unwrap_err(), Bad::Ignore);
    let mut packet = query("a.b", kind::A, true);
    for end in 12..packet.len() {
        assert!(matches!(Query::parse(&packet[..end]), Err(Bad::Refuse { code: Code::FormatError, .. })), "{end}");
    }
    packet[2] |= 0x10;
    assert!(matches!(Query::parse(&packet), Err(Bad::Refuse { code: Code::NotImplemented, .. })));
    // A name that points to itself.
    let looped = [&packet[..2], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]].concat();
    assert!(matches!(Query::parse(&looped), Err(Bad::Refuse { code: Code::FormatError, .. })));
}

fn upstream_answer(name: &str, ttl: u8) -> Vec<u8> {
    let mut packet = query(name, kind::A, false);
    packet[2] |= 0x80;
    packet[7] = 2;
    packet.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, ttl, 0, 4, 1, b'x', 0xc0, 12]);
    packet.extend_from_slice(&[1, b'x', 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    packet
}

fn response(name: &str, ttl: u8) -> Option<Response> {
    Response::parse(upstream_answer(name, ttl), 0x1234, &Name::parse("example.org").unwrap(), kind::A, 1)
}

#[test]
fn answers_of_others_are_checked_aged_and_spelt_as_asked() {
    assert!(response("example.com", 9).is_none());
    let response = response("example.org", 9).unwrap();
    assert_eq!(response.keep_s, 9);
    let packet = query("ExAmple.org", kind::A, false);
    let client = Query { id: 7, ..Query::parse(&packet).unwrap() };
    let message = Message::from_bytes(&response.reply(&client, 4, 512)).unwrap();
    assert_eq!(message.metadata.id, 7);
    assert_eq!(message.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(), [5, 56]);
    assert_eq!(message.queries[0].name().to_string(), "ExAmple.org.");
    assert!(Message::from_bytes(&response.reply(&client, 4, 40)).unwrap().metadata.truncation);
    let records = response.addresses();
    assert_eq!(records.len(), 2);
    assert!(records[1].starts_with(b"\x01x\x07example\x03org\0"));
}

#[test]
fn the_cache_forgets_in_time_and_within_its_bound() {
    let question = |name: &str| Question::of(&Query::parse(&query(name, kind::A, false)).unwrap(), false);
    let mut cache = Cache::default();
    cache.put(question("a"), response("example.org", 9).map(Arc::new), 1_000);
    cache.put(question("b"), None, 1_000);
    assert_eq!(cache.get(&question("A"), 5_500).unwrap().1, 4);
    assert!(cache.get(&question("a"), 10_000).is_none());
    assert!(cache.get(&question("b"), 1_900).unwrap().0.is_none() && cache.get(&question("b"), 2_000).is_none());
    for number in 0..11_000 {
        cache.put(question(&format!("n{number}")), response("example.org", 9).map(Arc::new), 20_000);
    }
    let kept = (0..11_000).filter(|n| cache.get(&question(&format!("n{n}")), 20_000).is_some()).count();
    assert_eq!(kept, 10_000);
}

#[test]
fn resolvers_are_read_and_rested() {
    let own = ["10.96.0.10".parse().unwrap()];
    let text = "# x\nsearch a\nnameserver 10.96.0.10\n nameserver\t192.0.2.1 # y\nnameserverx 1.1.1.1\nnameserver fe80::1%eth0\n";
    let servers = parse(text, &own);
    assert_eq!(servers, ["192.0.2.1:53".parse::<SocketAddr>().unwrap(), "[fe80::1]:53".parse().unwrap()]);
    let mut upstreams = Upstreams::new(&servers[..1]);
    for _ in 0..3 {
        assert_eq!(upstreams.choose(0), &servers[..1]);
        upstreams.report(servers[0], false, 0);
    }
    assert!(upstreams.choose(500).is_empty());
    assert_eq!(upstreams.choose(1_000), &servers[..1], "a probe");
    assert!(upstreams.choose(1_100).is_empty(), "one at a time");
    upstreams.report(servers[0], true, 1_200);
    assert_eq!(upstreams.choose(1_200), &servers[..1]);
}
