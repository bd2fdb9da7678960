//! `kubectl port-forward`: local ports into a pod, a WebSocket for each connection.
//!
//! Channels of `v4.channel.k8s.io`: 0 data, 1 errors; the first message on each is the port's number. Channels cannot
//! be half closed: a connection ends for both sides when either is done.

use std::net::SocketAddr;

use bytes::Bytes;
use clap::{Arg, ArgMatches, Command};
use client::https::Https;
use client::https::socket::{Frame, PORT_FORWARD};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Entry;
use crate::failure::{Failure, Result, error, misused};
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
    let mut listening = JoinSet::new();
    for given in flags::all(matches, "ports") {
        let (local, remote) = ports(given, &pod, service.as_ref())?;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/portforward?ports={remote}");
        for listener in listen(flags::of(matches, "address"), local).await? {
            println!("Forwarding from {} -> {remote}", listener.local_addr()?);
            listening.spawn(accept(listener, session.https.clone(), path.clone(), remote));
        }
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
    let (local, remote) = given.split_once(':').unwrap_or((given, given));
    let named = remote.parse::<u16>().is_err();
    let remote_port = match service {
        Some(service) => of_service(service, pod, remote)?,
        None if named => container_port(pod, remote)?,
        None => remote.parse().unwrap_or(0),
    };
    let local_port = match local {
        "" => 0,
        _ if local == remote && named => remote_port,
        number => {
            number.parse::<u16>().map_err(|e| Failure::Here(format!("error parsing local port '{number}': {e}")))?
        }
    };
    if remote_port == 0 {
        return error("remote port must be > 0");
    }
    Ok((local_port, remote_port))
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

/// All addresses that can be bound; `localhost` is both of them, the second at the port that the first got.
async fn listen(addresses: &str, port: u16) -> Result<Vec<TcpListener>> {
    let (mut bound, mut failures, mut port) = (Vec::new(), Vec::new(), port);
    let known = addresses.split(',').flat_map(|address| match address {
        "localhost" => vec!["127.0.0.1", "::1"],
        other => vec![other],
    });
    for address in known {
        let ip = address
            .parse()
            .map_err(|_| Failure::Here(format!("unable to parse address: {address} is not a valid IP")))?;
        match TcpListener::bind(SocketAddr::new(ip, port)).await {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                bound.push(listener);
            }
            Err(why) => failures.push(format!("Unable to listen on port {port}: {address}: {why}")),
        }
    }
    if bound.is_empty() { error(failures.join("\n")) } else { Ok(bound) }
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
