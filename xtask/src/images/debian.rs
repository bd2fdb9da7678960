//! Debian packages as sources of files: downloaded once with apt, read as tar, without their documentation.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::oci::Layer;
use crate::shell;

/// The one with shared libraries: the C library's resolver, linked statically, crashes on names.
pub const BUSYBOX: &str = "busybox";
const LIBC: &str = "libc6";

/// Packages of which images take these files only.
const PARTS: &[(&str, &[&str])] = &[(
    LIBC,
    &[
        "ld-linux-x86-64.so.2",
        "libc.so.6",
        "libm.so.6",
        "libresolv.so.2",
        "libpthread.so.0",
        "libdl.so.2",
        "librt.so.1",
        "libutil.so.1",
    ],
)];

/// What no test image needs, by the beginning of the path.
const LEFT_OUT: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/initramfs-tools",
    "usr/share/bash-completion",
    "usr/lib/x86_64-linux-gnu/gconv",
    "etc/init.d",
    "etc/ufw",
    "etc/logrotate.d",
    "etc/default",
    "lib/systemd",
    "usr/lib/systemd",
    "etc/nginx/sites-available",
    "etc/nginx/snippets",
    "etc/nginx/nginx.conf",
    "var/www",
];

/// Adds the files of a package (without those of the packages that it depends on).
pub fn add(layer: &mut Layer, package: &str, cache: &Path) -> Result<()> {
    let file = download(package, cache)?;
    let mut child = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .context("dpkg-deb --fsys-tarfile")?;
    let Some(out) = child.stdout.take() else { bail!("dpkg-deb has no output") };
    let mut archive = tar::Archive::new(out);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").trim_end_matches('/').to_owned();
        if !is_wanted(package, &path) {
            continue;
        }
        let mode = entry.header().mode()?;
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            layer.folder(&path, mode)?;
        } else if let Some(target) = entry.link_name()? {
            layer.link(&path, &target.to_string_lossy())?;
        } else {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            layer.file(&path, &bytes, mode)?;
        }
    }
    if !child.wait()?.success() {
        bail!("dpkg-deb --fsys-tarfile {} failed", file.display());
    }
    Ok(())
}

fn is_wanted(package: &str, path: &str) -> bool {
    if path.is_empty() || path.ends_with(".pod") || LEFT_OUT.iter().any(|left| path.starts_with(left)) {
        return false;
    }
    let Some((_, parts)) = PARTS.iter().find(|(name, _)| *name == package) else { return true };
    path.rsplit('/').next().is_some_and(|file| parts.contains(&file))
}

/// Debian's busybox is built without this applet, which people use in every image.
const PRINTENV: &str = r#"#!/bin/sh
[ $# -eq 0 ] && exec env
missing=0
for name; do
    if eval "[ -n \"\${$name+set}\" ]"; then eval "printf '%s\n' \"\$$name\""; else missing=1; fi
done
exit $missing
"#;

/// Newer busyboxes ask for names as they are; the one that tutorials use tries the search list, so this does.
const NSLOOKUP: &str = r#"#!/bin/sh
case "$1" in -*|*.|"") exec busybox nslookup "$@";; esac
name=$1
shift
while read -r key words; do
    case "$key" in search) domains=$words;; esac
done < /etc/resolv.conf
for domain in $domains; do
    if said=$(busybox nslookup -type=a "$name.$domain" "$@" 2>/dev/null); then printf '%s\n' "$said"; exit; fi
done
exec busybox nslookup -type=a "$name" "$@"
"#;

/// A link in `/bin` for every applet of busybox, and what it lacks.
pub fn link_applets(layer: &mut Layer, cache: &Path) -> Result<()> {
    let unpacked = cache.join("unpacked");
    let program = unpacked.join("bin/busybox");
    if !program.exists() {
        let package = download(BUSYBOX, cache)?;
        shell::output("dpkg-deb", &["-x", &package.to_string_lossy(), &unpacked.to_string_lossy()], cache)?;
    }
    for applet in shell::output(&program.to_string_lossy(), &["--list"], cache)?.lines() {
        if applet != "busybox" {
            layer.link(&format!("bin/{applet}"), "busybox")?;
        }
    }
    layer.file("bin/nslookup", NSLOOKUP.as_bytes(), 0o755)?;
    layer.file("bin/printenv", PRINTENV.as_bytes(), 0o755)
}

/// The package's file, downloaded into the cache when it is not there.
fn download(package: &str, cache: &Path) -> Result<PathBuf> {
    if let Some(file) = cached(package, cache)? {
        return Ok(file);
    }
    shell::output("apt-get", &["download", "-q", "-o", "APT::Sandbox::User=root", package], cache)?;
    cached(package, cache)?.with_context(|| format!("apt-get download {package} left no file"))
}

fn cached(package: &str, cache: &Path) -> Result<Option<PathBuf>> {
    let prefix = format!("{package}_");
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(".deb") {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
