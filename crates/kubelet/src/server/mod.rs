//! The kubelet's HTTPS API: health, pods, logs, exec, attach, port-forward, statistics.
//!
//! Every request but none is authenticated (client certificate or bearer token) and authorized by the API
//! server's reviews. Streams are passed on as raw bytes to the runtime's streaming address.

mod auth;
pub(crate) mod logs;
mod pods;
mod route;
mod stats;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::drive::context::Context;
use auth::Gate;
use route::Route;

/// A client that has not sent its TLS hello or headers by then is not waited for.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 1000;

pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;
pub type Answer = Response<Body>;

/// Where the API listens and as whom: the configuration's resolver may give a renewed certificate at any time.
#[derive(Clone)]
pub struct Serving {
    pub listener: Arc<TcpListener>,
    pub tls: Arc<rustls::ServerConfig>,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Serving({:?})", self.listener)
    }
}

/// A whole answer of text.
pub fn text(code: StatusCode, content: impl Into<Bytes>) -> Answer {
    let body = Full::new(content.into()).map_err(|e: Infallible| match e {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// A whole answer of JSON.
pub fn json(tree: &serde_json::Value) -> Answer {
    let mut answer = text(StatusCode::OK, tree.to_string());
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    answer
}

/// Serves until `stop`.
pub async fn run(cx: Arc<Context>, serving: Serving, stop: CancellationToken) {
    let mut tls = (*serving.tls).clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let gate = Arc::new(Gate::new(cx.client.clone(), cx.config.node_name.clone()));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = serving.listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(cx.clone(), gate.clone(), acceptor.clone(), stream));
                }
                Err(e) => {
                    // Out of descriptors: the next accept would fail at once too.
                    tracing::warn!("the kubelet's API could not accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn connection(cx: Arc<Context>, gate: Arc<Gate>, acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(Ok(stream)) = tokio::time::timeout(HELLO_TIMEOUT, acceptor.accept(stream)).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
    let certificate = Arc::new(certificate);
    let service = service_fn(move |request| {
        let (cx, gate, certificate) = (cx.clone(), gate.clone(), certificate.clone());
        async move { Ok::<_, Infallible>(handle(cx, &gate, certificate.as_deref(), request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HELLO_TIMEOUT);
    if let Err(e) = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!("a connection to the kubelet's API ended: {e}");
    }
}

async fn handle(cx: Arc<Context>, gate: &Gate, certificate: Option<&[u8]>, request: Request<Incoming>) -> Answer {
    let Some(route) = Route::of(&request) else { return text(StatusCode::NOT_FOUND, "404 page not found\n") };
    if let Err(refused) = gate.pass(certificate, &request, &route).await {
        return refused;
    }
    match route {
        Route::Health => text(StatusCode::OK, "ok"),
        Route::Pods => pods::all(&cx),
        Route::RunningPods => pods::running(&cx).await,
        Route::Logs(target, query) => logs::serve(cx, &target, &query).await,
        Route::Exec(target, options) => stream::exec(&cx, &target, &options, request).await,
        Route::Attach(target, options) => stream::attach(&cx, &target, &options, request).await,
        Route::Run(target, command) => stream::run(&cx, &target, command).await,
        Route::PortForward(target, ports) => stream::port_forward(&cx, &target, ports, request).await,
        Route::Metrics => stats::metrics(&cx).await,
        Route::ResourceMetrics => stats::resource_metrics(&cx).await,
        Route::Summary => stats::summary(&cx).await,
    }
}
