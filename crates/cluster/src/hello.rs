//! The hello application: an image made from the executable itself, and the small server that it runs.
//!
//! A first cluster runs an application with no registry at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::supervise::HUGE_PAGES;

pub const IMAGE: &str = "kybern.io/hello:latest";
pub const PORT: u16 = 8080;
const REQUEST_BYTES_MAX: usize = 8 * 1024;
const REQUEST_SECONDS_MAX: u64 = 10;

/// An OCI archive whose one layer is the executable.
pub fn archive(executable: &[u8]) -> Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "kybern", executable, 0o755)?;
    let layer = layer.into_inner()?;
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(), "os": "linux",
        "config": {
            "Entrypoint": ["/kybern"], "Cmd": ["hello"], "ExposedPorts": {format!("{PORT}/tcp"): {}},
            "Env": [format!("{}={}", HUGE_PAGES.0, HUGE_PAGES.1)],
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    }))?;
    let blob = |media: &str, bytes: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{media}"), "digest": digest(bytes), "size": bytes.len()});
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", &config), "layers": [blob("layer.v1.tar", &layer)],
    }))?;
    let mut named = blob("manifest.v1+json", &manifest);
    named["annotations"] = json!({"org.opencontainers.image.ref.name": IMAGE});
    let index = json!({"schemaVersion": 2, "manifests": [named]});
    let mut out = tar::Builder::new(Vec::new());
    append(&mut out, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    append(&mut out, "index.json", &serde_json::to_vec(&index)?, 0o644)?;
    for bytes in [&layer, &config, &manifest] {
        append(&mut out, &format!("blobs/{}", digest(bytes).replace(':', "/")), bytes, 0o644)?;
    }
    out.into_inner().context("finish the archive")
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn append(out: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    out.append_data(&mut header, path, bytes).with_context(|| format!("add {path} to the archive"))
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// Serves until it is killed: every request is answered with the pod's name.
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).with_context(|| format!("listen on port {PORT}"))?;
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    println!("hello: listening on port {PORT}");
    for connection in listener.incoming() {
        let connection = connection.context("accept a connection")?;
        if let Err(error) = answer(connection, &name) {
            eprintln!("hello: {error}");
        }
    }
    Ok(())
}

fn answer(mut connection: TcpStream, name: &str) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(REQUEST_SECONDS_MAX)))?;
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        match connection.read(&mut chunk)? {
            0 => break,
            count => request.extend_from_slice(&chunk[..count]),
        }
    }
    let body = format!("Hello from {name}\n");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(body.as_bytes())
}
