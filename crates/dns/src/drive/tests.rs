//! The whole server in a network namespace: a cluster that the test plays, a resolver upstream, real packets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use client::{Events, Transport};
use futures::StreamExt;
use futures::future::BoxFuture;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::serialize::binary::BinDecodable;
use machinery::object::Object;
use machinery::request::{Answer, Change as Kind, Content, List, Request, WatchEvent};
use machinery::status::Status;
use serde_json::{Value, json};

use super::*;
use crate::plan::wire::kind;

const HERE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

type Sender = tokio::sync::mpsc::UnboundedSender<Result<WatchEvent, Status>>;

/// Answers lists with what is there, after it was opened; watches hear what `tell` says.
struct Cluster {
    open: tokio::sync::watch::Sender<bool>,
    watches: Mutex<Vec<(String, Sender)>>,
}

fn object(resource: &str, name: &str, revision: u32, rest: Value) -> Arc<Object> {
    let mut tree = json!({"apiVersion": "v1", "kind": "Any", "metadata": {"name": name, "uid": name, "resourceVersion": revision.to_string()}});
    if resource != "namespaces" {
        tree["metadata"]["namespace"] = json!("default");
    }
    for (key, value) in rest.as_object().unwrap() {
        tree[key] = value.clone();
    }
    let (kind, version) = match resource {
        "services" => ("Service", "v1"),
        "namespaces" => ("Namespace", "v1"),
        _ => ("EndpointSlice", "discovery.k8s.io/v1"),
    };
    (tree["kind"], tree["apiVersion"]) = (json!(kind), json!(version));
    Object::from_tree(&tree)
}

fn items(resource: &str) -> Vec<Arc<Object>> {
    match resource {
        "services" => vec![
            object(resource, "web", 3, json!({"spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}})),
            object(resource, "out", 4, json!({"spec": {"type": "ExternalName", "externalName": "far.example"}})),
        ],
        "namespaces" => vec![object(resource, "default", 5, json!({}))],
        _ => Vec::new(),
    }
}

impl Transport for Cluster {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Answer, Status>> {
        Box::pin(async move {
            let _ = self.open.subscribe().wait_for(|open| *open).await;
            let content = Content::List(List { revision: 5, items: items(&request.resource), ..List::default() });
            Ok(Answer { code: 200, warnings: Vec::new(), content })
        })
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<Events, Status>> {
        Box::pin(async move {
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            self.watches.lock().unwrap().push((request.resource, sender));
            let stream = futures::stream::unfold(receiver, |mut r| async move { Some((r.recv().await?, r)) });
            Ok(stream.boxed())
        })
    }
}

impl Cluster {
    fn tell(&self, resource: &str, change: Kind, object: Arc<Object>) {
        // A change after the list and before the watch would be the watch's first, from a server that keeps history.
        while !self.watches.lock().unwrap().iter().any(|(name, _)| name == resource) {
            std::thread::sleep(Duration::from_millis(1));
        }
        for (_, watch) in self.watches.lock().unwrap().iter().filter(|(name, _)| name == resource) {
            let _ = watch.send(Ok(WatchEvent { change, object: object.clone() }));
        }
    }
}

fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(Name::parse(name).unwrap().wire());
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet
}

fn ask(name: &str, kind: u16) -> Message {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    socket.send_to(&query(name, kind), (HERE, 53)).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{name}: {error}"));
    Message::from_bytes(&buffer[..length]).unwrap()
}

fn say(name: &str) -> String {
    let message = ask(name, kind::A);
    let said: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
    match message.metadata.response_code {
        ResponseCode::NoError => said.join(", "),
        code => code.to_string(),
    }
}

/// A resolver that gives every name the address 192.0.2.1, and counts; `silent.…` it does not answer.
fn upstream(asked: &'static Mutex<usize>) {
    let socket = UdpSocket::bind((UPSTREAM, 53)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            *asked.lock().unwrap() += 1;
            let mut answer = buffer[..length].to_vec();
            if answer[13..].starts_with(b"silent") {
                continue;
            }
            answer.truncate(answer[12..].iter().position(|byte| *byte == 0).unwrap() + 17);
            (answer[2], answer[3], answer[7], answer[11]) = (0x81, 0x80, 1, 0);
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
            let _ = socket.send_to(&answer, from);
        }
    });
}

/// Runs a server in a namespace while `test` asks it.
fn with_server(name: &str, resolv_conf: &str, test: impl FnOnce(&Cluster, &Path) + Send) {
    let folder = tempfile::Builder::new().prefix(&format!("kybtest-dns-{name}")).tempdir().unwrap();
    let (space, resolv) = (folder.path().join("ns"), folder.path().join("resolv.conf"));
    std::fs::write(&resolv, resolv_conf).unwrap();
    network::namespace::create(&space).unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let work = || {
            serve(&resolv, test);
            Ok(())
        };
        network::namespace::within(&space, work).unwrap();
    }));
    network::namespace::remove(&space).unwrap();
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn serve(resolv_conf: &Path, test: impl FnOnce(&Cluster, &Path)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = Arc::new(Cluster { open: tokio::sync::watch::channel(false).0, watches: Mutex::default() });
    let config =
        Config { listen: vec![(HERE, 53).into()], domain: "cluster.local".into(), resolv_conf: resolv_conf.to_owned() };
    let stop = CancellationToken::new();
    let running = runtime.spawn(run(config, Client::new(cluster.clone()), stop.clone()));
    // The address comes after the server: it does not wait for it.
    std::thread::sleep(Duration::from_millis(50));
    network::host::add_gateway(HERE).unwrap();
    test(&cluster, resolv_conf);
    stop.cancel();
    runtime.block_on(running).unwrap().unwrap();
}

/// Until the server has heard of it.
fn eventually(name: &str, expected: &str) {
    let end = Instant::now() + Duration::from_secs(2);
    while say(name) != expected {
        assert!(Instant::now() < end, "{name} is {} and not {expected}", say(name));
    }
}

#[test]
fn the_cluster_is_answered_once_it_is_known() {
    with_server("cluster", "", |cluster, _| {
        assert_eq!(say("web.default.svc.cluster.local"), "Server Failure");
        cluster.open.send_replace(true);
        eventually("web.default.svc.cluster.local", "10.96.0.9");
        assert_eq!(say("absent.default.svc.cluster.local"), "Non-Existent Domain");
        let moved = |revision| {
            let spec = json!({"spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}});
            object("services", "web", revision, spec)
        };
        cluster.tell("services", Kind::Modified, moved(6));
        eventually("web.default.svc.cluster.local", "10.96.0.7");
        cluster.tell("services", Kind::Deleted, moved(7));
        eventually("web.default.svc.cluster.local", "Non-Existent Domain");
    });
}

#[test]
fn other_names_are_asked_upstream_once() {
    static ASKED: Mutex<usize> = Mutex::new(0);
    with_server("upstream", "nameserver 127.0.0.77\n", |cluster, _| {
        upstream(&ASKED);
        assert_eq!(say("a.example"), "192.0.2.1", "before the cluster is known");
        cluster.open.send_replace(true);
        eventually("out.default.svc.cluster.local", "far.example., 192.0.2.1");
        let before = *ASKED.lock().unwrap();
        std::thread::scope(|scope| {
            (0..20).for_each(|_| drop(scope.spawn(|| assert_eq!(say("b.example"), "192.0.2.1"))))
        });
        assert_eq!(*ASKED.lock().unwrap() - before, 1);
        assert_eq!(say("silent.example"), "Server Failure");
        let before = *ASKED.lock().unwrap();
        assert_eq!(say("silent.example"), "Server Failure");
        assert_eq!(*ASKED.lock().unwrap(), before, "silence is remembered");
    });
}

#[test]
fn without_a_resolver_nobody_waits() {
    with_server("none", "nameserver 10.244.0.1\n", |cluster, resolv_conf| {
        cluster.open.send_replace(true);
        let start = Instant::now();
        assert_eq!(say("a.example"), "Server Failure");
        // Nobody listens there: the kernel says so at once.
        std::fs::write(resolv_conf, "nameserver 127.0.0.1\n").unwrap();
        assert_eq!(say("b.example"), "Server Failure");
        // No route there.
        std::fs::write(resolv_conf, "nameserver 192.0.2.77\n").unwrap();
        assert_eq!(say("c.example"), "Server Failure");
        // Not one of them waited until the deadline.
        assert!(start.elapsed() < Duration::from_millis(super::forward::DEADLINE_MS), "{:?}", start.elapsed());
        static ASKED: Mutex<usize> = Mutex::new(0);
        upstream(&ASKED);
        let fresh = resolv_conf.with_extension("new");
        std::fs::write(&fresh, "nameserver 127.0.0.77\n").unwrap();
        std::fs::rename(&fresh, resolv_conf).unwrap();
        eventually("d.example", "192.0.2.1");
    });
}

#[test]
fn tcp_serves_many_queries_of_one_connection() {
    with_server("tcp", "", |cluster, _| {
        cluster.open.send_replace(true);
        eventually("web.default.svc.cluster.local", "10.96.0.9");
        let mut stream = TcpStream::connect((HERE, 53)).unwrap();
        for _ in 0..3 {
            let packet = query("web.default.svc.cluster.local", kind::A);
            stream.write_all(&[&(packet.len() as u16).to_be_bytes()[..], &packet].concat()).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(Message::from_bytes(&answer).unwrap().answers.len(), 1);
        }
    });
}
