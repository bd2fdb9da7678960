//! TLS of the listener: a serving certificate that can be replaced while running, client certificates optional.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::pki::{Pair, Pki, PkiError};

/// What the listener needs of TLS.
pub struct Tls {
    pub config: Arc<ServerConfig>,
    /// Judges client certificates after the handshake.
    pub clients: Arc<dyn ClientCertVerifier>,
    serving: Arc<Serving>,
}

fn unusable(what: &'static str) -> impl FnOnce(rustls::Error) -> PkiError {
    move |e| PkiError::Unusable { path: "TLS configuration".into(), what, why: e.to_string() }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Tls {
    /// Serves with the pki's serving certificate and trusts clients of its CA.
    ///
    /// # Errors
    /// A certificate or key is not usable.
    pub fn new(pki: &Pki) -> Result<Self, PkiError> {
        let provider = provider();
        let mut roots = RootCertStore::empty();
        roots.add(pki.ca_der()?).map_err(unusable("CA certificate"))?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|e| unusable("CA certificate")(rustls::Error::General(e.to_string())))?;
        let serving = Arc::new(Serving { current: ArcSwap::from(certified(&pki.serving, &provider)?), provider });
        let mut config = ServerConfig::builder_with_provider(serving.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(unusable("protocol version"))?
            .with_client_cert_verifier(Arc::new(AnyHolder(clients.clone())))
            .with_cert_resolver(serving.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), clients, serving })
    }

    /// New connections get this certificate; old ones keep theirs.
    ///
    /// # Errors
    /// The pair is not usable; the old one stays.
    pub fn reload(&self, pair: &Pair) -> Result<(), PkiError> {
        self.serving.current.store(certified(pair, &self.serving.provider)?);
        Ok(())
    }
}

/// How the API server dials kubelets: their certificates must be of our CA, and it shows its own.
///
/// # Errors
/// A certificate or key is not usable.
pub fn kubelet_client(pki: &Pki) -> Result<Arc<rustls::ClientConfig>, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca_der()?).map_err(unusable("CA certificate"))?;
    let (chain, key) = pki.kubelet_client.rustls()?;
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable("protocol version"))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(unusable("client certificate"))?;
    Ok(Arc::new(config))
}

fn certified(pair: &Pair, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, PkiError> {
    let (chain, key) = pair.rustls()?;
    let key = CertifiedKey::from_der(chain, key, provider).map_err(unusable("serving certificate"))?;
    Ok(Arc::new(key))
}

#[derive(Debug)]
struct Serving {
    current: ArcSwap<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Lets any certificate through whose key the peer holds; who issued it is judged later, so that a stranger gets
/// a 401 that says so.
#[derive(Debug)]
struct AnyHolder(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AnyHolder {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
