//! The user in a client certificate: CN is the name, every O a group.
//!
//! The handshake proves that the peer holds the key, whoever signed the certificate; the chain is judged here,
//! once per connection, so that a stranger's certificate is answered with 401 and not with a broken connection.

use jiff::Timestamp;
use machinery::identity::User;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity;

/// The other side of a connection.
#[derive(Clone, Debug)]
pub enum Peer {
    /// No certificate.
    None,
    /// A certificate that our CA did not issue for clients, or that names nobody.
    Unknown(String),
    Known(Known),
}

#[derive(Clone, Debug)]
pub struct Known {
    pub user: User,
    not_after: i64,
}

impl Known {
    /// A connection may outlive its certificate.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        now.as_second() <= self.not_after
    }
}

impl Peer {
    /// Judges the certificates that the peer sent, leaf first.
    pub fn of(chain: Option<&[CertificateDer<'static>]>, verifier: &dyn ClientCertVerifier) -> Self {
        let Some((leaf, rest)) = chain.and_then(<[_]>::split_first) else { return Peer::None };
        if let Err(why) = verifier.verify_client_cert(leaf, rest, UnixTime::now()) {
            return Peer::Unknown(why.to_string());
        }
        match known(leaf) {
            Some(known) => Peer::Known(known),
            None => Peer::Unknown("the certificate has no common name".into()),
        }
    }
}

fn known(leaf: &CertificateDer<'_>) -> Option<Known> {
    let (_, cert) = X509Certificate::from_der(leaf).ok()?;
    let name = cert.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    if name.is_empty() {
        return None;
    }
    let groups = cert.subject().iter_organization().filter_map(|o| o.as_str().ok());
    let mut user = User::new(name, groups);
    let digest = Sha256::digest(leaf).iter().map(|b| format!("{b:02x}")).collect::<String>();
    user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![format!("X509SHA256={digest}")]);
    Some(Known { user: identity::authenticated(user), not_after: cert.validity().not_after.timestamp() })
}
