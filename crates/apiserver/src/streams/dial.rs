//! Connections to kubelets and to addresses in the cluster.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use machinery::status::Status;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::{Kubelet, authority};
use crate::door::Door;

const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// Opens a connection on which a kubelet speaks HTTP/1.1, with the API server's identity. Over TLS usually; a
/// kubelet in the same process may hand out one end of a pipe.
pub trait Dialer: Send + Sync + 'static {
    /// `node` is the node's name, `host` and `port` where its kubelet says it listens.
    fn dial(&self, node: &str, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>>;
}

/// Dials over TCP and TLS with the API server's client certificate.
pub struct Tls {
    connector: TlsConnector,
}

impl Tls {
    pub fn new(config: Arc<rustls::ClientConfig>) -> Self {
        Self { connector: TlsConnector::from(config) }
    }
}

impl Dialer for Tls {
    fn dial(&self, _: &str, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let (connector, host) = (self.connector.clone(), host.to_owned());
        Box::pin(async move {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let socket = TcpStream::connect(address(&host, port)?).await?;
            socket.set_nodelay(true)?;
            let stream: Box<dyn ByteStream> = Box::new(connector.connect(name, socket).await?);
            Ok(stream)
        })
    }
}

/// Only addresses: a static executable has no resolver of the system's, and nodes report their addresses.
fn address(host: &str, port: u16) -> io::Result<SocketAddr> {
    let ip = host.parse().map_err(|_| io::Error::other(format!("{host} is not an IP address")))?;
    Ok(SocketAddr::new(ip, port))
}

/// A connection to the kubelet.
///
/// # Errors
/// 500 as upstream words a kubelet that cannot be reached.
pub async fn kubelet(door: &Door, kubelet: &Kubelet) -> Result<Box<dyn ByteStream>, Status> {
    let dialing = door.streams.kubelets.dial(&kubelet.node, &kubelet.host, kubelet.port);
    dialed(dialing, &kubelet.authority()).await
}

/// A plain connection to a pod or endpoint.
///
/// # Errors
/// 503 as upstream's proxy words it.
pub async fn plain(host: &str, port: u16) -> Result<Box<dyn ByteStream>, Status> {
    let address = address(host, port);
    let dialing = Box::pin(async move {
        let stream: Box<dyn ByteStream> = Box::new(TcpStream::connect(address?).await?);
        Ok(stream)
    });
    dialed(dialing, &authority(host, port)).await.map_err(unreached)
}

/// A connection over TLS to a pod or endpoint. Who it is cannot be known: its certificate is not looked at, as
/// upstream's proxy does not.
///
/// # Errors
/// 503 as upstream's proxy words it.
pub async fn encrypted(host: &str, port: u16) -> Result<Box<dyn ByteStream>, Status> {
    let config = client::anybody::config().map_err(Status::internal)?;
    let dialing = Tls::new(config).dial("", host, port);
    dialed(dialing, &authority(host, port)).await.map_err(unreached)
}

fn unreached(status: Status) -> Status {
    let message = status.message.trim_start_matches("Internal error occurred: ");
    Status::unavailable(format!("error trying to reach service: {message}"))
}

async fn dialed(
    dialing: BoxFuture<'static, io::Result<Box<dyn ByteStream>>>,
    authority: &str,
) -> Result<Box<dyn ByteStream>, Status> {
    match tokio::time::timeout(DIAL_TIMEOUT, dialing).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            let why = if error.kind() == io::ErrorKind::ConnectionRefused {
                "connect: connection refused".to_owned()
            } else {
                error.to_string()
            };
            Err(Status::internal(format!("dial tcp {authority}: {why}")))
        }
        Err(_) => Err(Status::internal(format!("dial tcp {authority}: i/o timeout"))),
    }
}
