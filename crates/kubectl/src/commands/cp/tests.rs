use std::fs;
use std::path::Path;

use tokio::sync::mpsc;

use super::download::{FromChannel, Unpacking};
use super::upload::pack;
use super::{Ended, Place, verdict};

fn unpacking(prefix: &str, destination: &Path) -> Unpacking {
    Unpacking { prefix: prefix.into(), destination: destination.display().to_string(), hint: String::new() }
}

/// An archive with names that no honest tar writes.
fn crafted(entries: &[(&str, tar::EntryType)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(0);
        header.set_mode(0o644);
        header.set_link_name("/etc").unwrap();
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
    }
    out.resize(out.len() + 1024, 0);
    out
}

#[test]
fn places_are_told_apart() {
    assert_eq!(Place::parse("/tmp/x/").unwrap(), Place { pod: None, namespace: "", path: "/tmp/x".into() });
    assert_eq!(Place::parse("a/b:c\\d").unwrap(), Place { pod: Some("b"), namespace: "a", path: "c/d".into() });
    assert!(Place::parse(":x").is_err() && Place::parse("a/b/c:x").is_err());
}

#[test]
fn a_folder_goes_there_and_back() {
    let (there, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let long = "long-".repeat(40);
    let source = there.path().join("from");
    fs::create_dir_all(source.join("deep/empty")).unwrap();
    fs::write(source.join("deep").join(&long), "x").unwrap();
    fs::write(source.join("two"), vec![7; 100_000]).unwrap();
    let mut archive = Vec::new();
    pack(&source.display().to_string(), "to", &mut archive).unwrap();
    unpacking("to", &back.path().join("got")).run(archive.as_slice()).unwrap();
    let got = back.path().join("got");
    assert_eq!(fs::read(got.join("deep").join(&long)).unwrap(), b"x");
    assert_eq!(fs::read(got.join("two")).unwrap().len(), 100_000);
    assert!(got.join("deep/empty").is_dir());
}

#[test]
fn nothing_lands_outside_and_no_link_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into");
    let archive = crafted(&[
        ("x/../../evil", tar::EntryType::Regular),
        ("x/link", tar::EntryType::Symlink),
        ("x/fine", tar::EntryType::Regular),
    ]);
    unpacking("x", &into).run(archive.as_slice()).unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["into"]);
    let names: Vec<_> = fs::read_dir(into).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["fine"]);
}

#[test]
fn foreign_names_stop_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    let archive = crafted(&[("other", tar::EntryType::Regular)]);
    let failure = unpacking("x", folder.path()).run(archive.as_slice()).unwrap_err();
    assert_eq!(failure.to_string(), "error: tar contents corrupted");
}

#[test]
fn the_code_of_tar_counts_where_the_archive_has_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let is_whole = |archive: Vec<u8>| {
        let (sender, incoming) = mpsc::channel(1);
        sender.try_send(archive.into()).unwrap();
        drop(sender);
        let mut reader = FromChannel { incoming, left: bytes::Bytes::new(), is_drained: false };
        unpacking("x", folder.path()).run(&mut reader).unwrap();
        !reader.is_drained
    };
    assert!(is_whole(crafted(&[])));
    assert!(!is_whole(Vec::new()));
    assert!(verdict(Ended::Code(1), Ok(()), true).is_ok());
    assert!(verdict(Ended::Code(1), Ok(()), false).is_err());
    assert!(verdict(Ended::Failed("x".into()), Ok(()), true).is_err());
}
