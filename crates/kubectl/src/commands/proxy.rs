//! `kubectl proxy`: the API on a local port, with our credentials, for browsers and scripts.
//!
//! ```text
//!   browser ─▶ filter (host, path, method) ─▶ prefix taken off ─▶ Https::forward ─▶ API server
//! ```
//! Whoever reaches the port acts as us: so it listens on loopback, and takes only requests for a local host's name.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use clap::{ArgMatches, Command};
use client::https::{Https, Stream};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use regex::Regex;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, UnixListener};

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

const HOP_BY_HOP: &[&str] =
    &["keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"];

fn build() -> Command {
    Command::new("proxy")
        .about("Creates a proxy server or application-level gateway between localhost and the Kubernetes API server.")
        .arg(
            flags::text("port", "The port on which to run the proxy. Set to 0 to pick a random port.")
                .short('p')
                .default_value("8001"),
        )
        .arg(flags::text("address", "The IP address on which to serve on.").default_value("127.0.0.1"))
        .arg(flags::text("unix-socket", "Unix socket on which to run the proxy.").short('u'))
        .arg(flags::text("api-prefix", "Prefix to serve the proxied API under.").default_value("/"))
        .arg(
            flags::text("accept-hosts", "Regular expression for hosts that the proxy should accept.")
                .default_value(r"^localhost$,^127\.0\.0\.1$,^\[::1\]$"),
        )
        .arg(
            flags::text("accept-paths", "Regular expression for paths that the proxy should accept.")
                .default_value("^.*"),
        )
        .arg(
            flags::text("reject-paths", "Regular expression for paths that the proxy should reject.")
                .default_value("^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach"),
        )
        .arg(
            flags::text("reject-methods", "Regular expression for HTTP methods that the proxy should reject.")
                .default_value("^$"),
        )
        .arg(flags::switch("disable-filter", "If true, disable request filtering in the proxy."))
}

async fn run(matches: &ArgMatches) -> Result {
    let port = flags::of(matches, "port");
    let port: u16 =
        port.parse().map_err(|_| Failure::Here(format!("invalid argument {port:?} for \"-p, --port\" flag")))?;
    let address = flags::of(matches, "address");
    let ip = address.parse().map_err(|_| Failure::Here(format!("{address:?} is no IP address")))?;
    let gate = Arc::new(Gate::of(matches)?);
    let session = Session::open(matches).await?;
    let socket = flags::of(matches, "unix-socket");
    if !socket.is_empty() {
        let listener = UnixListener::bind(socket)?;
        println!("Starting to serve on {socket}");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream, session.https.clone(), gate.clone()));
        }
    }
    let listener = TcpListener::bind(SocketAddr::new(ip, port)).await;
    let listener = match listener {
        Ok(listener) => listener,
        Err(why) => return error(format!("listen tcp {}: bind: {why}", SocketAddr::new(ip, port))),
    };
    println!("Starting to serve on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, session.https.clone(), gate.clone()));
    }
}

/// Which requests pass, and what is taken off their paths.
struct Gate {
    accept_hosts: Vec<Regex>,
    accept_paths: Vec<Regex>,
    reject_paths: Vec<Regex>,
    reject_methods: Vec<Regex>,
    is_open: bool,
    /// Ends with a slash.
    prefix: String,
}

impl Gate {
    fn of(matches: &ArgMatches) -> Result<Self> {
        let list = |flag: &str| -> Result<Vec<Regex>> {
            let words = flags::of(matches, flag).split(',').filter(|word| !word.is_empty());
            words.map(|word| Regex::new(word).map_err(|e| Failure::Here(format!("--{flag}: {e}")))).collect()
        };
        let prefix = flags::of(matches, "api-prefix").trim_matches('/');
        Ok(Self {
            accept_hosts: list("accept-hosts")?,
            accept_paths: list("accept-paths")?,
            reject_paths: list("reject-paths")?,
            reject_methods: list("reject-methods")?,
            is_open: flags::is_set(matches, "disable-filter"),
            prefix: if prefix.is_empty() { "/".into() } else { format!("/{prefix}/") },
        })
    }

    fn admits(&self, method: &str, path: &str, host: &str) -> bool {
        let any = |list: &[Regex], text: &str| list.iter().any(|expression| expression.is_match(text));
        self.is_open
            || (!any(&self.reject_paths, path)
                && !any(&self.reject_methods, method)
                && any(&self.accept_paths, path)
                && any(&self.accept_hosts, host))
    }
}

/// Without its port.
fn host_alone(host: &str) -> &str {
    match host.rfind(':') {
        Some(at) if !host[at..].contains(']') => &host[..at],
        _ => host,
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, https: Https, gate: Arc<Gate>) {
    let service = service_fn(move |request| {
        let (https, gate) = (https.clone(), gate.clone());
        async move { Ok::<_, Infallible>(answer(&https, &gate, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A browser that hangs up is no error of ours.
    let _ = connection.with_upgrades().await;
}

async fn answer(https: &Https, gate: &Gate, request: Request<Incoming>) -> Response<Stream> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = request.uri().path();
    if !gate.admits(request.method().as_str(), path, host_alone(host)) {
        return plain(StatusCode::FORBIDDEN, "Forbidden\n");
    }
    let Some(rest) = path.strip_prefix(&gate.prefix) else {
        return plain(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("/{rest}{query}");
    match pass(https, request, &target).await {
        Ok(response) => response,
        Err(failure) => plain(StatusCode::BAD_GATEWAY, &format!("Error while proxying request: {failure}\n")),
    }
}

async fn pass(https: &Https, mut request: Request<Incoming>, target: &str) -> Result<Response<Stream>> {
    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    let upgraded = is_upgrade.then(|| hyper::upgrade::on(&mut request));
    let mut onward = Request::builder().method(request.method()).uri(target);
    if let Some(headers) = onward.headers_mut() {
        *headers = passed(request.headers(), is_upgrade);
        // The server's own name is put there, and our credentials.
        headers.remove(header::HOST);
        headers.remove(header::AUTHORIZATION);
    }
    let body = request.into_body().collect().await.map_err(|e| Failure::Here(e.to_string()))?.to_bytes();
    let mut response = https.forward(onward.body(body).map_err(|e| Failure::Here(e.to_string()))?).await?;
    if let (StatusCode::SWITCHING_PROTOCOLS, Some(near)) = (response.status(), upgraded) {
        let far = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let (Ok(near), Ok(far)) = (near.await, far.await) {
                // Either side may end it.
                let _ = copy_bidirectional(&mut TokioIo::new(near), &mut TokioIo::new(far)).await;
            }
        });
        return Ok(response);
    }
    let headers = passed(response.headers(), false);
    *response.headers_mut() = headers;
    Ok(response)
}

/// Headers that concern the whole way; those of an upgrade when there is one.
fn passed(headers: &HeaderMap, is_upgrade: bool) -> HeaderMap {
    let mut kept = headers.clone();
    HOP_BY_HOP.iter().for_each(|name| drop(kept.remove(*name)));
    if !is_upgrade {
        kept.remove(header::CONNECTION);
        kept.remove(header::UPGRADE);
    }
    kept
}

fn plain(code: StatusCode, text: &str) -> Response<Stream> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(words: &[&str]) -> Gate {
        let matches = build().try_get_matches_from(std::iter::once(&"proxy").chain(words)).unwrap();
        Gate::of(&matches).unwrap()
    }

    #[test]
    fn only_local_names_pass_and_no_sessions() {
        let gate = gate(&[]);
        assert!(gate.admits("GET", "/api/v1/pods", "localhost") && gate.admits("GET", "/", "127.0.0.1"));
        assert!(!gate.admits("GET", "/api/v1/pods", "evil.example"));
        assert!(!gate.admits("POST", "/api/v1/namespaces/x/pods/y/exec", "localhost"));
    }

    #[test]
    fn hosts_lose_their_ports() {
        assert_eq!(
            (host_alone("localhost:8001"), host_alone("[::1]"), host_alone("[::1]:80")),
            ("localhost", "[::1]", "[::1]")
        );
        assert_eq!(gate(&["--api-prefix=/k8s"]).prefix, "/k8s/");
    }
}
