//! Style is a test: the layering of ARCHITECTURE.md, what pure code may not do, sizes, names and leftovers.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every crate and its floor: it may depend only on crates of lower floors.
const FLOORS: &[(&str, u8)] = &[
    ("machinery", 0),
    ("rpc", 0),
    ("store", 0),
    ("api", 1),
    ("container", 1),
    ("image", 1),
    ("network", 1),
    ("volume", 1),
    ("suite", 1),
    ("client", 2),
    ("control", 2),
    ("registry", 2),
    ("runtime", 2),
    ("apiserver", 3),
    ("controllers", 3),
    ("scheduler", 3),
    ("runner", 4),
    ("dns", 5),
    ("kubelet", 5),
    ("proxy", 5),
    ("bench", 6),
    ("cluster", 6),
    ("kubectl", 6),
    ("kybern", 7),
    ("sim", 7),
    ("trials", 7),
];

/// The hands never heard of Kubernetes.
const HANDS: &[&str] = &["container", "image", "network", "volume"];

/// Only these may depend on the crate at the left.
const DOORS: &[(&str, &[&str])] = &[
    ("store", &["registry", "sim", "kybern"]),
    ("registry", &["apiserver", "sim", "kybern"]),
    ("runtime", &["kubelet", "cluster", "kybern"]),
];

/// Crates and folders that decide: no clock, no randomness, no I/O, no async.
const PURE: &[&str] = &[
    "crates/machinery/src",
    "crates/api/src",
    "crates/control/src",
    "crates/controllers/src",
    "crates/scheduler/src",
    "crates/kubelet/src/plan",
    "crates/proxy/src/plan",
    "crates/dns/src/plan",
];
const FORBIDDEN_IN_PURE: &[&str] = &[
    "::now()",
    "HashMap",
    "HashSet",
    "std::env",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
    "tokio::",
    "async fn",
    "async move",
    "SystemTime",
    "Instant",
    "getrandom",
];

const FORBIDDEN_EVERYWHERE: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// Where `unsafe` may be written.
const UNSAFE: &[&str] =
    &["crates/container/", "crates/image/", "crates/network/", "crates/volume/", "crates/runtime/src/shim"];

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;
/// Generated code is checked in as its generator made it.
const GENERATED: &[&str] = &["crates/rpc/src/archives.rs", "crates/rpc/src/cri.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("xtask")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.retain(|(name, _)| !GENERATED.contains(&name.as_str()));
    found.sort();
    found
}

/// The lines before the tests of a file, comments taken off.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let cut = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..cut].lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs") || name.contains("/examples/") || name.contains("/benches/")
}

fn check(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (name, _) in FLOORS {
        let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let normal = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
        let normal = normal.split("\n[").next().unwrap_or_default();
        let named = normal.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        let ours = named.filter(|d| FLOORS.iter().any(|(name, _)| name == d));
        found.insert((*name).to_owned(), ours.map(str::to_owned).collect());
    }
    found
}

#[test]
fn every_arrow_points_down() {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut problems = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !floors.contains_key(name.as_str()) {
            problems.push(format!("crate {name} has no floor"));
        }
    }
    for (from, all) in dependencies() {
        for to in all {
            if floors[to.as_str()] >= floors[from.as_str()] {
                problems.push(format!("{from} depends on {to}, which is not below it"));
            }
            if HANDS.contains(&from.as_str()) {
                problems.push(format!("{from} is a hand and depends on {to}"));
            }
            let door = DOORS.iter().find(|(name, _)| *name == to);
            if door.is_some_and(|(_, allowed)| !allowed.contains(&from.as_str())) {
                problems.push(format!("{from} may not depend on {to}"));
            }
        }
    }
    check(problems);
}

#[test]
fn automation_builds_where_nothing_is_installed_yet() {
    let manifest = fs::read_to_string(root().join("xtask/Cargo.toml")).unwrap();
    let ours = named_dependencies(&manifest).into_iter().filter(|d| FLOORS.iter().any(|(name, _)| name == d));
    assert_eq!(ours.collect::<Vec<_>>(), ["suite"]);
    assert_eq!(dependencies()["suite"], ["machinery"]);
}

/// The names in all sections of a manifest that list dependencies.
fn named_dependencies(manifest: &str) -> Vec<String> {
    let sections = manifest
        .split("\n[")
        .filter(|section| section.split(']').next().is_some_and(|title| title.ends_with("dependencies")));
    let lines = sections.flat_map(|section| section.lines().skip(1));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_dependency_is_used() {
    let (mut problems, mut everywhere) = (Vec::new(), Vec::new());
    let sources = sources();
    let mut folders: Vec<String> = FLOORS.iter().map(|(name, _)| format!("crates/{name}")).collect();
    folders.push("xtask".to_owned());
    for folder in folders {
        let used: String = sources
            .iter()
            .filter(|(name, _)| name.starts_with(&format!("{folder}/")))
            .map(|(_, text)| text.as_str())
            .collect();
        let named = named_dependencies(&fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap());
        for name in named.iter().filter(|name| !used.contains(&name.replace('-', "_"))) {
            problems.push(format!("{folder} names {name} and does not use it"));
        }
        everywhere.extend(named);
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for name in named_dependencies(&manifest).iter().filter(|name| !everywhere.contains(name)) {
        problems.push(format!("the workspace names {name} and no crate uses it"));
    }
    check(problems);
}

#[test]
fn pure_code_is_pure() {
    let mut problems = Vec::new();
    for (name, text) in sources() {
        if !PURE.iter().any(|pure| name.starts_with(pure)) || is_test(&name) {
            continue;
        }
        for (at, line) in code(&text) {
            for bad in FORBIDDEN_IN_PURE.iter().filter(|bad| line.contains(**bad)) {
                problems.push(format!("{name}:{at}: {bad}"));
            }
        }
    }
    check(problems);
}

#[test]
fn there_are_no_leftovers() {
    let mut problems = Vec::new();
    for (name, text) in sources() {
        if is_test(&name) {
            continue;
        }
        for (at, line) in code(&text) {
            for bad in FORBIDDEN_EVERYWHERE.iter().filter(|bad| line.contains(**bad)) {
                problems.push(format!("{name}:{at}: {bad}"));
            }
            let says_unsafe = line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl");
            if says_unsafe && !UNSAFE.iter().any(|allowed| name.starts_with(allowed)) {
                problems.push(format!("{name}:{at}: unsafe is not allowed here"));
            }
        }
        let stem = Path::new(&name).file_stem().unwrap().to_string_lossy().into_owned();
        if ["util", "utils", "common", "helper", "helpers", "misc", "manager"].contains(&stem.as_str()) {
            problems.push(format!("{name}: a name that says nothing"));
        }
        if !text.starts_with("//!") {
            problems.push(format!("{name}: it does not say what it is"));
        }
    }
    check(problems);
}

#[test]
fn files_and_functions_have_a_size() {
    let mut problems = Vec::new();
    for (name, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!("{name}: {lines} lines"));
        }
        if !is_test(&name) {
            problems
                .extend(long_functions(&text).map(|(at, lines)| format!("{name}:{at}: a function of {lines} lines")));
        }
    }
    check(problems);
}

/// rustfmt puts a function's closing brace below its `fn`, at the same indentation.
fn long_functions(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start();
        let is_function = words.starts_with("fn ")
            || words.contains(" fn ")
                && (words.starts_with("pub") || words.starts_with("async") || words.starts_with("const"));
        if !is_function || words.ends_with(';') || words.ends_with('}') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[at..].iter().position(|l| *l == close)
            && length + 1 > FUNCTION_LINES_MAX
        {
            found.push((at + 1, length + 1));
        }
    }
    found.into_iter()
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    let mut problems = Vec::new();
    for (name, text) in sources() {
        if name.ends_with("tidy.rs") {
            continue;
        }
        for bad in ["/work/", "artifactory", "/root/"] {
            if text.contains(bad) {
                problems.push(format!("{name}: {bad}"));
            }
        }
    }
    check(problems);
}
