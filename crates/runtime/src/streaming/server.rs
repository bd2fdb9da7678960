//! The HTTP side: takes tokens, agrees on a protocol, upgrades. Not here: what is spoken afterwards.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use super::{Session, forward, remote_spdy, remote_websocket, websocket};
use crate::{Inner, Runtime};

const SPDY: &str = "SPDY/3.1";
const STREAM_VERSION: &str = "X-Stream-Protocol-Version";
const FORWARD_PROTOCOL: &str = "portforward.k8s.io";
const TUNNEL_PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// Newest first.
const REMOTE_SPDY: [&str; 5] =
    ["v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
const REMOTE_WEBSOCKET: [&str; 6] = [
    "v5.channel.k8s.io",
    "v5.base64.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
];
const FORWARD_WEBSOCKET: [&str; 5] =
    [TUNNEL_PROTOCOL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io"];

pub type Connection = TokioIo<Upgraded>;
type Body = Full<Bytes>;

/// Listens on the loopback interface for as long as the runtime lives.
pub async fn serve(runtime: &Runtime) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let address = listener.local_addr()?;
    if runtime.0.sessions.address.set(address).is_err() {
        anyhow::bail!("the streaming server runs already");
    }
    let inner = Arc::downgrade(&runtime.0);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if inner.strong_count() == 0 {
                return;
            }
            // Interactive: a key press must not wait for company.
            let _ = socket.set_nodelay(true);
            tokio::spawn(connection(inner.clone(), socket));
        }
    });
    Ok(())
}

async fn connection(inner: Weak<Inner>, socket: tokio::net::TcpStream) {
    let service = hyper::service::service_fn(move |request| {
        let runtime = inner.upgrade().map(Runtime);
        async move {
            Ok::<_, Infallible>(match runtime {
                Some(runtime) => begin(runtime, request),
                None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the runtime has ended"),
            })
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await;
    if let Err(problem) = served {
        tracing::debug!(%problem, "a streaming connection broke");
    }
}

fn refuse(code: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = code;
    response
}

fn begin(runtime: Runtime, mut request: Request<Incoming>) -> Response<Body> {
    let token = request.uri().path().rsplit('/').next().unwrap_or_default();
    let Some(session) = runtime.0.sessions.take(token) else {
        return refuse(StatusCode::NOT_FOUND, "no such session, or it was begun already");
    };
    match agree(request.headers(), &session) {
        Ok((protocol, response)) => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                match upgrade.await {
                    Ok(upgraded) => run(runtime, session, protocol, TokioIo::new(upgraded)).await,
                    Err(problem) => tracing::debug!(%problem, "a session was not begun"),
                }
            });
            response
        }
        Err(text) => refuse(StatusCode::BAD_REQUEST, text),
    }
}

/// What both sides will speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Spdy(&'static str),
    WebSocket(&'static str),
}

fn agree(headers: &HeaderMap, session: &Session) -> Result<(Protocol, Response<Body>), &'static str> {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_forward = matches!(session, Session::Forward { .. });
    if upgrade.eq_ignore_ascii_case(SPDY) {
        let known: &[&'static str] = if is_forward { &[FORWARD_PROTOCOL] } else { &REMOTE_SPDY };
        let protocol = choose(known, &offered(headers, STREAM_VERSION)).ok_or("no stream protocol in common")?;
        return Ok((Protocol::Spdy(protocol), switching(SPDY, [(STREAM_VERSION, protocol.to_string())])));
    }
    if upgrade.eq_ignore_ascii_case("websocket") {
        let known: &[&'static str] = if is_forward { &FORWARD_WEBSOCKET } else { &REMOTE_WEBSOCKET };
        let offers = offered(headers, SEC_WEBSOCKET_PROTOCOL.as_str());
        let protocol = choose(known, &offers).ok_or("no channel protocol in common")?;
        let key = headers.get(SEC_WEBSOCKET_KEY).ok_or("no Sec-WebSocket-Key")?;
        let accept = (SEC_WEBSOCKET_ACCEPT.as_str(), websocket::accept_key(key.as_bytes()));
        let chosen = (SEC_WEBSOCKET_PROTOCOL.as_str(), protocol.to_string());
        let said = [Some(accept), Some(chosen).filter(|_| !offers.is_empty())].into_iter().flatten();
        return Ok((Protocol::WebSocket(protocol), switching("websocket", said)));
    }
    Err("an upgrade to SPDY/3.1 or WebSocket is needed")
}

fn offered(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|offer| offer.trim().to_string()).collect()
}

/// The best that both know; who offers nothing speaks the oldest.
fn choose(known: &[&'static str], offers: &[String]) -> Option<&'static str> {
    if offers.is_empty() {
        return known.iter().find(|protocol| **protocol == "channel.k8s.io" || **protocol == FORWARD_PROTOCOL).copied();
    }
    known.iter().find(|protocol| offers.iter().any(|offer| offer == *protocol)).copied()
}

fn switching<'a>(protocol: &str, more: impl IntoIterator<Item = (&'a str, String)>) -> Response<Body> {
    let mut builder = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, protocol);
    for (name, value) in more {
        builder = builder.header(name, value);
    }
    builder.body(Full::default()).unwrap_or_else(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "bad header"))
}

async fn run(runtime: Runtime, session: Session, protocol: Protocol, connection: Connection) {
    match (session, protocol) {
        (Session::Forward { sandbox, .. }, Protocol::Spdy(_)) => {
            forward::over_spdy(&runtime, &sandbox, connection).await
        }
        (Session::Forward { sandbox, .. }, Protocol::WebSocket(TUNNEL_PROTOCOL)) => {
            forward::over_spdy(&runtime, &sandbox, websocket::tunnel(connection)).await;
        }
        (Session::Forward { sandbox, ports }, Protocol::WebSocket(name)) => {
            forward::over_websocket(&runtime, &sandbox, &ports, websocket::Framing::named(name), connection).await;
        }
        (session, Protocol::Spdy(name)) => remote_spdy::run(&runtime, session, name, connection).await,
        (session, Protocol::WebSocket(name)) => remote_websocket::run(&runtime, session, name, connection).await,
    }
}
