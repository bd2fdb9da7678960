//! Image archives: OCI layouts and what `docker save` writes, plain or compressed. Not here: unpacking of layers.
//!
//! An archive's files are first put aside under numbers, so that no name in it ever becomes a path.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::store::{Names, Store, decompress, hex};
use crate::{Error, Image, Reference, Result};

/// Manifests, indexes and configurations are small.
const JSON_LENGTH_MAX: u64 = 8 << 20;
/// Indexes within indexes.
const INDEX_DEPTH_MAX: usize = 4;

/// Loads every image of an archive. Names come from the archive; an image without a name is known by its id only.
pub fn load(store: &Store, archive: &Path) -> Result<Vec<Image>> {
    let file =
        fs::File::open(archive).map_err(|source| Error::io(format!("cannot open {}", archive.display()), source))?;
    let folder = store.ingest_path();
    fs::create_dir(&folder).map_err(|source| Error::io("cannot make an ingest folder", source))?;
    let result = put_aside(decompress(file)?, &folder).and_then(|files| files.load(store));
    fs::remove_dir_all(&folder).map_err(|source| Error::io("cannot remove an ingest folder", source))?;
    result.map_err(|problem| match problem {
        Error::Invalid(text) => Error::Invalid(format!("{}: {text}", archive.display())),
        other => other,
    })
}

/// The files of an archive: their names, and where they were put.
struct Files(BTreeMap<String, PathBuf>);

fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn put_aside(stream: impl Read, folder: &Path) -> Result<Files> {
    let at = |source: io::Error| Error::io("cannot read the archive", source);
    let mut files = BTreeMap::new();
    let mut links = Vec::new();
    let mut archive = tar::Archive::new(stream);
    for (number, entry) in archive.entries().map_err(at)?.enumerate() {
        let mut entry = entry.map_err(at)?;
        let name = normal(&String::from_utf8_lossy(&entry.path_bytes()));
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let path = folder.join(number.to_string());
            let mut file = fs::File::create_new(&path).map_err(at)?;
            io::copy(&mut entry, &mut file).map_err(at)?;
            files.insert(name, path);
        } else if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = String::from_utf8_lossy(&target).into_owned();
            let base = if kind.is_symlink() { name.rsplit_once('/').map_or("", |(folder, _)| folder) } else { "" };
            links.push((name.clone(), normal(&format!("{base}/{target}"))));
        }
    }
    // Older `docker save` links a layer that an earlier image has.
    for (name, target) in links {
        if let Some(path) = files.get(&target).cloned() {
            files.insert(name, path);
        }
    }
    Ok(Files(files))
}

impl Files {
    fn path(&self, name: &str) -> Result<PathBuf> {
        self.0.get(&normal(name)).cloned().ok_or_else(|| Error::Invalid(format!("the archive lacks {name}")))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        let meta = fs::metadata(&path).map_err(|source| Error::io(format!("cannot read {name}"), source))?;
        if meta.len() > JSON_LENGTH_MAX {
            return Err(Error::Invalid(format!("{name} is larger than {JSON_LENGTH_MAX} bytes")));
        }
        fs::read(path).map_err(|source| Error::io(format!("cannot read {name}"), source))
    }

    fn json(&self, name: &str) -> Result<Value> {
        serde_json::from_slice(&self.bytes(name)?).map_err(|problem| Error::Invalid(format!("{name}: {problem}")))
    }

    fn load(&self, store: &Store) -> Result<Vec<Image>> {
        let mut images = Vec::new();
        if self.0.contains_key("index.json") {
            self.load_index(store, &self.json("index.json")?, None, &mut images, 0)?;
        }
        if self.0.contains_key("manifest.json") {
            self.load_docker(store, &self.json("manifest.json")?, &mut images)?;
        }
        if images.is_empty() {
            return Err(Error::Invalid(
                "neither an OCI layout nor a docker archive with images for linux/amd64".into(),
            ));
        }
        Ok(images)
    }

    fn load_index(
        &self,
        store: &Store,
        index: &Value,
        name: Option<&str>,
        images: &mut Vec<Image>,
        depth: usize,
    ) -> Result<()> {
        if depth > INDEX_DEPTH_MAX {
            return Err(Error::Invalid("too many indexes within indexes".into()));
        }
        for entry in index["manifests"].as_array().into_iter().flatten() {
            if !is_for_here(entry) {
                continue;
            }
            let digest = entry["digest"].as_str().unwrap_or_default();
            let blob = self.bytes(&blob_name(digest)?)?;
            check_digest(digest, &blob)?;
            let document: Value =
                serde_json::from_slice(&blob).map_err(|problem| Error::Invalid(format!("{digest}: {problem}")))?;
            let own_name = name_of(entry);
            let name = own_name.as_deref().or(name);
            if document["manifests"].is_array() {
                self.load_index(store, &document, name, images, depth + 1)?;
            } else {
                put(images, self.load_manifest(store, &document, digest, name)?);
            }
        }
        Ok(())
    }

    fn load_manifest(&self, store: &Store, manifest: &Value, digest: &str, name: Option<&str>) -> Result<Image> {
        let config_digest = manifest["config"]["digest"].as_str().unwrap_or_default();
        let config = self.bytes(&blob_name(config_digest)?)?;
        check_digest(config_digest, &config)?;
        let reference = name.map(Reference::parse).transpose()?;
        let tags = reference.iter().filter(|name| name.tag.is_some()).map(|name| name.to_string()).collect();
        let digests = reference.iter().map(|name| name.with_digest(digest)).collect();
        store.admit(&config, Names { tags, digests, loaded: true }, |layer| {
            let digest = manifest["layers"][layer]["digest"].as_str().unwrap_or_default();
            self.path(&blob_name(digest)?)
        })
    }

    fn load_docker(&self, store: &Store, manifest: &Value, images: &mut Vec<Image>) -> Result<()> {
        for entry in manifest.as_array().into_iter().flatten() {
            let config = self.bytes(entry["Config"].as_str().unwrap_or_default())?;
            let names = entry["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let tags =
                names.map(|name| Reference::parse(name).map(|name| name.to_string())).collect::<Result<Vec<_>>>()?;
            let image = store.admit(&config, Names { tags, digests: Vec::new(), loaded: true }, |layer| {
                self.path(entry["Layers"][layer].as_str().unwrap_or_default())
            })?;
            put(images, image);
        }
        Ok(())
    }
}

/// An image that comes again, under another of its names, takes the place of what it was before.
fn put(images: &mut Vec<Image>, image: Image) {
    images.retain(|known| known.id != image.id);
    images.push(image);
}

/// Whether an index entry is an image for this machine; entries without a platform are taken.
pub(crate) fn is_for_here(entry: &Value) -> bool {
    let platform = &entry["platform"];
    let is = |key: &str, wanted: &str| platform[key].as_str().is_none_or(|found| found == wanted);
    is("os", "linux") && is("architecture", "amd64") && entry["artifactType"].is_null()
}

fn name_of(entry: &Value) -> Option<String> {
    let annotations = &entry["annotations"];
    let full = annotations["io.containerd.image.name"].as_str();
    // A bare tag, as umoci writes it, names nothing that could be asked for.
    let short = annotations["org.opencontainers.image.ref.name"].as_str().filter(|name| name.contains([':', '/']));
    full.or(short).map(str::to_string)
}

fn blob_name(digest: &str) -> Result<String> {
    if !crate::reference::is_digest(digest) {
        return Err(Error::Invalid(format!("{digest:?} is not a digest")));
    }
    Ok(format!("blobs/{}", digest.replace(':', "/")))
}

/// Fails unless `bytes` have the digest that names them.
pub(crate) fn check_digest(digest: &str, bytes: &[u8]) -> Result<()> {
    let found = format!("sha256:{}", hex(&Sha256::digest(bytes)));
    if found == digest { Ok(()) } else { Err(Error::Invalid(format!("{digest} has the content of {found}"))) }
}
