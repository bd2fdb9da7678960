//! What Kybern needs of Debian to be built and tested, installed when missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// For the build: libseccomp as a static library, and a C compiler for the cryptography.
pub const BUILD: &[&str] = &["libseccomp-dev", "gcc", "libc6-dev", "make"];
/// To ask the application that `up` runs.
pub const UP: &[&str] = &["curl"];
/// For the tests besides: network tools, a registry to pull from, a DNS client.
pub const TEST: &[&str] =
    &["iproute2", "nftables", "util-linux", "curl", "bind9-dnsutils", "procps", "docker-registry", "skopeo"];

const KUBECTL_DIR: &str = "/var/tmp/kybern-kubectl";

/// Installs those that are missing.
pub fn ensure(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    shell::run("apt-get", &["update", "-qq"])?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(missing);
    shell::run("apt-get", &args)
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output();
    query.is_ok_and(|found| found.stdout.starts_with(b"install ok installed"))
}

/// Upstream's kubectl 1.20 from Debian, unpacked beside the system: its package clashes with others.
pub fn kubectl() -> Result<PathBuf> {
    let dir = Path::new(KUBECTL_DIR);
    let program = dir.join("usr/bin/kubectl");
    if program.exists() {
        return Ok(program);
    }
    std::fs::create_dir_all(dir).context("create the folder of kubectl")?;
    shell::output("apt-get", &["download", "-q", "-o", "APT::Sandbox::User=root", "kubernetes-client"], dir)?;
    let unpack = "for package in kubernetes-client_*.deb; do dpkg -x \"$package\" .; done";
    shell::output("sh", &["-c", unpack], dir)?;
    Ok(program)
}
