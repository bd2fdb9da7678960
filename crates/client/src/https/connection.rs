//! Connections: TLS and credentials as the kubeconfig says, a peer that is gone noticed within a minute.

use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube_client::Config;
use kube_client::client::{Body, ConfigExt};
use machinery::status::Status;
use tower::{BoxError, Service, ServiceBuilder};

use super::chain;

/// A silent peer is asked after this long, this often, so many times.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
const CONNECT: Duration = Duration::from_secs(30);

/// A client of the server that the configuration names. Nothing is sent yet.
///
/// # Errors
/// Certificates or keys that cannot be read, a credential plugin that cannot be started, a proxy.
pub fn open(config: &Config) -> Result<kube_client::Client, Status> {
    if let Some(proxy) = &config.proxy_url {
        return Err(Status::bad_request(format!("proxy-url {proxy}: connections through a proxy are not supported")));
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    over(config, connector)
}

/// [`open`], with what opens the connections.
pub fn over<C>(config: &Config, connector: C) -> Result<kube_client::Client, Status>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let refused = |error: kube_client::Error| Status::bad_request(chain(&error));
    // The first caller of a process decides which cryptography TLS uses; a second one changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tls = config.rustls_https_connector_with_connector(connector).map_err(refused)?;
    let http: Client<_, Body> = Client::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(refused)?)
        .layer(config.extra_headers_layer().map_err(refused)?)
        .map_err(BoxError::from)
        .service(http);
    Ok(kube_client::Client::new(service, config.default_namespace.clone()))
}
