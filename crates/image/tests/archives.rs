//! Archives of images, good ones and hostile ones. Needs root, for owners and whiteouts.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use image::{Store, archive};
use sha2::{Digest, Sha256};

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Tar {
        Tar(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: tar::EntryType, path: &str, link: &str, mode: u32, content: &[u8]) -> Tar {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        if !link.is_empty() {
            header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_mode(mode);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, path: &str, content: &str) -> Tar {
        self.entry(tar::EntryType::Regular, path, "", 0o644, content.as_bytes())
    }

    fn link(self, path: &str, target: &str) -> Tar {
        self.entry(tar::EntryType::Symlink, path, target, 0o777, b"")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A `docker save` archive of one image with the given layers.
fn docker_archive(folder: &Path, layers: Vec<Vec<u8>>) -> PathBuf {
    named_archive(folder, layers, r#""demo:1""#)
}

fn named_archive(folder: &Path, layers: Vec<Vec<u8>>, tags: &str) -> PathBuf {
    let ids: Vec<String> = layers.iter().map(|layer| format!("\"sha256:{}\"", hex(layer))).collect();
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","config":{{"Cmd":null}},"rootfs":{{"diff_ids":[{}]}}}}"#,
        ids.join(",")
    );
    let names: Vec<String> = (0..layers.len()).map(|index| format!("\"{index}/layer.tar\"")).collect();
    let manifest = format!(r#"[{{"Config":"config.json","RepoTags":[{tags}],"Layers":[{}]}}]"#, names.join(","));
    let mut outer = Tar::new().file("config.json", &config).file("manifest.json", &manifest);
    for (index, layer) in layers.iter().enumerate() {
        outer = outer.entry(tar::EntryType::Regular, &format!("{index}/layer.tar"), "", 0o644, layer);
    }
    let path = folder.join("archive.tar");
    std::fs::File::create(&path).unwrap().write_all(&outer.bytes()).unwrap();
    path
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root to make device nodes and change owners");
    }
    root
}

#[test]
fn layers_keep_owners_modes_links_and_deletions() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = Tar::new()
        .entry(tar::EntryType::Directory, "tmp/", "", 0o1777, b"")
        .entry(tar::EntryType::Regular, "bin/su", "", 0o4755, b"su")
        .entry(tar::EntryType::Link, "bin/sudo", "bin/su", 0o4755, b"")
        .link("etc/link", "/bin/su")
        .file("etc/old", "old")
        .bytes();
    let second = Tar::new().file("etc/.wh.old", "").file("tmp/new", "new").file("etc/dir/.wh..wh..opq", "").bytes();
    let archive = docker_archive(folder.path(), vec![first, second]);
    let store = Store::open(folder.path().join("store")).unwrap();
    let image = archive::load(&store, &archive).unwrap().remove(0);
    assert_eq!(image.tags, ["docker.io/library/demo:1"]);
    let layers: Vec<PathBuf> = image.layers.iter().map(|name| store.layers_dir().join(name)).collect();
    let su = std::fs::metadata(layers[0].join("bin/su")).unwrap();
    assert_eq!(
        (su.permissions().mode() & 0o7777, su.uid(), su.gid(), su.nlink(), su.mtime()),
        (0o4755, 7, 8, 2, 1_000_000)
    );
    assert!(std::fs::symlink_metadata(layers[1].join("etc/old")).unwrap().file_type().is_char_device());
    // A folder that the upper layer does not mention looks as it did below.
    assert_eq!(std::fs::metadata(layers[1].join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(layers[1].join("etc/dir"), "trusted.overlay.opaque", &mut value).unwrap(), 1);
    // Reopened, known, and removed with its layers.
    drop(store);
    let store = Store::open(folder.path().join("store")).unwrap();
    assert_eq!(store.find("demo:1").unwrap().id, image.id);
    store.remove("demo:1").unwrap();
    assert_eq!(store.collect(&Default::default()).unwrap(), 2);
    assert!(!layers[0].exists());
}

#[test]
fn hostile_layers_do_not_escape() {
    if !is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap();
    let hostile = [
        Tar::new().file("../escaped", "x").bytes(),
        Tar::new().link("out", target).file("out/escaped", "x").bytes(),
        Tar::new().link("a", "../../../../../../../../").file(&format!("a{target}/escaped"), "x").bytes(),
        Tar::new().link("f", &format!("{target}/escaped")).file("f", "x").bytes(),
        Tar::new()
            .entry(tar::EntryType::Link, "h", &format!("../../../../../../..{target}/secret"), 0o644, b"")
            .bytes(),
        Tar::new().link("d", target).file("d/.wh.secret", "").bytes(),
    ];
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    for (number, layer) in hostile.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        // Refused or confined: both are fine, nothing may change outside.
        let _ = archive::load(&store, &docker_archive(folder.path(), vec![layer]));
        let names: Vec<_> =
            std::fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"], "case {number}");
        assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "secret", "case {number}");
        assert_eq!(std::fs::metadata(outside.path().join("secret")).unwrap().nlink(), 1, "case {number}");
    }
}

#[test]
fn a_layer_with_another_content_is_refused() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let archive = docker_archive(folder.path(), vec![Tar::new().file("a", "a").bytes()]);
    let mut bytes = std::fs::read(&archive).unwrap();
    let layer = bytes.windows(7).rposition(|window| window == b"\x30\x30\x30\x30\x36\x34\x34").unwrap();
    bytes[layer + 600] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    assert!(archive::load(&store, &archive).is_err());
    assert!(store.list().is_empty());
    assert_eq!(store.usage().1, 0);
}

/// An OCI layout whose one image has two names, as `docker save` writes it for two tags.
fn oci_archive(folder: &Path, names: &[&str]) -> PathBuf {
    let layer = Tar::new().file("etc/motd", "hello").bytes();
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}"]}}}}"#,
        hex(&layer)
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"sha256:{}"}},"layers":[{{"digest":"sha256:{}"}}]}}"#,
        hex(config.as_bytes()),
        hex(&layer)
    );
    let entry = |name: &&str| {
        let digest = hex(manifest.as_bytes());
        format!(r#"{{"digest":"sha256:{digest}","annotations":{{"io.containerd.image.name":"{name}"}}}}"#)
    };
    let entries: Vec<String> = names.iter().map(entry).collect();
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    let mut outer = Tar::new().file("index.json", &index);
    for blob in [layer, config.into_bytes(), manifest.into_bytes()] {
        outer = outer.entry(tar::EntryType::Regular, &format!("blobs/sha256/{}", hex(&blob)), "", 0o644, &blob);
    }
    let path = folder.join("oci.tar");
    std::fs::write(&path, outer.bytes()).unwrap();
    path
}

#[test]
fn an_image_with_two_names_comes_once_with_both() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let archive = oci_archive(folder.path(), &["demo:1", "demo:2"]);
    let store = Store::open(folder.path().join("store")).unwrap();
    let images = archive::load(&store, &archive).unwrap();
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].tags, ["docker.io/library/demo:1", "docker.io/library/demo:2"]);
}

#[test]
fn a_name_is_taken_from_an_image_which_goes_with_its_last_one() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let layer = || vec![Tar::new().file("a", "a").bytes()];
    let load = || archive::load(&store, &named_archive(folder.path(), layer(), r#""demo:1","demo:2","other:1""#));
    let image = load().unwrap().remove(0);
    assert_eq!(store.untag("demo:2").unwrap(), ["docker.io/library/demo:2"]);
    assert!(store.find("demo:2").is_none());
    assert!(store.untag("demo:2").is_err(), "it is gone");
    for kept in ["demo:1", "other:1"] {
        assert_eq!(store.find(kept).unwrap().id, image.id);
    }
    // What is on the disk says the same.
    let again = Store::open(folder.path().join("store")).unwrap().list().remove(0);
    assert_eq!(again.tags, ["docker.io/library/demo:1", "docker.io/library/other:1"]);
    assert_eq!(again.loaded, again.tags);
    std::thread::scope(|scope| {
        for name in ["docker.io/library/demo:1", "other:1"] {
            let store = &store;
            scope.spawn(move || store.untag(name).unwrap());
        }
    });
    assert!(store.list().is_empty());
    assert_eq!(store.collect(&Default::default()).unwrap(), 1);
    let image = load().unwrap().remove(0);
    assert_eq!(store.untag(&image.id).unwrap().len(), 3, "an id stands for all names");
    assert!(store.list().is_empty());
}
