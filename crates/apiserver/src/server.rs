//! Puts the API server together and runs it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::door::Door;
use crate::front::Front;
use crate::lease;
use crate::line::Line;
use crate::listen::{self, Handler};
use crate::metrics::Metrics;
use crate::openapi::OpenApi;
use crate::pki::Pki;
use crate::streams::{ByteStream, Dialer, Streams, TlsDialer};
use crate::tls::{self, Tls};

/// How often certificates are looked at: renewal begins weeks before their end.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(24 * 3600);

/// An API server that is ready to listen.
pub struct Server {
    front: Arc<Front>,
    tls: Arc<Tls>,
    kubelets: Arc<dyn Dialer>,
    config: Config,
}

impl Server {
    /// Bootstraps the registry and loads the certificates.
    ///
    /// # Errors
    /// The bootstrap objects cannot be written, or the certificates cannot be used.
    pub async fn open(
        config: Config,
        registry: Arc<Registry>,
        pki: &Pki,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let front = Front::open(&config, registry, pki, stop).await.context("opening the API server's front")?;
        Self::with_front(config, front, pki)
    }

    /// A server around a front that was opened before.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn with_front(config: Config, front: Arc<Front>, pki: &Pki) -> anyhow::Result<Self> {
        let tls = Arc::new(Tls::new(pki)?);
        let kubelets = Arc::new(TlsDialer::new(tls::kubelet_client(pki)?));
        Ok(Self { front, tls, kubelets, config })
    }

    /// Reaches kubelets another way than over TLS.
    pub fn with_dialer(mut self, kubelets: Arc<dyn Dialer>) -> Self {
        self.kubelets = kubelets;
        self
    }

    pub fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// Serves until `stop`; requests under way are finished.
    ///
    /// # Errors
    /// The listener has no address.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let port = listener.local_addr().context("the API server's listener")?.port();
        let handler = self.handler(port);
        let renewal = renew(self.config.clone(), self.tls.clone());
        let identity = lease::keep(self.front, &self.config.hostname);
        tokio::select! {
            () = listen::serve(listener, self.tls, handler, stop) => {}
            never = renewal => match never {},
            never = identity => match never {},
        }
        Ok(())
    }

    /// Serves pipes of this process instead of a socket until `stop`; certificates are not renewed meanwhile.
    pub async fn serve_pipes(self, pipes: mpsc::Receiver<Box<dyn ByteStream>>, stop: CancellationToken) {
        let handler = self.handler(0);
        listen::serve_pipes(pipes, self.tls, handler, stop).await;
    }

    fn handler(&self, port: u16) -> Handler {
        let door = Arc::new(Door {
            front: self.front.clone(),
            metrics: Metrics::default(),
            openapi: OpenApi::default(),
            streams: Streams { kubelets: self.kubelets.clone() },
            address: SocketAddr::new(self.config.advertise_address, port).to_string(),
            line: Line::default(),
        });
        Arc::new(move |request, connection| Box::pin(door.clone().answer(request, connection)))
    }
}

/// Runs an API server on a bound listener until `stop`.
///
/// # Errors
/// The bootstrap objects cannot be written, or the certificates cannot be used.
pub async fn run(
    config: Config,
    registry: Arc<Registry>,
    pki: Arc<Pki>,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    Server::open(config, registry, &pki, stop.clone()).await?.serve(listener, stop).await
}

/// Reissues the serving certificate in time and hands it to new connections.
async fn renew(config: Config, tls: Arc<Tls>) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(CERTIFICATE_CHECK).await;
        if config.pki_dir.as_os_str().is_empty() {
            continue;
        }
        let renewed = Pki::open(&config.pki_dir, &config.names).and_then(|pki| tls.reload(&pki.serving));
        if let Err(error) = renewed {
            tracing::error!(%error, "renewing the API server's certificates");
        }
    }
}
