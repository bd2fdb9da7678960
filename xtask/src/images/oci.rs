//! An OCI archive of one image with one layer: deterministic, so that the same packages give the same digest.
//!
//! Source: the OCI image layout and image specifications.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::recipes::Recipe;

enum Node {
    Folder(u32),
    File(Vec<u8>, u32),
    Link(String),
}

/// The files of an image; a later entry of the same path replaces the earlier one.
pub struct Layer {
    nodes: BTreeMap<String, Node>,
}

impl Layer {
    pub fn new() -> Self {
        Self { nodes: BTreeMap::new() }
    }

    pub fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        self.add(path, Node::Folder(mode))
    }

    pub fn file(&mut self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        self.add(path, Node::File(bytes.to_vec(), mode))
    }

    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.add(path, Node::Link(target.to_owned()))
    }

    fn add(&mut self, path: &str, node: Node) -> Result<()> {
        let folders: BTreeSet<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        for folder in folders {
            self.nodes.entry(folder.to_owned()).or_insert(Node::Folder(0o755));
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    fn tar(&self) -> Result<Vec<u8>> {
        let mut out = tar::Builder::new(Vec::new());
        for (path, node) in &self.nodes {
            let mut header = tar::Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            match node {
                Node::Folder(mode) => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(*mode);
                    header.set_size(0);
                    out.append_data(&mut header, format!("{path}/"), std::io::empty())?;
                }
                Node::File(bytes, mode) => {
                    header.set_mode(*mode);
                    header.set_size(bytes.len() as u64);
                    out.append_data(&mut header, path, bytes.as_slice())?;
                }
                Node::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    out.append_link(&mut header, path, target)?;
                }
            }
        }
        out.into_inner().context("finish the layer")
    }
}

/// Writes the archive; every name of the recipe points at the same image.
pub fn write(archive: &Path, recipe: &Recipe, layer: Layer) -> Result<()> {
    let plain = layer.tar()?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&plain)?;
    let packed = gzip.finish()?;
    let mut blobs = Blobs::default();
    let layer = blobs.add("application/vnd.oci.image.layer.v1.tar+gzip", packed);
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z",
        "config": recipe.config(),
        "rootfs": {"type": "layers", "diff_ids": [digest(&plain)]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask images"}],
    });
    let config = blobs.add("application/vnd.oci.image.config.v1+json", serde_json::to_vec(&config)?);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [layer],
    });
    let manifest = blobs.add("application/vnd.oci.image.manifest.v1+json", serde_json::to_vec(&manifest)?);
    let named = |name: &&str| {
        let mut entry = manifest.clone();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name});
        entry
    };
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": recipe.names.iter().map(named).collect::<Vec<_>>(),
    });
    blobs.files.insert("index.json".into(), serde_json::to_vec(&index)?);
    blobs.files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    blobs.write(archive)
}

#[derive(Default)]
struct Blobs {
    files: BTreeMap<String, Vec<u8>>,
}

impl Blobs {
    /// Adds a blob and gives its descriptor.
    fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (digest(&bytes), bytes.len());
        self.files.insert(format!("blobs/{}", digest.replace(':', "/")), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }

    /// Beside the archive first, so that a cut build leaves no half of one.
    fn write(&self, archive: &Path) -> Result<()> {
        let staged = archive.with_extension("new");
        let mut out = tar::Builder::new(File::create(&staged)?);
        for (path, bytes) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(bytes.len() as u64);
            out.append_data(&mut header, path, bytes.as_slice())?;
        }
        out.into_inner()?.sync_all()?;
        std::fs::rename(&staged, archive)?;
        Ok(())
    }
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}
