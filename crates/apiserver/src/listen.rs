//! The HTTPS listener: accepts, shakes hands, speaks HTTP/1.1 or h2, and stops gracefully.
//!
//! It knows nothing of Kubernetes: a [`Handler`] answers.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authn::Peer;
use crate::streams::ByteStream;
use crate::tls::Tls;
use crate::wire::Body;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of a request, and for idle connections before their next one: upstream's idle time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(90);
/// How long requests under way may take after `stop`; watches end at once.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// After `accept` failed (no file descriptors left): give connections time to close.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Selectors may be long; Go's servers take this much.
const H2_HEADERS_BYTES_MAX: u32 = 1 << 20;
const H2_STREAMS_MAX: u32 = 1000;
const H2_WINDOW_BYTES: u32 = 1 << 20;
/// The kernel looks for dead peers, so that an idle server sleeps.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// One side of a connection as the handler sees it.
#[derive(Clone)]
pub struct Connection {
    pub peer: Arc<Peer>,
    pub remote: SocketAddr,
    /// Cancelled when the server stops: streams end then.
    pub stop: CancellationToken,
}

pub type Handler = Arc<dyn Fn(Request<Incoming>, Connection) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// Accepts until `stop`, then waits for the requests under way.
pub async fn serve(listener: TcpListener, tls: Arc<Tls>, handler: Handler, stop: CancellationToken) {
    let tracker = TaskTracker::new();
    let acceptor = TlsAcceptor::from(tls.config.clone());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, remote)) => {
                let (acceptor, tls) = (acceptor.clone(), tls.clone());
                let (handler, stop) = (handler.clone(), stop.clone());
                tracker.spawn(async move {
                    if let Err(why) = connection(socket, remote, acceptor, tls, handler, stop).await {
                        tracing::debug!(%remote, why, "a connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    if tokio::time::timeout(SHUTDOWN_GRACE, tracker.wait()).await.is_err() {
        tracing::debug!(connections = tracker.len(), "closing connections that did not end in time");
    }
}

/// Serves what comes as pipes instead of sockets: a client in the same process that wants to speak HTTPS, as a
/// simulated cluster's.
pub async fn serve_pipes(
    mut pipes: mpsc::Receiver<Box<dyn ByteStream>>,
    tls: Arc<Tls>,
    handler: Handler,
    stop: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(tls.config.clone());
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut conversations = JoinSet::new();
    while let Some(Some(pipe)) = stop.run_until_cancelled(pipes.recv()).await {
        conversations.spawn(converse(pipe, remote, acceptor.clone(), tls.clone(), handler.clone(), stop.clone()));
        while conversations.try_join_next().is_some() {}
    }
    conversations.join_all().await;
}

async fn connection(
    socket: TcpStream,
    remote: SocketAddr,
    acceptor: TlsAcceptor,
    tls: Arc<Tls>,
    handler: Handler,
    stop: CancellationToken,
) -> Result<(), String> {
    socket.set_nodelay(true).map_err(|e| e.to_string())?;
    keep_alive(&socket).map_err(|e| e.to_string())?;
    converse(socket, remote, acceptor, tls, handler, stop).await
}

/// Handshake and requests, whatever carries the bytes.
async fn converse(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    remote: SocketAddr,
    acceptor: TlsAcceptor,
    tls: Arc<Tls>,
    handler: Handler,
    stop: CancellationToken,
) -> Result<(), String> {
    let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await;
    let stream = shaken.map_err(|_| "TLS handshake timed out".to_owned())?.map_err(|e| e.to_string())?;
    let peer = Arc::new(Peer::of(stream.get_ref().1.peer_certificates(), tls.clients.as_ref()));
    let connection = Connection { peer, remote, stop: stop.clone() };
    let service = service_fn(move |request| {
        let answer = guarded(handler(request, connection.clone()));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let builder = builder();
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    tokio::select! {
        ended = served.as_mut() => return ended.map_err(|e| e.to_string()),
        () = stop.cancelled() => served.as_mut().graceful_shutdown(),
    }
    served.await.map_err(|e| e.to_string())
}

fn keep_alive(socket: &TcpStream) -> rustix::io::Result<()> {
    rustix::net::sockopt::set_socket_keepalive(socket, true)?;
    rustix::net::sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    rustix::net::sockopt::set_tcp_keepintvl(socket, KEEPALIVE_IDLE)
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(H2_HEADERS_BYTES_MAX)
        .initial_stream_window_size(H2_WINDOW_BYTES)
        .initial_connection_window_size(H2_WINDOW_BYTES);
    builder
}

/// A panic in a handler is a 500 for its client and a line in the log, nothing else.
async fn guarded(answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    match std::panic::AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown panic");
            tracing::error!(what, "a handler panicked");
            let body = "This request caused apiserver to panic. Look in the logs for details.\n";
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}
