//! The cluster's certificates and keys: made at first start, kept in a folder, reissued when they no longer fit.
//!
//! Not here: who trusts whom at run time (`tls`) and what tokens say (`authn::token`). All keys are ECDSA P-256:
//! RSA generation alone would eat the start-up time.
//!
//! ```text
//!   ca ──┬── apiserver (serving)            front-proxy-ca ── front-proxy-client      sa (token signing key)
//!        ├── apiserver-kubelet-client
//!        ├── admin (O=system:masters)
//!        └── kubelets: system:node:NAME, serving
//! ```

mod files;
mod issue;
mod kubeconfig;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use files::Batch;
use issue::{Authority, Subject, Use};
pub use kubeconfig::kubeconfig;

#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{operation} {path}: {source}")]
    Io { operation: &'static str, path: String, source: std::io::Error },
    /// A file is there but is not what it should be; removing it makes a new one.
    #[error("{path} is not a usable {what}: {why} (remove it to have a new one made)")]
    Unusable { path: String, what: &'static str, why: String },
    #[error("issuing the certificate of {name}: {why}")]
    Issue { name: String, why: String },
}

/// Under which names the API server must be reachable.
#[derive(Clone, Debug)]
pub struct Names {
    pub node: String,
    pub cluster_domain: String,
    /// The address of the Service `default/kubernetes`.
    pub service_address: IpAddr,
    /// Addresses that the server advertises or listens on.
    pub addresses: Vec<IpAddr>,
    /// More DNS names, from the command line.
    pub dns: Vec<String>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            node: "localhost".into(),
            cluster_domain: "cluster.local".into(),
            service_address: IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1)),
            addresses: Vec::new(),
            dns: Vec::new(),
        }
    }
}

impl Names {
    /// DNS names and addresses of the serving certificate, without repetition.
    fn all(&self) -> Vec<String> {
        let mut all = vec!["kubernetes".to_owned(), "kubernetes.default".into(), "kubernetes.default.svc".into()];
        all.push(format!("kubernetes.default.svc.{}", self.cluster_domain));
        all.extend(["localhost".to_owned(), self.node.clone()]);
        all.extend(self.dns.iter().cloned());
        let fixed = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), self.service_address];
        all.extend(fixed.iter().chain(&self.addresses).filter(|a| !a.is_unspecified()).map(IpAddr::to_string));
        all.sort();
        all.dedup();
        all
    }
}

/// A certificate with its key, both PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Pair {
    /// The chain and key as rustls takes them.
    ///
    /// # Errors
    /// The PEM does not hold a certificate and a key.
    pub fn rustls(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
        let bad = |what, why: String| PkiError::Unusable { path: "PEM".into(), what, why };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.cert.as_bytes()).collect();
        let chain = chain.map_err(|e| bad("certificate", e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|e| bad("key", e.to_string()))?;
        Ok((chain, key))
    }
}

/// What a kubelet needs: a client certificate (`system:node:NAME`) and a serving one for its addresses.
#[derive(Clone, Debug)]
pub struct KubeletPairs {
    pub client: Pair,
    pub serving: Pair,
}

/// All of the server's certificates and keys, loaded.
pub struct Pki {
    dir: PathBuf,
    ca: Authority,
    front_proxy_ca: Authority,
    pub serving: Pair,
    /// The API server towards kubelets: `kube-apiserver-kubelet-client` in `system:masters`.
    pub kubelet_client: Pair,
    pub front_proxy_client: Pair,
    pub admin: Pair,
    /// The ES256 key that signs service-account tokens, PKCS#8 PEM.
    pub service_account_key: String,
}

impl Pki {
    /// Opens the folder, making and reissuing what is missing, does not name all of `names`, or expires soon.
    ///
    /// # Errors
    /// The folder cannot be written, or a file in it is damaged.
    pub fn open(dir: &Path, names: &Names) -> Result<Self, PkiError> {
        Self::open_at(dir, names, Timestamp::now())
    }

    /// [`Pki::open`] with the time given.
    ///
    /// # Errors
    /// As [`Pki::open`].
    pub fn open_at(dir: &Path, names: &Names, now: Timestamp) -> Result<Self, PkiError> {
        files::make_dir(dir)?;
        let mut batch = Batch::default();
        let ca = Authority::open(dir, "ca", "kubernetes", now, &mut batch)?;
        let front_proxy_ca = Authority::open(dir, "front-proxy-ca", "front-proxy-ca", now, &mut batch)?;
        let serving =
            Subject { common_name: "kube-apiserver".into(), groups: vec![], names: names.all(), usage: Use::Server };
        let admin = Subject::client("kubernetes-admin", &["system:masters"]);
        let to_kubelets = Subject::client("kube-apiserver-kubelet-client", &["system:masters"]);
        let front_proxy = Subject::client("front-proxy-client", &[]);
        let pki = Self {
            serving: ca.keep(dir, "apiserver", &serving, now, &mut batch)?,
            kubelet_client: ca.keep(dir, "apiserver-kubelet-client", &to_kubelets, now, &mut batch)?,
            admin: ca.keep(dir, "admin", &admin, now, &mut batch)?,
            front_proxy_client: front_proxy_ca.keep(dir, "front-proxy-client", &front_proxy, now, &mut batch)?,
            service_account_key: issue::keep_key(&dir.join("sa.key"), &mut batch)?,
            dir: dir.to_owned(),
            ca,
            front_proxy_ca,
        };
        batch.commit()?;
        Ok(pki)
    }

    /// The folder that everything is in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The cluster's CA certificate, PEM: what `kube-root-ca.crt` holds.
    pub fn ca_pem(&self) -> &str {
        &self.ca.cert
    }

    /// The CA of front proxies (`requestheader-client-ca-file`), PEM.
    pub fn front_proxy_ca_pem(&self) -> &str {
        &self.front_proxy_ca.cert
    }

    /// The CA certificate for a rustls root store.
    ///
    /// # Errors
    /// The stored CA is not PEM.
    pub fn ca_der(&self) -> Result<CertificateDer<'static>, PkiError> {
        let bad = |why: rustls_pki_types::pem::Error| PkiError::Unusable {
            path: self.dir.join("ca.crt").display().to_string(),
            what: "certificate",
            why: why.to_string(),
        };
        CertificateDer::from_pem_slice(self.ca.cert.as_bytes()).map_err(bad)
    }

    /// A client certificate that is not kept: name and groups.
    ///
    /// # Errors
    /// The name cannot be put into a certificate.
    pub fn issue_client(&self, name: &str, groups: &[&str]) -> Result<Pair, PkiError> {
        self.ca.issue(&Subject::client(name, groups), Timestamp::now())
    }

    /// The certificates of a kubelet, kept as `kubelet-NODE*` in the folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn kubelet(&self, node: &str, addresses: &[IpAddr]) -> Result<KubeletPairs, PkiError> {
        let now = Timestamp::now();
        let name = format!("system:node:{node}");
        let client = Subject::client(&name, &["system:nodes"]);
        let mut names = vec![node.to_owned(), "localhost".into(), "127.0.0.1".into()];
        names.extend(addresses.iter().map(IpAddr::to_string));
        names.sort();
        names.dedup();
        let serving = Subject { common_name: name, groups: vec!["system:nodes".into()], names, usage: Use::Server };
        let mut batch = Batch::default();
        let pairs = KubeletPairs {
            client: self.ca.keep(&self.dir, &format!("kubelet-{node}-client"), &client, now, &mut batch)?,
            serving: self.ca.keep(&self.dir, &format!("kubelet-{node}-serving"), &serving, now, &mut batch)?,
        };
        batch.commit()?;
        Ok(pairs)
    }

    /// Signs a certificate request's public key for the CSR signers of `kubernetes.io/*`.
    ///
    /// # Errors
    /// The request is not a valid PKCS#10 PEM.
    pub fn sign_request(&self, csr: &str, server: bool, days: i64) -> Result<String, PkiError> {
        self.ca.sign_request(csr, if server { Use::Server } else { Use::Client }, days, Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_made_once_private_and_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::default();
        let started = std::time::Instant::now();
        let first = Pki::open(dir.path(), &names).unwrap();
        eprintln!("pki made in {:?}", started.elapsed());
        let again = Pki::open(dir.path(), &names).unwrap();
        assert_eq!(first.serving.cert, again.serving.cert);
        assert_eq!(first.ca_pem(), again.ca_pem());
        assert_eq!(first.service_account_key, again.service_account_key);
        use std::os::unix::fs::PermissionsExt;
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_new_address_reissues_only_the_serving_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let first = Pki::open(dir.path(), &Names::default()).unwrap();
        let names = Names { addresses: vec!["192.0.2.7".parse().unwrap()], ..Names::default() };
        let again = Pki::open(dir.path(), &names).unwrap();
        assert_ne!(first.serving.cert, again.serving.cert);
        assert_eq!(first.admin.cert, again.admin.cert);
        // Fewer names than the certificate has are no reason to reissue it.
        let third = Pki::open(dir.path(), &Names::default()).unwrap();
        assert_eq!(again.serving.cert, third.serving.cert);
    }

    #[test]
    fn certificates_near_their_end_are_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let first = Pki::open(dir.path(), &Names::default()).unwrap();
        let later = Timestamp::now() + jiff::SignedDuration::from_hours(24 * 350);
        let again = Pki::open_at(dir.path(), &Names::default(), later).unwrap();
        assert_ne!(first.serving.cert, again.serving.cert);
        assert_eq!(first.ca_pem(), again.ca_pem());
    }
}
