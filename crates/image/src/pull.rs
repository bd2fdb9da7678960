//! Pulling from registries: mirrors first, layers in parallel, broken downloads continued. Not here: unpacking.
//!
//! Registries on the loopback interface are spoken to without TLS, as container runtimes do.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use crate::store::{Names, hex};
use crate::{Error, Image, Reference, Result, Store, archive};

const CONNECT_TIMEOUT_S: u64 = 10;
/// Without a byte for this long a registry counts as broken.
const READ_TIMEOUT_S: u64 = 60;
const LAYERS_AT_ONCE: usize = 4;
/// How often a download that broke off is continued.
const ATTEMPTS_MAX: usize = 3;
const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONFIG_LENGTH_MAX: usize = 8 << 20;
const LAYERS_MAX: usize = 120;

/// Where to look for images.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// For a registry's name (`docker.io`): others to ask first, as `http://host:port` or `https://host`.
    pub mirrors: BTreeMap<String, Vec<String>>,
}

/// Who pulls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Bearer(String),
}

impl Credentials {
    /// From the base64 of `user:password`, as Docker's configuration has it.
    pub fn from_basic(text: &str) -> Option<Credentials> {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Credentials::Basic {
            username: username.to_string(),
            password: password.trim_end_matches('\0').to_string(),
        })
    }

    fn for_client(&self) -> RegistryAuth {
        match self {
            Credentials::None => RegistryAuth::Anonymous,
            Credentials::Basic { username, password } => RegistryAuth::Basic(username.clone(), password.clone()),
            Credentials::Bearer(token) => RegistryAuth::Bearer(token.clone()),
        }
    }
}

/// Pulls images into a store.
pub struct Puller {
    config: Config,
    store: Arc<Store>,
    /// Layers under way, by digest: who wants the same one waits.
    downloading: Mutex<BTreeMap<String, watch::Receiver<()>>>,
}

/// One place that is asked.
struct Endpoint {
    host: String,
    plain: bool,
}

impl Endpoint {
    fn of(text: &str) -> Endpoint {
        let (scheme, host) = text.split_once("://").unwrap_or(("", text));
        let host = host.trim_end_matches('/').to_string();
        let plain = scheme == "http" || (scheme.is_empty() && is_loopback(&host));
        Endpoint { host, plain }
    }

    fn client(&self) -> Result<oci_client::Client> {
        // Another part of the process may have chosen the same before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = ClientConfig {
            protocol: if self.plain { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(Duration::from_secs(CONNECT_TIMEOUT_S)),
            read_timeout: Some(Duration::from_secs(READ_TIMEOUT_S)),
            user_agent: concat!("kybern/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        oci_client::Client::try_from(config).map_err(|problem| Error::Registry(problem.to_string()))
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Puller {
    pub fn new(config: Config, store: Arc<Store>) -> Puller {
        Puller { config, store, downloading: Mutex::default() }
    }

    /// Pulls an image, or finds it: one that was loaded under exactly this name, or that has this digest, is not asked for.
    pub async fn pull(&self, text: &str, credentials: Credentials) -> Result<Image> {
        let reference = Reference::parse(text)?;
        if let Some(image) = self.store.find(text)
            && (reference.digest.is_some() || image.loaded.contains(&reference.to_string()))
        {
            return Ok(image);
        }
        let mirrors = self.config.mirrors.get(&reference.domain).into_iter().flatten();
        let endpoints = mirrors.map(String::as_str).chain([reference.domain.as_str()]).map(Endpoint::of);
        let mut refusal = None;
        for endpoint in endpoints {
            match self.pull_from(&endpoint, &reference, &credentials).await {
                Ok(image) => return Ok(image),
                // What the registry itself says counts more than what a mirror said.
                Err(problem) => refusal = Some(problem),
            }
        }
        Err(named(&reference, refusal.unwrap_or_else(|| Error::NotFound(text.to_string()))))
    }

    async fn pull_from(&self, endpoint: &Endpoint, reference: &Reference, credentials: &Credentials) -> Result<Image> {
        let source = Source {
            client: endpoint.client()?,
            auth: credentials.for_client(),
            registry: endpoint.host.clone(),
            repository: reference.path.clone(),
        };
        let (digest, manifest) = source.manifest(reference).await?;
        let config_digest = manifest["config"]["digest"].as_str().unwrap_or_default();
        let config = source.small_blob(config_digest).await?;
        let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
        if layers.len() > LAYERS_MAX {
            return Err(Error::Invalid(format!("the image has {} layers, more than {LAYERS_MAX}", layers.len())));
        }
        let digests: Vec<String> =
            layers.iter().map(|layer| layer["digest"].as_str().unwrap_or_default().to_string()).collect();
        let missing = self.store.missing_layers(&config)?;
        let wanted: Vec<&String> = missing.into_iter().filter_map(|index| digests.get(index)).collect();
        let mut downloads: Vec<BoxFuture<'_, Result<()>>> = Vec::new();
        for digest in &wanted {
            downloads.push(self.download(&source, digest).boxed());
        }
        futures::stream::iter(downloads).buffer_unordered(LAYERS_AT_ONCE).try_collect::<Vec<()>>().await?;
        let tags = reference.tag.iter().map(|tag| format!("{}:{tag}", reference.name())).collect();
        let names = Names { tags, digests: vec![reference.with_digest(&digest)], loaded: false };
        let wanted: Vec<PathBuf> = wanted.into_iter().map(|digest| self.store.download_path(digest)).collect();
        let store = self.store.clone();
        let admitted = tokio::task::spawn_blocking(move || {
            let image = store.admit(&config, names, |index| {
                let digest =
                    digests.get(index).ok_or_else(|| Error::Invalid("the manifest has too few layers".into()))?;
                Ok(store.download_path(digest))
            })?;
            for file in wanted {
                // Another pull may have shared and removed it.
                let _ = std::fs::remove_file(file);
            }
            Ok(image)
        });
        admitted.await.map_err(|problem| Error::Registry(format!("unpacking broke: {problem}")))?
    }

    /// Brings a layer to its place among the downloads. Somebody else's download of it is waited for.
    async fn download(&self, source: &Source, digest: &str) -> Result<()> {
        if !crate::reference::is_digest(digest) {
            return Err(Error::Invalid(format!("{digest:?} is not a digest")));
        }
        let _done = loop {
            let (sender, receiver) = watch::channel(());
            let other = {
                let mut downloading = self.downloading.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let other = downloading.get(digest).filter(|other| other.has_changed().is_ok()).cloned();
                if other.is_none() {
                    downloading.insert(digest.to_string(), receiver);
                }
                other
            };
            match other {
                // Its sender is dropped when it ends, one way or the other.
                Some(mut other) => drop(other.changed().await),
                None => break sender,
            }
        };
        let path = self.store.download_path(digest);
        let mut refusal = Error::Registry(format!("{digest} was not downloaded"));
        for _ in 0..ATTEMPTS_MAX {
            match source.layer(digest, &path).await {
                Ok(()) => return Ok(()),
                Err(problem @ Error::Registry(_)) => refusal = problem,
                Err(problem) => return Err(problem),
            }
        }
        Err(refusal)
    }
}

/// A repository at an endpoint.
struct Source {
    client: oci_client::Client,
    auth: RegistryAuth,
    registry: String,
    repository: String,
}

impl Source {
    fn at_tag(&self, tag: &str) -> oci_client::Reference {
        oci_client::Reference::with_tag(self.registry.clone(), self.repository.clone(), tag.to_string())
    }

    fn at(&self, digest: &str) -> oci_client::Reference {
        oci_client::Reference::with_digest(self.registry.clone(), self.repository.clone(), digest.to_string())
    }

    /// The manifest for this machine, and the digest of what the reference names: it, or the index above it.
    async fn manifest(&self, reference: &Reference) -> Result<(String, Value)> {
        let wanted = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => self.at(digest),
            (None, tag) => self.at_tag(tag.as_deref().unwrap_or("latest")),
        };
        let bytes = self.manifest_bytes(&wanted).await?;
        let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
        if reference.digest.as_ref().is_some_and(|wanted| *wanted != digest) {
            return Err(Error::Invalid(format!("the registry sent {digest} for {reference}")));
        }
        let document = parse(&bytes)?;
        let Some(entries) = document["manifests"].as_array() else { return Ok((digest, document)) };
        let entry = entries.iter().find(|entry| archive::is_for_here(entry));
        let inner = entry.and_then(|entry| entry["digest"].as_str());
        let inner = inner.ok_or_else(|| Error::NotFound(format!("{reference} for linux/amd64")))?;
        let bytes = self.manifest_bytes(&self.at(inner)).await?;
        archive::check_digest(inner, &bytes)?;
        Ok((digest, parse(&bytes)?))
    }

    async fn manifest_bytes(&self, wanted: &oci_client::Reference) -> Result<Vec<u8>> {
        let pulled = self.client.pull_manifest_raw(wanted, &self.auth, &MANIFEST_TYPES).await.map_err(refusal)?;
        Ok(pulled.0.to_vec())
    }

    /// A blob that is kept in memory, checked.
    async fn small_blob(&self, digest: &str) -> Result<Vec<u8>> {
        let mut stream = self.client.pull_blob_stream(&self.at(digest), digest).await.map_err(refusal)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.map_err(|problem| Error::Registry(problem.to_string()))?);
            if bytes.len() > CONFIG_LENGTH_MAX {
                return Err(Error::Invalid(format!("{digest} is larger than {CONFIG_LENGTH_MAX} bytes")));
            }
        }
        archive::check_digest(digest, &bytes)?;
        Ok(bytes)
    }

    /// A layer into a file, continuing what is there. A file with another content than the digest says is removed.
    async fn layer(&self, digest: &str, path: &PathBuf) -> Result<()> {
        let at = |source: std::io::Error| Error::io(format!("cannot store {digest}"), source);
        let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await.map_err(at)?;
        let have = file.metadata().await.map_err(at)?.len();
        if have > 0 && digest_of(path).await? == digest {
            return Ok(());
        }
        let response =
            self.client.pull_blob_stream_partial(&self.at(digest), digest, have, None).await.map_err(refusal)?;
        let mut stream = match response {
            BlobResponse::Partial(stream) => stream,
            BlobResponse::Full(stream) => {
                file.set_len(0).await.map_err(at)?;
                stream
            }
        };
        while let Some(chunk) = stream.next().await {
            file.write_all(&chunk.map_err(|problem| Error::Registry(problem.to_string()))?).await.map_err(at)?;
        }
        file.sync_data().await.map_err(at)?;
        let found = digest_of(path).await?;
        if found == digest {
            return Ok(());
        }
        tokio::fs::remove_file(path).await.map_err(at)?;
        Err(Error::Registry(format!("{digest} came with the content of {found}")))
    }
}

async fn digest_of(path: &std::path::Path) -> Result<String> {
    let path = path.to_path_buf();
    let hashed = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let mut file = std::fs::File::open(&path)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(format!("sha256:{}", hex(&hash.finalize()))),
                length => hash.update(&buffer[..length]),
            }
        }
    });
    let hashed = hashed.await.map_err(|problem| Error::Registry(format!("hashing broke: {problem}")))?;
    hashed.map_err(|source| Error::io("cannot read a download", source))
}

fn parse(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|problem| Error::Invalid(format!("invalid manifest: {problem}")))
}

fn refusal(problem: OciDistributionError) -> Error {
    let text = problem.to_string();
    match problem {
        OciDistributionError::AuthenticationFailure(_) | OciDistributionError::UnauthorizedError { .. } => {
            Error::Denied(text)
        }
        OciDistributionError::ImageManifestNotFoundError(_) => Error::NotFound(text),
        OciDistributionError::RegistryError { envelope, .. } => {
            let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
            if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
                Error::NotFound(text)
            } else if has(&[OciErrorCode::Denied, OciErrorCode::Unauthorized]) {
                Error::Denied(text)
            } else {
                Error::Registry(text)
            }
        }
        OciDistributionError::ServerError { code: 404, .. } => Error::NotFound(text),
        OciDistributionError::ServerError { code: 401 | 403, .. } => Error::Denied(text),
        _ => Error::Registry(text),
    }
}

/// The words that users know from events.
fn named(reference: &Reference, problem: Error) -> Error {
    let words = |text: String| format!("failed to pull and unpack image \"{reference}\": {text}");
    match problem {
        Error::NotFound(text) => Error::NotFound(words(text)),
        Error::Denied(text) => Error::Denied(words(text)),
        Error::Registry(text) => Error::Registry(words(text)),
        Error::Invalid(text) => Error::Invalid(words(text)),
        problem @ Error::Io { .. } => problem,
    }
}
