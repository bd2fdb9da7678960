//! Sockets, caches and the host's resolvers around the plan.
//!
//! ```text
//!   source: caches ─▶ Records ─▶ Zone ──(pointer)──▶ server: what to say ◀── udp, tcp: who asks
//!   resolv: /etc/resolv.conf ─────────────────────▶ forward: cache, upstream resolvers
//! ```

mod forward;
mod resolv;
mod server;
mod source;
mod tcp;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use client::cache::{Cache, Change, Subscription};
use client::{Client, World};
use k8s_openapi::api::core::v1::Namespace;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::plan::name::Name;
use crate::plan::{Records, ServiceFacts, SliceFacts, Zone};
use forward::Forwarder;
use server::Server;

#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses of this machine (an answer comes from the address that was asked, so none that stands for all). One
    /// that it does not have yet is no error.
    pub listen: Vec<SocketAddr>,
    /// `cluster.local`
    pub domain: String,
    /// Names the resolvers for all other names; followed when it changes.
    pub resolv_conf: PathBuf,
}

/// Answers until `stop`. Before the caches have listed, names of the cluster are answered with SERVFAIL, others already well.
pub async fn run(config: Config, client: Client, stop: CancellationToken) -> anyhow::Result<()> {
    let domain = Name::parse(&config.domain).with_context(|| format!("{:?} is no domain", config.domain))?;
    let mut records = Records::new(domain);
    let server = Arc::new(Server::new(records.zone(), Forwarder::new()));
    let mut tasks = JoinSet::new();
    for address in &config.listen {
        udp::serve(*address, &server, &stop, &mut tasks)?;
        tcp::serve(*address, &server, &stop, &mut tasks)?;
    }
    let mut feed = Feed::start(&client, &stop, &mut tasks);
    let mut resolv = resolv::Watch::start(&config.resolv_conf);
    let mut own = own_addresses(&config, &records.zone());
    server.forwarder.set_upstreams(&resolv.read(&own));
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = feed.apply(&mut records) => {
                let zone = records.zone();
                let now = own_addresses(&config, &zone);
                if now != own {
                    own = now;
                    server.forwarder.set_upstreams(&resolv.read(&own));
                }
                server.set_zone(zone);
            }
            () = resolv.changed() => server.forwarder.set_upstreams(&resolv.read(&own)),
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Where asking for a name would come back to us.
fn own_addresses(config: &Config, zone: &Zone) -> Vec<IpAddr> {
    let service = zone.entry("kube-system", "kube-dns").map(|entry| entry.kind.clone());
    let cluster = match service {
        Some(crate::plan::ServiceKind::Cluster(addresses)) => addresses,
        _ => Vec::new(),
    };
    config.listen.iter().map(SocketAddr::ip).chain(cluster).collect()
}

/// A cache and what it says.
type Followed<T> = (Cache<T>, Subscription<T>);

/// What the three caches say.
struct Feed {
    services: Followed<Option<Arc<ServiceFacts>>>,
    slices: Followed<SliceFacts>,
    namespaces: Followed<()>,
    is_complete: bool,
}

impl Feed {
    fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) -> Self {
        Self {
            services: follow(source::services(), client, stop, tasks),
            slices: follow(source::slices(), client, stop, tasks),
            namespaces: follow(source::names_of::<Namespace>(), client, stop, tasks),
            is_complete: false,
        }
    }

    /// Waits until something is to be done, and does it with all that waits already.
    async fn apply(&mut self, records: &mut Records) {
        let synced = async {
            self.services.0.synced().await;
            self.slices.0.synced().await;
            self.namespaces.0.synced().await;
        };
        tokio::select! {
            change = self.services.1.next() => apply_service(records, &change),
            change = self.slices.1.next() => apply_slice(records, &change),
            change = self.namespaces.1.next() => apply_namespace(records, &change),
            () = synced, if !self.is_complete => self.is_complete = true,
        }
        while let Some(change) = self.services.1.try_next() {
            apply_service(records, &change);
        }
        while let Some(change) = self.slices.1.try_next() {
            apply_slice(records, &change);
        }
        while let Some(change) = self.namespaces.1.try_next() {
            apply_namespace(records, &change);
        }
        // Only after what the first lists brought has been applied.
        if self.is_complete {
            records.complete();
        }
    }
}

fn follow<T: ?Sized + Send + Sync + 'static>(
    source: client::cache::Source<T>,
    client: &Client,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Followed<T> {
    let cache = Cache::new(client.clone(), source, World::real());
    let subscription = cache.subscribe();
    let (running, until) = (cache.clone(), stop.clone());
    tasks.spawn(async move { running.run(until).await });
    (cache, subscription)
}

fn apply_service(records: &mut Records, change: &Change<Option<Arc<ServiceFacts>>>) {
    records.apply_service(change.key(), change.current().and_then(|facts| (**facts).clone()));
}

fn apply_slice(records: &mut Records, change: &Change<SliceFacts>) {
    match change {
        Change::Applied { key, new, .. } => records.apply_slice(key, new.clone()),
        Change::Deleted { key, .. } => records.delete_slice(key),
    }
}

fn apply_namespace(records: &mut Records, change: &Change<()>) {
    records.apply_namespace(&change.key().name, change.current().is_some());
}

#[cfg(test)]
mod tests;
