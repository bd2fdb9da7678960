//! Pulls from a real registry on the loopback interface: Debian's docker-registry, filled by skopeo.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use image::Store;
use image::pull::{Config, Credentials, Puller};

const ARCHIVE: &str = "/var/tmp/kybern-images/busybox.tar";

struct Registry {
    child: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(folder: &Path) -> Option<Registry> {
    if !Path::new("/usr/bin/docker-registry").exists()
        || !Path::new(ARCHIVE).exists()
        || !rustix::process::geteuid().is_root()
    {
        eprintln!("skipped: needs root, docker-registry and {ARCHIVE}");
        return None;
    }
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let config = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
        folder.join("registry").display()
    );
    std::fs::write(folder.join("config.yml"), config).unwrap();
    let child = Command::new("/usr/bin/docker-registry")
        .arg("serve")
        .arg(folder.join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let registry = Registry { child, address };
    for _ in 0..200 {
        if std::net::TcpStream::connect(&registry.address).is_ok() {
            return Some(registry);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("the registry does not listen");
}

#[tokio::test]
async fn images_are_pulled_by_tag_digest_and_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let Some(registry) = start(folder.path()) else { return };
    let name = format!("{}/team/busybox:1", registry.address);
    let pushed = Command::new("skopeo")
        .args([
            "copy",
            "-q",
            "--dest-tls-verify=false",
            &format!("oci-archive:{ARCHIVE}:docker.io/library/busybox:1.36"),
            &format!("docker://{name}"),
        ])
        .status()
        .unwrap();
    assert!(pushed.success());
    let store = Arc::new(Store::open(folder.path().join("store")).unwrap());
    let mirrors = [("docker.io".to_string(), vec![format!("http://{}", registry.address)])].into();
    let puller = Puller::new(Config { mirrors }, store.clone());
    let (first, second) = tokio::join!(puller.pull(&name, Credentials::None), puller.pull(&name, Credentials::None));
    let image = first.unwrap();
    assert_eq!(image.id, second.unwrap().id);
    assert_eq!(image.tags, std::slice::from_ref(&name));
    assert!(store.layers_dir().join(&image.layers[0]).join("bin/busybox").exists());
    assert_eq!(std::fs::read_dir(store.root().join("downloads")).unwrap().count(), 0);
    // By digest, into another store, from a mirror.
    let digest = image.digests[0].split_once('@').unwrap().1.to_string();
    let other = Arc::new(Store::open(folder.path().join("other")).unwrap());
    let mirrors = [("docker.io".to_string(), vec![format!("http://{}", registry.address)])].into();
    let puller = Puller::new(Config { mirrors }, other.clone());
    let hex = pulled_layer_hex(&registry.address, &digest);
    std::fs::write(other.root().join("downloads").join(&hex), b"\x1f\x8b broken begin").unwrap();
    let mirrored = puller.pull(&format!("team/busybox@{digest}"), Credentials::None).await;
    let mirrored = match mirrored {
        // The broken begin is found out, removed, and fetched whole.
        Ok(image) => image,
        Err(problem) => panic!("{problem}"),
    };
    assert_eq!(mirrored.id, image.id);
    assert_eq!(mirrored.digests, [format!("docker.io/team/busybox@{digest}")]);
    // A digest goes with the last tag of its repository, and alone when it is what was named.
    assert_eq!(store.untag(&name).unwrap(), [name.clone(), image.digests[0].clone()]);
    assert_eq!(other.untag(&mirrored.digests[0]).unwrap(), mirrored.digests);
    assert!(store.list().is_empty() && other.list().is_empty());
    let missing = puller.pull(&format!("{}/team/nothing:1", registry.address), Credentials::None).await;
    assert!(matches!(missing, Err(image::Error::NotFound(_))), "{missing:?}");
}

fn pulled_layer_hex(address: &str, digest: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let accept = "application/vnd.oci.image.manifest.v1+json";
    write!(socket, "GET /v2/team/busybox/manifests/{digest} HTTP/1.0\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let body: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_string()
}
