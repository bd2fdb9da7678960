//! Real connections through the rules, between namespaces that stand for pods, their node, and somebody outside.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::{Events, Transport};
use futures::StreamExt;
use futures::future::BoxFuture;
use machinery::object::Object;
use machinery::request::{Answer, Content, List, Request, WatchEvent};
use machinery::status::Status;
use network::{host, namespace, pod};
use serde_json::json;

use super::*;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 9);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 5);
const TABLE: &str = "kybtest-proxy";
/// On a busy machine a first packet may be lost; the kernel sends it again after one second.
const PATIENCE: Duration = Duration::from_secs(4);

/// A node with three pods that say their number and their caller, and a machine outside.
struct Ground {
    folder: PathBuf,
    ended: std::sync::Arc<AtomicBool>,
}

impl Ground {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("kybtest-proxy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ground = Self { folder, ended: std::sync::Arc::default() };
        namespace::create(&ground.path("node")).unwrap();
        ground.on("node", || {
            host::add_gateway(GATEWAY).unwrap();
            host::enable_forwarding().unwrap();
            host::add_range("10.96.0.0/16".parse().unwrap(), GATEWAY).unwrap();
            host::reserve_range(place().pods).unwrap();
        });
        for last in 2..5 {
            ground.attach(&format!("pod{last}"), Ipv4Addr::new(10, 244, 0, last));
            ground.serve(last);
        }
        ground.attach("outside", OUTSIDE);
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn on<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        namespace::within(&self.path(name), || Ok(work())).unwrap()
    }

    fn attach(&self, name: &str, address: Ipv4Addr) {
        let path = self.path(name);
        namespace::create(&path).unwrap();
        let host_link = pod::link_name("kybtest", name);
        self.on("node", || {
            let (gateway, mtu, alias) = (GATEWAY, 1500, "kybtest");
            pod::attach(&pod::Attachment { namespace: &path, host_link: &host_link, address, gateway, mtu, alias })
                .unwrap();
        });
    }

    fn serve(&self, last: u8) {
        let (listener, socket) = self.on(&format!("pod{last}"), || {
            (TcpListener::bind("0.0.0.0:8080").unwrap(), UdpSocket::bind("0.0.0.0:8080").unwrap())
        });
        std::thread::spawn(move || {
            while let Ok((mut stream, from)) = listener.accept() {
                let _ = std::io::Write::write_all(&mut stream, format!("{last} {}", from.ip()).as_bytes());
            }
        });
        let ended = self.ended.clone();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                    let _ = socket.send_to(&[last], from);
                }
            }
        });
    }

    fn commit(&self, index: &mut Index, fresh: bool) {
        let (changes, base) = (index.take(), fresh.then(|| index.place().clone()));
        self.on("node", || {
            table::transaction(TABLE, base.as_ref(), &changes).commit().unwrap();
            forget(&changes.stale).unwrap();
        });
    }

    /// What `count` connections from somewhere are told: number of the pod, address it saw.
    fn ask(&self, from: &str, address: Ipv4Addr, port: u16, count: usize) -> Vec<(u8, String)> {
        let asked =
            |_| ask(address, port, PATIENCE).unwrap_or_else(|error| panic!("{from} to {address}:{port}: {error}"));
        self.on(from, || (0..count).map(asked).collect())
    }

    fn refusal(&self, from: &str, address: Ipv4Addr, port: u16) -> std::io::ErrorKind {
        self.on(from, || ask(address, port, Duration::from_secs(1)).unwrap_err().kind())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            namespace::remove(&entry.unwrap().path()).unwrap();
        }
        std::fs::remove_dir(&self.folder).unwrap();
    }
}

fn ask(address: Ipv4Addr, port: u16, patience: Duration) -> std::io::Result<(u8, String)> {
    let target = SocketAddr::from((address, port));
    let mut stream = TcpStream::connect_timeout(&target, patience)?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    let (number, caller) = said.split_once(' ').unwrap();
    Ok((number.parse().unwrap(), caller.to_owned()))
}

fn place() -> Place {
    Place { node: "n1".into(), pods: "10.244.0.0/16".parse().unwrap(), services: "10.96.0.0/16".parse().ok() }
}

fn web() -> ServiceFacts {
    let port = PortFacts { name: String::new(), protocol: 6, port: 80, node_port: Some(30_080) };
    ServiceFacts { cluster_ips: vec![SERVICE], ports: vec![port], ..ServiceFacts::default() }
}

fn endpoints(service: &str, last: &[u8]) -> Arc<SliceFacts> {
    let endpoint = |last: &u8| Endpoint {
        address: Ipv4Addr::new(10, 244, 0, *last),
        node: Some("n1".into()),
        ready: true,
        serving: true,
        terminating: false,
        for_nodes: Vec::new(),
    };
    let port = |protocol| SlicePort { name: String::new(), protocol, port: 8080 };
    Arc::new(SliceFacts {
        service: Some(Key::new("d", service)),
        ports: vec![port(6), port(17)],
        endpoints: last.iter().map(endpoint).collect(),
    })
}

fn index(facts: ServiceFacts, last: &[u8]) -> Index {
    let mut index = Index::new(place());
    index.apply_service(&Key::new("d", "web"), Some(Arc::new(facts)));
    index.apply_slice(&Key::new("d", "web-1"), endpoints("web", last));
    index
}

fn share(answers: &[(u8, String)], last: u8) -> usize {
    answers.iter().filter(|(number, _)| *number == last).count()
}

#[test]
fn connections_spread_evenly_from_pods_and_from_the_node() {
    let ground = Ground::new("spread");
    ground.commit(&mut index(web(), &[2, 3, 4]), true);
    for from in ["pod2", "node"] {
        let start = Instant::now();
        let answers = ground.ask(from, SERVICE, 80, 3_000);
        let shares = [2, 3, 4].map(|last| share(&answers, last));
        eprintln!("{from}: {shares:?} in {:?}", start.elapsed());
        assert!(shares.iter().all(|share| (900..=1_100).contains(share)), "{from}: {shares:?}");
    }
}

#[test]
fn a_pod_reaches_itself_and_others_see_the_pod() {
    let ground = Ground::new("hairpin");
    ground.commit(&mut index(web(), &[2]), true);
    assert_eq!(ground.ask("pod2", SERVICE, 80, 1), [(2, GATEWAY.to_string())]);
    assert_eq!(ground.ask("pod3", SERVICE, 80, 1), [(2, "10.244.0.3".to_owned())]);
    assert_eq!(ground.ask("node", SERVICE, 80, 1), [(2, GATEWAY.to_string())]);
    // On the way out, too, the pod is the node's; among pods it is itself.
    let listener = ground.on("outside", || TcpListener::bind("0.0.0.0:9000").unwrap());
    ground.on("pod3", || TcpStream::connect((OUTSIDE, 9000)).unwrap());
    assert_eq!(listener.accept().unwrap().1.ip(), GATEWAY);
    assert_eq!(ground.ask("pod3", Ipv4Addr::new(10, 244, 0, 2), 8080, 1), [(2, "10.244.0.3".to_owned())]);
}

#[test]
fn node_ports_serve_all_but_loopback_addresses() {
    let ground = Ground::new("nodeport");
    let mut index = index(web(), &[2]);
    ground.commit(&mut index, true);
    assert_eq!(ground.ask("outside", GATEWAY, 30_080, 1), [(2, GATEWAY.to_string())]);
    assert_eq!(ground.ask("node", GATEWAY, 30_080, 1)[0].0, 2);
    assert_eq!(ground.ask("pod3", GATEWAY, 30_080, 1)[0].0, 2);
    assert_eq!(ground.refusal("node", Ipv4Addr::LOCALHOST, 30_080), std::io::ErrorKind::ConnectionRefused);
    index.apply_service(&Key::new("d", "web"), Some(Arc::new(ServiceFacts { external_local: true, ..web() })));
    ground.commit(&mut index, false);
    assert_eq!(ground.ask("outside", GATEWAY, 30_080, 1), [(2, OUTSIDE.to_string())]);
    assert_eq!(ground.ask("node", GATEWAY, 30_080, 1)[0].0, 2);
    let mut elsewhere = (*endpoints("web", &[2])).clone();
    elsewhere.endpoints[0].node = Some("n2".into());
    index.apply_slice(&Key::new("d", "web-1"), Arc::new(elsewhere));
    ground.commit(&mut index, false);
    assert_eq!(ground.refusal("outside", GATEWAY, 30_080), std::io::ErrorKind::TimedOut);
    assert_eq!(ground.ask("pod3", GATEWAY, 30_080, 1)[0].0, 2);
    assert_eq!(ground.ask("node", GATEWAY, 30_080, 1)[0].0, 2);
}

#[test]
fn what_nobody_serves_is_refused_at_once() {
    let ground = Ground::new("refuse");
    let mut index = index(web(), &[]);
    ground.commit(&mut index, true);
    let refused = std::io::ErrorKind::ConnectionRefused;
    for from in ["pod2", "node", "outside"] {
        assert_eq!(ground.refusal(from, SERVICE, 80), refused, "{from}: no endpoints");
        assert_eq!(ground.refusal(from, GATEWAY, 30_080), refused, "{from}: no endpoints at the node port");
        assert_eq!(ground.refusal(from, Ipv4Addr::new(10, 96, 7, 7), 80), refused, "{from}: no such Service");
    }
    index.apply_slice(&Key::new("d", "web-1"), endpoints("web", &[3]));
    ground.commit(&mut index, false);
    assert_eq!(ground.ask("node", SERVICE, 80, 1)[0].0, 3);
    index.delete_service(&Key::new("d", "web"));
    ground.commit(&mut index, false);
    assert_eq!(ground.refusal("pod2", SERVICE, 80), refused);
}

#[test]
fn clients_stay_with_their_endpoint_while_it_is_there() {
    let ground = Ground::new("affinity");
    let mut index = index(ServiceFacts { affinity_s: Some(600), ..web() }, &[2, 3, 4]);
    ground.commit(&mut index, true);
    let first = ground.ask("outside", SERVICE, 80, 20);
    assert!(first.iter().all(|answer| *answer == first[0]), "{first:?}");
    let others: Vec<u8> = [2, 3, 4].into_iter().filter(|last| *last != first[0].0).collect();
    index.apply_slice(&Key::new("d", "web-1"), endpoints("web", &others));
    ground.commit(&mut index, false);
    let second = ground.ask("outside", SERVICE, 80, 20);
    assert!(second.iter().all(|answer| *answer == second[0] && others.contains(&answer.0)), "{second:?}");
    index.apply_slice(&Key::new("d", "web-1"), endpoints("web", &[2, 3, 4]));
    ground.commit(&mut index, false);
    let third = ground.ask("outside", SERVICE, 80, 20);
    assert!(third.iter().all(|answer| *answer == second[0]), "{third:?}");
}

#[test]
fn source_ranges_close_the_load_balancer_address_only() {
    let ground = Ground::new("ranges");
    let address = Ipv4Addr::new(198, 51, 100, 7);
    let mut facts = ServiceFacts { load_balancer_ips: vec![address], ..web() };
    facts.source_ranges = vec!["192.0.2.0/24".parse().unwrap()];
    ground.commit(&mut index(facts, &[2]), true);
    assert_eq!(ground.ask("outside", address, 80, 1)[0].0, 2);
    assert_eq!(ground.refusal("pod3", address, 80), std::io::ErrorKind::TimedOut);
    assert_eq!(ground.ask("pod3", SERVICE, 80, 1)[0].0, 2);
}

#[test]
fn a_udp_sender_that_never_pauses_follows_the_endpoints() {
    let ground = Ground::new("udp");
    let mut facts = web();
    facts.ports[0].protocol = 17;
    let mut index = index(facts, &[]);
    ground.commit(&mut index, true);
    let socket = ground.on("pod4", || UdpSocket::bind("0.0.0.0:0").unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let ask = || {
        let mut answer = [0];
        socket.send_to(b"?", (SERVICE, 80)).and_then(|_| socket.recv_from(&mut answer)).map(|_| answer[0])
    };
    assert!(ask().is_err());
    for last in [2, 3, 2] {
        index.apply_slice(&Key::new("d", "web-1"), endpoints("web", &[last]));
        ground.commit(&mut index, false);
        assert_eq!(ask().unwrap(), last);
    }
}

#[test]
fn ten_thousand_services_change_in_little_time() {
    let ground = Ground::new("many");
    let mut index = index(web(), &[2, 3]);
    for number in 0..10_000_u32 {
        let name = format!("s{number}");
        let mut facts = web();
        facts.cluster_ips = vec![Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 16, 0).to_bits() + number)];
        facts.ports[0].node_port = None;
        index.apply_service(&Key::new("d", &name), Some(Arc::new(facts)));
        index.apply_slice(&Key::new("d", &name), endpoints(&name, &[2, 3, 4]));
    }
    let start = Instant::now();
    ground.commit(&mut index, true);
    let whole = start.elapsed();
    let mut change = |round: u8| {
        let start = Instant::now();
        index.apply_slice(&Key::new("d", "web-1"), endpoints("web", &[2 + round % 3]));
        ground.commit(&mut index, false);
        assert_eq!(ground.ask("pod4", SERVICE, 80, 1)[0].0, 2 + round % 3);
        start.elapsed()
    };
    // The best of a few: others use this machine, too.
    let best = (0..10).map(&mut change).min().unwrap();
    eprintln!("10,000 Services: whole table {whole:?}, a change {best:?}");
    assert!(best < Duration::from_millis(100), "{best:?}");
}

/// A cluster with one Service, whose slice the test changes.
struct Cluster {
    slices: Mutex<Vec<tokio::sync::mpsc::UnboundedSender<Result<WatchEvent, Status>>>>,
}

fn slice(revision: u32, last: u8) -> Arc<Object> {
    Object::from_tree(&json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "namespace": "d", "uid": "s", "resourceVersion": revision.to_string(),
            "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [format!("10.244.0.{last}")], "nodeName": "n1", "conditions": {"ready": true}}]}))
}

impl Transport for Cluster {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Answer, Status>> {
        let service = || {
            Object::from_tree(&json!({"apiVersion": "v1", "kind": "Service", "metadata":
                {"name": "web", "namespace": "d", "uid": "w", "resourceVersion": "3"},
                "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}}))
        };
        Box::pin(async move {
            let items = if request.resource == "services" { vec![service()] } else { vec![slice(4, 2)] };
            let content = Content::List(List { revision: 5, items, ..List::default() });
            Ok(Answer { code: 200, warnings: Vec::new(), content })
        })
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<Events, Status>> {
        Box::pin(async move {
            if request.resource == "services" {
                return Ok(futures::stream::pending().boxed());
            }
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            self.slices.lock().unwrap().push(sender);
            let stream = futures::stream::unfold(receiver, |mut r| async move { Some((r.recv().await?, r)) });
            Ok(stream.boxed())
        })
    }
}

/// Until the rules lead to this pod; how long it took.
fn until(ground: &Ground, last: u8) -> Duration {
    let start = Instant::now();
    while ground.on("node", || ask(SERVICE, 80, PATIENCE).ok().map(|answer| answer.0)) != Some(last) {
        assert!(start.elapsed() < Duration::from_secs(3), "the rules do not lead to {last}");
    }
    start.elapsed()
}

#[test]
fn the_running_proxy_follows_the_cluster_and_leaves_its_rules() {
    let ground = Ground::new("run");
    let cluster = Arc::new(Cluster { slices: Mutex::default() });
    // Threads of the runtime are born in the namespace.
    let runtime = ground
        .on("node", || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    let config = Config { table: TABLE.into(), node: "n1".into(), pods: place().pods, services: place().services };
    let stop = CancellationToken::new();
    let running = runtime.spawn(run(config, Client::new(cluster.clone()), stop.clone()));
    until(&ground, 2);
    while cluster.slices.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    let event = WatchEvent { change: machinery::request::Change::Modified, object: slice(6, 3) };
    cluster.slices.lock().unwrap()[0].send(Ok(event)).unwrap();
    eprintln!("a change is followed within {:?}", until(&ground, 3));
    // Somebody flushes all rules of the machine.
    ground.on("node", || nft::remove_table(Family::Ipv4, TABLE).unwrap());
    eprintln!("a lost table is back within {:?}", until(&ground, 3));
    stop.cancel();
    runtime.block_on(running).unwrap().unwrap();
    until(&ground, 3);
    ground.on("node", || {
        cleanup(TABLE).unwrap();
        cleanup(TABLE).unwrap();
        assert!(nft::tables(Family::Ipv4).unwrap().is_empty());
    });
}

#[test]
fn ports_of_the_host_lead_to_pods_beside_the_rules_for_services() {
    let ground = Ground::new("ports");
    ground.commit(&mut index(web(), &[2]), true);
    let (address, table) = (Ipv4Addr::new(10, 244, 0, 3), "kybtest-ports");
    let mapping = network::ports::Mapping { host: None, protocol: 6, host_port: 8888, address, port: 8080 };
    ground.on("node", || network::ports::add(table, &[mapping]).unwrap());
    assert_eq!(ground.ask("outside", GATEWAY, 8888, 1), [(3, OUTSIDE.to_string())]);
    assert_eq!(ground.ask("node", GATEWAY, 8888, 1)[0].0, 3);
    assert_eq!(ground.ask("pod3", GATEWAY, 8888, 1), [(3, GATEWAY.to_string())]);
    assert_eq!(ground.ask("pod4", GATEWAY, 8888, 1), [(3, "10.244.0.4".to_owned())]);
    assert_eq!(ground.refusal("node", Ipv4Addr::LOCALHOST, 8888), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(ground.ask("pod4", SERVICE, 80, 1)[0].0, 2);
    ground.on("node", || network::ports::remove(table, &[mapping]).unwrap());
    assert_eq!(ground.refusal("outside", GATEWAY, 8888), std::io::ErrorKind::ConnectionRefused);
}

/// As `kubernetes` and `kube-dns` do.
#[test]
fn a_service_may_lead_to_the_node_itself() {
    let ground = Ground::new("node");
    let mut facts = web();
    facts.ports.push(PortFacts { name: "dns".into(), protocol: 17, port: 53, node_port: None });
    let mut slice = (*endpoints("web", &[1])).clone();
    slice.ports[1].name = "dns".into();
    let mut index = Index::new(place());
    index.apply_service(&Key::new("d", "web"), Some(Arc::new(facts)));
    index.apply_slice(&Key::new("d", "web-1"), Arc::new(slice));
    ground.commit(&mut index, true);
    let (listener, socket) =
        ground.on("node", || (TcpListener::bind((GATEWAY, 8080)).unwrap(), UdpSocket::bind((GATEWAY, 8080)).unwrap()));
    for (from, seen) in [("pod3", Ipv4Addr::new(10, 244, 0, 3)), ("node", GATEWAY)] {
        let stream = ground.on(from, || TcpStream::connect((SERVICE, 80)).unwrap());
        assert_eq!(listener.accept().unwrap().1.ip(), seen);
        drop(stream);
        let client = ground.on(from, || UdpSocket::bind("0.0.0.0:0").unwrap());
        client.connect((SERVICE, 53)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        client.send(b"?").unwrap();
        let (_, caller) = socket.recv_from(&mut [0; 1]).unwrap();
        assert_eq!(caller.ip(), seen);
        socket.send_to(b"!", caller).unwrap();
        assert_eq!(client.recv(&mut [0; 1]).unwrap(), 1, "{from}: the answer comes from the Service's address");
    }
}

#[test]
fn this_kernel_takes_the_rules() {
    let config = Config { table: TABLE.into(), node: "n1".into(), pods: place().pods, services: None };
    let start = Instant::now();
    check(&config).unwrap();
    eprintln!("checked in {:?}", start.elapsed());
    assert!(!nft::tables(Family::Ipv4).unwrap().contains(&config.table));
}

#[test]
fn nft_can_list_the_table() {
    let ground = Ground::new("list");
    let mut facts = web();
    facts.load_balancer_ips = vec![Ipv4Addr::new(198, 51, 100, 7)];
    facts.source_ranges = vec!["192.0.2.0/24".parse().unwrap()];
    facts.external_local = true;
    let mut index = index(facts, &[2, 3]);
    index.apply_service(
        &Key::new("d", "sticky"),
        Some(Arc::new(ServiceFacts {
            cluster_ips: vec![Ipv4Addr::new(10, 96, 0, 77)],
            affinity_s: Some(600),
            ..web()
        })),
    );
    index.apply_slice(&Key::new("d", "sticky-1"), endpoints("sticky", &[3, 4]));
    ground.commit(&mut index, true);
    let output = ground.on("node", || std::process::Command::new("nft").args(["list", "ruleset"]).output().unwrap());
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains("BUG"), "{text}");
}
