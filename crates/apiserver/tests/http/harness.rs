//! A server in a temporary folder, and a client that speaks as somebody.

use std::net::SocketAddr;
use std::sync::Arc;

use apiserver::pki::{Names, Pki};
use apiserver::{Config, Dialer, Server};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

pub struct Harness {
    pub address: SocketAddr,
    pub pki: Arc<Pki>,
    _stop: DropGuard,
    _dir: tempfile::TempDir,
}

/// With what a request comes.
#[derive(Clone, Default)]
pub enum As {
    #[default]
    Admin,
    Nobody,
    Token(String),
    /// A client certificate for this name and group.
    Certificate(&'static str, &'static str),
    /// A certificate of a stranger's CA.
    Stranger,
}

pub struct Got {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Harness {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    pub async fn start_with(dialer: Option<Arc<dyn Dialer>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Arc::new(Pki::open(&dir.path().join("pki"), &Names::default()).unwrap());
        let store = store::embedded::Embedded::open(&dir.path().join("store"), Default::default()).unwrap();
        let registry = registry::Registry::open(store, registry::World::real()).await.unwrap();
        let stop = CancellationToken::new();
        let mut server = Server::open(Config::default(), registry, &pki, stop.clone()).await.unwrap();
        if let Some(dialer) = dialer {
            server = server.with_dialer(dialer);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server.serve(listener, stop.clone()));
        Self { address, pki, _stop: stop.drop_guard(), _dir: dir }
    }

    pub async fn connect(&self, who: &As) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.pki.ca_der().unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let pair = match who {
            As::Admin => Some(self.pki.admin.clone()),
            As::Certificate(name, group) => Some(self.pki.issue_client(name, &[group]).unwrap()),
            As::Stranger => {
                let dir = tempfile::tempdir().unwrap();
                Some(Pki::open(dir.path(), &Names::default()).unwrap().admin)
            }
            As::Nobody | As::Token(_) => None,
        };
        let config = match pair {
            Some(pair) => {
                let (chain, key) = pair.rustls().unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let socket = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
    }

    /// Sends a request and gives back the response with its body still coming.
    pub async fn open(&self, who: &As, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
        if let As::Token(token) = who {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        self.line(who).await.send_request(request).await.unwrap()
    }

    /// A connection to send requests over, one after the other.
    pub async fn line(&self, who: &As) -> SendRequest<Full<Bytes>> {
        let stream = self.connect(who).await;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    pub async fn send(&self, who: &As, request: Request<Full<Bytes>>) -> Got {
        got(self.open(who, request).await).await
    }

    pub async fn get(&self, who: &As, path: &str) -> Got {
        self.send(who, request("GET", path, "", Bytes::new())).await
    }

    pub async fn post(&self, who: &As, path: &str, body: Value) -> Got {
        self.send(who, request("POST", path, "application/json", body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Got {
        self.send(&As::Admin, request("DELETE", path, "", Bytes::new())).await
    }
}

/// The whole of an answer.
pub async fn got(response: Response<Incoming>) -> Got {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Got { code: parts.status.as_u16(), headers: parts.headers, body }
}

pub fn request(method: &str, path: &str, media: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    if !media.is_empty() {
        request = request.header("content-type", media);
    }
    request.body(Full::new(body.into())).unwrap()
}

pub fn with_header(mut request: Request<Full<Bytes>>, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}
