//! The images of one node on disk, and which image a name means. One process owns a store.
//!
//! ```text
//! images/<hex of the id>.json   written to a temporary name, synced, renamed
//! layers/<chain id>/            unpacked under a temporary name, renamed; never changed afterwards (see [`settle`])
//! ingest/                       what is under way; emptied when the store is opened
//! downloads/<hex>               layers that come from a registry; continued after a start
//! ```
//! Not here: where images come from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use sha2::{Digest, Sha256};

use crate::record::{self, Image, Parsed};
use crate::{Error, Reference, Result, settle, unpack};

/// Digits of a chain id that name its folder: 128 bits, so that a hundred layers fit into one mount's options.
const LAYER_NAME_LENGTH: usize = 32;

pub struct Store {
    root: PathBuf,
    images: Mutex<BTreeMap<String, Image>>,
    sequence: AtomicU64,
    /// Held from reading an image's names until they are written: two changes at once must both last.
    naming: Mutex<()>,
    /// Layers of images that are being taken in: nobody's yet, and not to be collected.
    admitting: Mutex<Vec<String>>,
}

/// A layer that waits in a file to be unpacked.
pub(crate) struct Pending {
    pub file: PathBuf,
    pub diff_id: String,
}

/// The names under which an image is taken in.
#[derive(Default)]
pub(crate) struct Names {
    pub tags: Vec<String>,
    pub digests: Vec<String>,
    /// They come from an archive.
    pub loaded: bool,
}

impl Store {
    /// Opens or makes a store. What an earlier process left half-made is removed.
    pub fn open(root: impl Into<PathBuf>) -> Result<Store> {
        let root = root.into();
        let at = |source: io::Error| Error::io(format!("cannot open the image store {}", root.display()), source);
        match fs::remove_dir_all(root.join("ingest")) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(at(problem)),
            _ => {}
        }
        for folder in ["images", "layers/.empty", "ingest", "downloads"] {
            fs::create_dir_all(root.join(folder)).map_err(at)?;
        }
        let layers = root.join("layers");
        settle::after_start(&layers).map_err(at)?;
        let mut images = BTreeMap::new();
        for entry in fs::read_dir(root.join("images")).map_err(at)?.flatten() {
            let image = serde_json::from_slice::<Image>(&fs::read(entry.path()).map_err(at)?).ok();
            match image.filter(|image| image.layers.iter().all(|name| layers.join(name).exists())) {
                Some(image) => drop(images.insert(image.id.clone(), image)),
                None => {
                    tracing::warn!(file = %entry.path().display(), "removing an image that a crash left incomplete");
                    fs::remove_file(entry.path()).map_err(at)?;
                }
            }
        }
        Ok(Store {
            root,
            images: Mutex::new(images),
            sequence: AtomicU64::new(0),
            naming: Mutex::default(),
            admitting: Mutex::default(),
        })
    }

    pub(crate) fn naming(&self) -> MutexGuard<'_, ()> {
        self.naming.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn images(&self) -> MutexGuard<'_, BTreeMap<String, Image>> {
        self.images.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The folder that holds the unpacked layers.
    pub fn layers_dir(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every image, ordered by id.
    pub fn list(&self) -> Vec<Image> {
        self.images().values().cloned().collect()
    }

    /// The image that `text` means: an id (with or without `sha256:`), a name with tag, or a name with digest.
    pub fn find(&self, text: &str) -> Option<Image> {
        let images = self.images();
        let id = text.strip_prefix("sha256:").unwrap_or(text);
        if crate::reference::is_sha256_hex(id) {
            return images.get(&format!("sha256:{id}")).cloned();
        }
        let reference = Reference::parse(text).ok()?;
        let known = |image: &&Image| match &reference.digest {
            Some(digest) => image.digests.contains(&reference.with_digest(digest)),
            None => image.tags.contains(&reference.to_string()),
        };
        images.values().find(known).cloned()
    }

    /// Removes an image with all its names; absence is success. Its layers stay until [`Store::collect`].
    pub fn remove(&self, text: &str) -> Result<()> {
        let _naming = self.naming();
        self.find(text).map_or(Ok(()), |image| self.forget(&image.id))
    }

    /// Removes an image's record. The caller is the one who changes names.
    pub(crate) fn forget(&self, id: &str) -> Result<()> {
        let file = self.record_file(id);
        match fs::remove_file(&file) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(format!("cannot remove {}", file.display()), problem));
            }
            _ => {}
        }
        self.images().remove(id);
        Ok(())
    }

    /// Marks an image as one that garbage collection must leave.
    pub fn pin(&self, text: &str) -> Result<()> {
        let _naming = self.naming();
        let mut image = self.find(text).ok_or_else(|| Error::NotFound(text.to_string()))?;
        image.pinned = true;
        self.save(image)
    }

    /// Removes layers that no image has and that are not in `used`. Returns how many went.
    pub fn collect(&self, used: &BTreeSet<String>) -> Result<usize> {
        // First who is on the way: an image that arrives in between is then found among the images.
        let arriving = self.admitting().clone();
        let named: BTreeSet<String> = self.images().values().flat_map(|image| image.layers.clone()).collect();
        let mut removed = 0;
        let at = |source: io::Error| Error::io("cannot collect unused layers", source);
        for entry in fs::read_dir(self.layers_dir()).map_err(at)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_wanted = named.contains(&name) || used.contains(&name) || arriving.contains(&name);
            if name.len() == LAYER_NAME_LENGTH && !is_wanted {
                // Renamed first: a folder half removed must not be taken for a layer.
                let grave = self.ingest_path();
                fs::rename(entry.path(), &grave).map_err(at)?;
                fs::remove_dir_all(grave).map_err(at)?;
                fs::remove_file(self.layers_dir().join(format!("{name}.size"))).map_err(at)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn admitting(&self) -> MutexGuard<'_, Vec<String>> {
        self.admitting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps layers from being collected for as long as the answer lives.
    fn keep(&self, names: Vec<String>) -> Kept<'_> {
        self.admitting().extend(names.iter().cloned());
        Kept { store: self, names }
    }

    /// A fresh name for something under way.
    pub(crate) fn ingest_path(&self) -> PathBuf {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        self.root.join("ingest").join(number.to_string())
    }

    /// Where a layer is while it comes from a registry. A start of the process leaves it, so that the rest can follow.
    pub(crate) fn download_path(&self, digest: &str) -> PathBuf {
        self.root.join("downloads").join(digest.trim_start_matches("sha256:"))
    }

    fn record_file(&self, id: &str) -> PathBuf {
        self.root.join("images").join(format!("{}.json", id.trim_start_matches("sha256:")))
    }

    /// Takes an image in: unpacks what is missing and remembers it under its names, which other images lose.
    /// `pending` gives, for each layer, where its (compressed) tar is; layers that are there already are not asked for.
    pub(crate) fn admit(
        &self,
        config: &[u8],
        Names { tags, digests, loaded }: Names,
        pending: impl Fn(usize) -> Result<PathBuf>,
    ) -> Result<Image> {
        let Parsed { config: run, diff_ids } = record::parse(config)?;
        let id = format!("sha256:{}", hex(&Sha256::digest(config)));
        let _kept = self.keep(chain(&diff_ids));
        let mut layers: Vec<String> = Vec::new();
        let mut size_bytes = config.len() as u64;
        for (name, (index, diff_id)) in chain(&diff_ids).into_iter().zip(diff_ids.iter().enumerate()) {
            let is_there = || self.layers_dir().join(&name).exists();
            if !is_there() {
                let layer = Pending { file: pending(index)?, diff_id: diff_id.clone() };
                let unpacked = self.unpack_layer(&layer, &name, &layers);
                // Somebody who took in the same layer meanwhile may have removed the file it came from.
                unpacked.or_else(|problem| if is_there() { Ok(()) } else { Err(problem) })?;
            }
            size_bytes += self.layer_size(&name);
            layers.push(name);
        }
        let _naming = self.naming();
        let known = self.images().get(&id).cloned();
        let pinned = known.as_ref().is_some_and(|image| image.pinned);
        let loaded = if loaded { tags.clone() } else { Vec::new() };
        let mut image = Image { id, tags, digests, layers, size_bytes, config: run, loaded, pinned };
        if let Some(known) = known {
            image.loaded.extend(known.loaded);
            image.tags.extend(known.tags);
            image.digests.extend(known.digests);
        }
        for names in [&mut image.tags, &mut image.digests, &mut image.loaded] {
            names.sort();
            names.dedup();
        }
        self.take_names(&image)?;
        self.save(image.clone())?;
        Ok(image)
    }

    /// Whether every layer of the given configuration is unpacked already.
    pub(crate) fn missing_layers(&self, config: &[u8]) -> Result<Vec<usize>> {
        let parsed = record::parse(config)?;
        let names = chain(&parsed.diff_ids);
        Ok((0..names.len()).filter(|index| !self.layers_dir().join(&names[*index]).exists()).collect())
    }

    /// A tag means one image only.
    fn take_names(&self, image: &Image) -> Result<()> {
        let others: Vec<Image> = self
            .list()
            .into_iter()
            .filter(|other| other.id != image.id && other.tags.iter().any(|tag| image.tags.contains(tag)))
            .collect();
        for mut other in others {
            other.tags.retain(|tag| !image.tags.contains(tag));
            other.loaded.retain(|tag| !image.tags.contains(tag));
            self.save(other)?;
        }
        Ok(())
    }

    pub(crate) fn save(&self, image: Image) -> Result<()> {
        let file = self.record_file(&image.id);
        let at = |source: io::Error| Error::io(format!("cannot write {}", file.display()), source);
        let bytes = serde_json::to_vec(&image).map_err(|problem| at(problem.into()))?;
        let temporary = self.ingest_path();
        fs::write(&temporary, bytes).map_err(at)?;
        fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(at)?;
        fs::rename(&temporary, &file).map_err(at)?;
        sync_folder(&self.root.join("images")).map_err(at)?;
        self.images().insert(image.id.clone(), image);
        Ok(())
    }

    fn unpack_layer(&self, layer: &Pending, name: &str, below: &[String]) -> Result<()> {
        let folder = self.ingest_path();
        let at = |source: io::Error| Error::io(format!("cannot unpack layer {}", layer.diff_id), source);
        fs::create_dir(&folder).map_err(at)?;
        let below: Vec<PathBuf> = below.iter().map(|name| self.layers_dir().join(name)).collect();
        let result = self.unpack_checked(layer, &folder, &below);
        let (bytes, inodes) = match result {
            Ok(size) => size,
            Err(problem) => {
                let _ = fs::remove_dir_all(&folder);
                return Err(problem);
            }
        };
        fs::write(self.layers_dir().join(format!("{name}.size")), format!("{bytes} {inodes}")).map_err(at)?;
        settle::mark(&self.layers_dir(), name).map_err(at)?;
        match fs::rename(&folder, self.layers_dir().join(name)) {
            // Somebody else unpacked the same layer in the meantime.
            Err(problem) if self.layers_dir().join(name).exists() => {
                tracing::debug!(name, %problem, "layer was there already");
                fs::remove_dir_all(&folder).map_err(at)
            }
            other => other.map_err(at),
        }?;
        settle::in_background(self.layers_dir(), vec![name.to_string()]);
        Ok(())
    }

    fn unpack_checked(&self, layer: &Pending, folder: &Path, below: &[PathBuf]) -> Result<(u64, u64)> {
        let file = fs::File::open(&layer.file)
            .map_err(|source| Error::io(format!("cannot read layer {}", layer.diff_id), source))?;
        let mut stream = Hashing { inner: decompress(file)?, hash: Sha256::new() };
        let size = unpack::unpack(&mut stream, folder, below)?;
        // What follows the archive's end counts for the digest too.
        io::copy(&mut stream, &mut io::sink()).map_err(|source| Error::io("cannot read the layer", source))?;
        let digest = format!("sha256:{}", hex(&stream.hash.finalize()));
        if digest != layer.diff_id {
            return Err(Error::Invalid(format!("layer {} has the content of {digest}", layer.diff_id)));
        }
        Ok(size)
    }

    fn layer_size(&self, name: &str) -> u64 {
        self.layer_usage(name).0
    }

    /// Bytes and inodes. Older versions wrote the bytes only.
    fn layer_usage(&self, name: &str) -> (u64, u64) {
        let text = fs::read_to_string(self.layers_dir().join(format!("{name}.size"))).unwrap_or_default();
        let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// Bytes and inodes of all unpacked layers.
    pub fn usage(&self) -> (u64, u64) {
        let Ok(entries) = fs::read_dir(self.layers_dir()) else { return (0, 0) };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let layers: Vec<String> = names.filter(|name| name.len() == LAYER_NAME_LENGTH).collect();
        let sizes = layers.iter().map(|name| self.layer_usage(name));
        sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }
}

struct Kept<'a> {
    store: &'a Store,
    names: Vec<String>,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let mut admitting = self.store.admitting();
        for name in &self.names {
            // One of several that admit the same layer at once.
            if let Some(index) = admitting.iter().position(|kept| kept == name) {
                admitting.swap_remove(index);
            }
        }
    }
}

/// The folder names of layers: each depends on the layers below it, as the OCI image spec's chain ids do.
fn chain(diff_ids: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    let mut id = String::new();
    for diff_id in diff_ids {
        id = if id.is_empty() {
            diff_id.clone()
        } else {
            format!("sha256:{}", hex(&Sha256::digest(format!("{id} {diff_id}"))))
        };
        names.push(id.trim_start_matches("sha256:")[..LAYER_NAME_LENGTH].to_string());
    }
    names
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Passes bytes on and hashes them.
pub(crate) struct Hashing<R> {
    pub inner: R,
    pub hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// The plain stream of a file that may be compressed by gzip or zstd, told by its first bytes.
pub(crate) fn decompress(mut file: fs::File) -> Result<Box<dyn Read + Send>> {
    let mut magic = [0; 4];
    let at = |source: io::Error| Error::io("cannot read the archive", source);
    let mut length = 0;
    while length < magic.len() {
        match file.read(&mut magic[length..]).map_err(at)? {
            0 => break,
            count => length += count,
        }
    }
    io::Seek::rewind(&mut file).map_err(at)?;
    let buffered = io::BufReader::with_capacity(1 << 16, file);
    Ok(match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::with_buffer(buffered).map_err(at)?),
        _ => Box::new(buffered),
    })
}
