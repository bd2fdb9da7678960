//! `kubectl port-forward`: local ports into a pod, a WebSocket for each connection.
//!
//! Channels of `v4.channel.k8s.io`: 0 data, 1 errors; the first message on each is the port's number. Channels cannot
//! be half closed: a connection ends for both sides when either is done.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use clap::{Arg, ArgMatches, Command};
use client::https::Https;
use client::https::socket::{Frame, PORT_FORWARD};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Entry;
use crate::failure::{Result, error, go_words, misused};
use crate::session::Session;
use crate::{flags, pods, select};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const DATA: u8 = 0;
const ERROR: u8 = 1;
const CHUNK_BYTES: usize = 32 * 1024;
/// The port's number, which the server sends first on each channel.
const PORT_BYTES: usize = 2;

fn build() -> Command {
    Command::new("port-forward")
        .about("Forward one or more local ports to a pod.")
        .arg(Arg::new("pod").value_name("TYPE/NAME"))
        .arg(Arg::new("ports").num_args(0..).value_name("[LOCAL_PORT:]REMOTE_PORT"))
        .arg(flags::pod_running_timeout("1m0s"))
        .arg(flags::text("address", "Addresses to listen on (comma separated).").default_value("localhost"))
}

async fn run(matches: &ArgMatches) -> Result {
    if flags::all(matches, "ports").is_empty() {
        return misused("port-forward", "TYPE/NAME and list of ports are required for port-forward");
    }
    let session = Session::open(matches).await?;
    let word = flags::of(matches, "pod");
    let patience = flags::duration(flags::of(matches, "pod-running-timeout"))?;
    let pod = pods::one(&session, word, patience).await?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if phase != "Running" {
        return error(format!("unable to forward port because pod is not running. Current status={phase}"));
    }
    let service = service(&session, word).await?;
    let (namespace, name) = (machinery::meta::namespace(&pod), machinery::meta::name(&pod));
    let given = flags::all(matches, "ports");
    let all: Vec<_> = given.iter().map(|port| ports(port, &pod, service.as_ref())).collect::<Result<_>>()?;
    let addresses = addresses(flags::of(matches, "address"))?;
    let (mut listening, mut is_listening) = (JoinSet::new(), false);
    for (local, remote) in &all {
        let (listeners, failures) = listen(&addresses, *local, *remote).await?;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/portforward?ports={remote}");
        for listener in listeners {
            listening.spawn(accept(listener, session.https.clone(), path.clone(), *remote));
        }
        match failures {
            None => is_listening = true,
            Some(why) => eprintln!("Unable to listen on port {local}: {why}"),
        }
    }
    if !is_listening {
        let all: Vec<String> = all.iter().map(|(local, remote)| format!("{{{local} {remote}}}")).collect();
        return error(format!("unable to listen on any of the requested ports: [{}]", all.join(" ")));
    }
    match listening.join_next().await {
        Some(Ok(result)) => result,
        _ => Ok(()),
    }
}

/// The Service that was named, whose ports are meant then.
async fn service(session: &Session, word: &str) -> Result<Option<Value>> {
    if !word.contains('/') {
        return Ok(None);
    }
    let named = select::words(session, &[word]).await?;
    let Some(named) = named.first().filter(|named| named.served.plural == "services") else { return Ok(None) };
    let name = named.names.first().map(String::as_str).unwrap_or_default();
    let object = session.client.dynamic(named.served.resource()).get(&session.namespace, name).await?;
    Ok(Some(Value::clone(&object.tree())))
}

/// `8080:80`, `:80`, `80`, `8080:http`.
fn ports(given: &str, pod: &Value, service: Option<&Value>) -> Result<(u16, u16)> {
    let (local, remote) = match given.split(':').collect::<Vec<_>>().as_slice() {
        [local, remote] => (*local, *remote),
        // Of more parts upstream takes the first for both.
        [only, ..] => (*only, *only),
        [] => ("", ""),
    };
    let is_named = remote.parse::<i64>().is_err();
    let remote_port = match service {
        Some(service) => of_service(service, pod, remote)?,
        None if is_named => container_port(pod, remote)?,
        None => parsed("remote", remote)?,
    };
    let local_port = match local {
        "" => 0,
        _ if local == remote && is_named => remote_port,
        number => parsed("local", number)?,
    };
    if remote_port == 0 {
        return error("remote port must be > 0");
    }
    Ok((local_port, remote_port))
}

/// A port's number; what is none is refused in Go's words.
fn parsed(side: &str, text: &str) -> Result<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_number => Ok(port),
        _ => {
            let why = if is_number { "value out of range" } else { "invalid syntax" };
            error(format!("error parsing {side} port '{text}': strconv.ParseUint: parsing {text:?}: {why}"))
        }
    }
}

fn of_service(service: &Value, pod: &Value, wanted: &str) -> Result<u16> {
    let mut all = service["spec"]["ports"].as_array().into_iter().flatten();
    let fits = |port: &&Value| port["name"] == wanted || wanted.parse() == Ok(number(&port["port"]));
    let Some(port) = all.find(fits) else {
        return error(format!("Service {} does not have a service port {wanted}", machinery::meta::name(service)));
    };
    // The pod of a headless Service is reached at the port itself.
    if service["spec"]["clusterIP"] == "None" {
        return Ok(number(&port["port"]));
    }
    match &port["targetPort"] {
        Value::String(name) => container_port(pod, name),
        Value::Null => Ok(number(&port["port"])),
        target => Ok(number(target)),
    }
}

fn container_port(pod: &Value, name: &str) -> Result<u16> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut all = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    match all.find(|port| port["name"] == name) {
        Some(port) => Ok(number(&port["containerPort"])),
        None => error(format!("Pod '{}' does not have a named port '{name}'", machinery::meta::name(pod))),
    }
}

fn number(value: &Value) -> u16 {
    value.as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(0)
}

/// The addresses to listen on, in their order, and whether each of them must be had: of `localhost`'s two one is enough.
fn addresses(given: &str) -> Result<BTreeMap<String, (IpAddr, bool)>> {
    let mut all = BTreeMap::new();
    for address in given.split(',') {
        if address == "localhost" {
            for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
                all.entry(ip.to_string()).or_insert((ip, false));
            }
            continue;
        }
        match address.parse() {
            Ok(ip) => all.insert(address.to_owned(), (ip, true)),
            Err(_) => return error(format!("{address} is not a valid IP")),
        };
    }
    Ok(all)
}

/// Listens on all addresses, says where, and why not where it should; the second at the port that the first got.
async fn listen(
    addresses: &BTreeMap<String, (IpAddr, bool)>,
    mut port: u16,
    remote: u16,
) -> Result<(Vec<TcpListener>, Option<String>)> {
    let (mut bound, mut failures, mut is_missed) = (Vec::new(), Vec::new(), false);
    let (mut shared, mut shared_bound) = (0, 0);
    for (ip, is_needed) in addresses.values() {
        let address = SocketAddr::new(*ip, port);
        shared += usize::from(!is_needed);
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr()?;
                port = address.port();
                println!("Forwarding from {address} -> {remote}");
                shared_bound += usize::from(!is_needed);
                bound.push(listener);
            }
            Err(why) => {
                let call = if ip.is_ipv4() { "listen tcp4" } else { "listen tcp6" };
                let why = go_words(call, format!("{address}: bind"), &why);
                failures.push(format!("unable to create listener: Error {why}"));
                is_missed |= is_needed;
            }
        }
    }
    let is_failed = is_missed || (shared > 0 && shared_bound == 0);
    let why = format!("Listeners failed to create with the following errors: [{}]", failures.join(" "));
    Ok((bound, is_failed.then_some(why)))
}

async fn accept(listener: TcpListener, https: Https, path: String, remote: u16) -> Result {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                println!("Handling connection for {}", listener.local_addr()?.port());
                let (https, path) = (https.clone(), path.clone());
                connections.spawn(async move {
                    if let Err(failure) = forward(stream, &https, &path).await {
                        eprintln!("an error occurred forwarding to port {remote}: {failure}");
                    }
                });
            }
            // Ended ones are taken away, so that a long session does not grow.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, until either side is done.
async fn forward(mut stream: TcpStream, https: &Https, path: &str) -> Result {
    let mut socket = https.connect(path, PORT_FORWARD).await?;
    let mut skipped = [0usize; 2];
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut reader, mut writer) = stream.split();
    loop {
        tokio::select! {
            frame = socket.receive() => match frame? {
                None => return Ok(writer.shutdown().await?),
                Some(Frame::Data { channel: channel @ (DATA | ERROR), mut data }) => {
                    let skipped = &mut skipped[usize::from(channel)];
                    let head = (PORT_BYTES - *skipped).min(data.len());
                    *skipped += head;
                    let data = data.split_off(head);
                    match channel {
                        DATA => writer.write_all(&data).await?,
                        _ if data.is_empty() => {}
                        _ => return error(String::from_utf8_lossy(&data)),
                    }
                }
                Some(_) => {}
            },
            read = reader.read(&mut chunk) => match read? {
                0 => return Ok(()),
                count => {
                    let data = Bytes::copy_from_slice(&chunk[..count]);
                    socket.send(Frame::Data { channel: DATA, data }).await?;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_and_refused_in_go_s_words() {
        let pod = serde_json::json!({"metadata": {"name": "p"}, "spec": {"containers":
            [{"ports": [{"name": "http", "containerPort": 80}]}]}});
        let of = |given: &str| ports(given, &pod, None).map_err(|why| why.to_string());
        for (given, expected) in
            [("8080:http", (8080, 80)), ("http", (80, 80)), (":81", (0, 81)), ("80:81:82", (80, 80))]
        {
            assert_eq!(of(given), Ok(expected), "{given}");
        }
        for (given, why) in [
            ("foo:80", "error parsing local port 'foo': strconv.ParseUint: parsing \"foo\": invalid syntax"),
            ("+1:80", "error parsing local port '+1': strconv.ParseUint: parsing \"+1\": invalid syntax"),
            ("80:70000", "error parsing remote port '70000': strconv.ParseUint: parsing \"70000\": value out of range"),
            ("80:foo", "Pod 'p' does not have a named port 'foo'"),
            ("80:0", "remote port must be > 0"),
        ] {
            assert_eq!(of(given), Err(format!("error: {why}")), "{given}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_told_in_go_s_words() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = taken.local_addr().unwrap();
        let (bound, why) = listen(&addresses("127.0.0.1").unwrap(), at.port(), 80).await.unwrap();
        assert!(bound.is_empty());
        assert_eq!(
            why.unwrap(),
            format!(
                "Listeners failed to create with the following errors: [unable to create listener: Error listen tcp4 {at}: bind: address already in use]"
            )
        );
        assert_eq!(addresses("127.0.0.1,foo").unwrap_err().to_string(), "error: foo is not a valid IP");
        assert!(addresses("localhost,127.0.0.1").unwrap()["127.0.0.1"].1);
    }
}
