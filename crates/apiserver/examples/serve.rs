//! An API server alone, for trying with curl and kubectl: `cargo run -p apiserver --example serve -- FOLDER [PORT]`.
//! The store, the certificates and an admin kubeconfig are in the folder.

use std::path::PathBuf;
use std::time::Instant;

use apiserver::pki::{Names, Pki, kubeconfig};
use apiserver::{Config, Server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "/tmp/apiserver-example".into()));
    let port: u16 = args.next().and_then(|p| p.parse().ok()).unwrap_or(0);
    let started = Instant::now();
    std::fs::create_dir_all(&dir)?;
    let pki = Pki::open(&dir.join("pki"), &Names::default())?;
    println!("certificates after {:?}", started.elapsed());
    let store = store::embedded::Embedded::open(&dir.join("store"), store::embedded::Config::default())?;
    println!("store after {:?}", started.elapsed());
    let registry = registry::Registry::open(store, registry::World::real()).await?;
    println!("registry after {:?}", started.elapsed());
    let stop = CancellationToken::new();
    let config = Config { pki_dir: dir.join("pki"), ..Config::default() };
    let server = Server::open(config, registry, &pki, stop.clone()).await?;
    println!("front after {:?}", started.elapsed());
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let text = kubeconfig("example", &format!("https://{address}"), pki.ca_pem(), &pki.admin);
    std::fs::write(dir.join("kubeconfig"), text)?;
    println!("https://{address} after {:?}", started.elapsed());
    let ended = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            ended.cancel();
        }
    });
    server.serve(listener, stop).await
}
