//! TLS of the node's own server, made from the cluster's certificates.

use std::sync::Arc;

use anyhow::{Context, Result};
use apiserver::pki::{KubeletPairs, Pki};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;

/// One cryptography for everything in the process; a second call changes nothing.
pub fn use_one_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The kubelet's server: its serving certificate, and client certificates of the cluster's CA where there are any.
pub fn kubelet(pki: &Pki, pairs: &KubeletPairs) -> Result<Arc<rustls::ServerConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca_der()?).context("the cluster's CA")?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
    let (chain, key) = pairs.serving.rustls()?;
    let mut config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier.context("the verifier of client certificates")?)
        .with_single_cert(chain, key)
        .context("the kubelet's serving certificate")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
