//! Brings the kernel's table to what the plan says: caches in, one transaction out.
//!
//! ```text
//!   subscribe ─▶ apply to the index ─▶ take the changes ─▶ commit (in a blocking thread)
//!       ▲                                                     │
//!       └──────── what came meanwhile is one next batch ◀─────┘
//! ```
//!
//! The first transaction comes after both caches have listed and replaces a table that an earlier process left, so that
//! traffic flows on while the proxy is away. A table is removed only by `cleanup`; one that somebody else removes is made
//! anew at once.

mod lost;
mod source;
mod table;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use client::cache::{Cache, Change, Subscription};
use client::{Client, World};
use machinery::key::Key;
use network::conntrack;
use network::nft::{self, Family};
use network::pool::Cidr;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::plan::{Changes, Endpoint, Index, Place, PortFacts, ServiceFacts, SliceFacts, SlicePort, Stale};

/// After a refused transaction; the next change tries at once.
const RETRY_MS: u64 = 1_000;
const KERNEL_NEEDS: &str = "the kernel does not take the rules for Services: it must have nf_tables with CONFIG_NFT_NAT, \
    CONFIG_NFT_MASQ, CONFIG_NFT_FIB_IPV4, CONFIG_NFT_REJECT, CONFIG_NFT_NUMGEN and CONFIG_NFT_CT";
const TCP: u8 = 6;
const UDP: u8 = 17;

#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the nftables table.
    pub table: String,
    /// This node's name.
    pub node: String,
    /// The addresses of the cluster's pods.
    pub pods: Cidr,
    /// The addresses of the cluster's Services.
    pub services: Option<Cidr>,
}

/// Keeps the rules right until `stop`. The rules stay.
pub async fn run(config: Config, client: Client, stop: CancellationToken) -> anyhow::Result<()> {
    let services = Cache::new(client.clone(), source::services(), World::real());
    let slices = Cache::new(client, source::slices(), World::real());
    let mut changes = Feed { services: services.subscribe(), slices: slices.subscribe() };
    let mut tasks = JoinSet::new();
    let (running, until) = (services.clone(), stop.clone());
    tasks.spawn(async move { running.run(until).await });
    let (running, until) = (slices.clone(), stop.clone());
    tasks.spawn(async move { running.run(until).await });
    let both = async {
        services.synced().await;
        slices.synced().await;
    };
    if stop.run_until_cancelled(both).await.is_some() {
        keep(config, &mut changes, &stop).await?;
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Removes the table; one that is not there is no error.
pub fn cleanup(table: &str) -> anyhow::Result<()> {
    nft::remove_table(Family::Ipv4, table).with_context(|| format!("remove the service rules in table {table}"))
}

/// Whether this machine's kernel takes the rules, tried where they touch nobody. Takes a few milliseconds.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let place = Place { node: config.node.clone(), pods: config.pods, services: config.services };
    let whole = table::transaction(&config.table, Some(&place), &samples(place.clone()));
    network::namespace::apart(|| whole.commit()).context(KERNEL_NEEDS)
}

/// A Service that asks for every kind of rule.
fn samples(place: Place) -> Changes {
    let here = std::net::Ipv4Addr::new(192, 0, 2, 1);
    let port = PortFacts { name: String::new(), protocol: TCP, port: 80, node_port: Some(30_000) };
    let facts = |affinity_s| ServiceFacts {
        cluster_ips: vec![here],
        ports: vec![port.clone()],
        affinity_s,
        ..ServiceFacts::default()
    };
    let (ready, serving, terminating) = (true, true, false);
    let endpoint = |address| Endpoint { address, node: None, ready, serving, terminating, for_nodes: Vec::new() };
    let mut index = Index::new(place);
    for (name, affinity_s) in [("plain", None), ("sticky", Some(1))] {
        let key = Key::new("check", name);
        let slice = SliceFacts {
            service: Some(key.clone()),
            ports: vec![SlicePort { name: String::new(), protocol: TCP, port: 80 }],
            endpoints: vec![endpoint(here), endpoint(std::net::Ipv4Addr::new(192, 0, 2, 2))],
        };
        index.apply_service(&key, Some(Arc::new(facts(affinity_s))));
        index.apply_slice(&key, Arc::new(slice));
    }
    index.take()
}

/// What the two caches say.
struct Feed {
    services: Subscription<Option<Arc<ServiceFacts>>>,
    slices: Subscription<SliceFacts>,
}

impl Feed {
    /// Waits for a change and applies it, with all that are there already.
    async fn apply(&mut self, index: &mut Index) {
        tokio::select! {
            change = self.services.next() => apply_service(index, &change),
            change = self.slices.next() => apply_slice(index, &change),
        }
        self.apply_waiting(index);
    }

    fn apply_waiting(&mut self, index: &mut Index) {
        while let Some(change) = self.services.try_next() {
            apply_service(index, &change);
        }
        while let Some(change) = self.slices.try_next() {
            apply_slice(index, &change);
        }
    }
}

fn apply_service(index: &mut Index, change: &Change<Option<Arc<ServiceFacts>>>) {
    match change {
        Change::Applied { key, new, .. } => index.apply_service(key, new.as_ref().clone()),
        Change::Deleted { key, .. } => index.delete_service(key),
    }
}

fn apply_slice(index: &mut Index, change: &Change<SliceFacts>) {
    match change {
        Change::Applied { key, new, .. } => index.apply_slice(key, new.clone()),
        Change::Deleted { key, .. } => index.delete_slice(key),
    }
}

/// Somebody else's firewall may drop what pods send, and no rule of ours could save it. Docker's does, by default.
fn warn_of_drops(pods: Cidr) {
    let chains = nft::dropping_chains(nft::HookPoint::Forward).unwrap_or_default();
    for chain in chains {
        tracing::warn!(
            "chain {} of nftables table {} drops forwarded packets: unless its rules accept those from and to {pods}, pods \
             reach neither each other nor the outside (with Docker: iptables -I DOCKER-USER -s {pods} -j ACCEPT; \
             iptables -I DOCKER-USER -d {pods} -j ACCEPT)",
            chain.name,
            chain.table,
        );
    }
}

async fn keep(config: Config, feed: &mut Feed, stop: &CancellationToken) -> anyhow::Result<()> {
    warn_of_drops(config.pods);
    let place = Place { node: config.node, pods: config.pods, services: config.services };
    let mut index = Index::new(place.clone());
    // Whether the kernel's table is what the index has last been asked for.
    let mut is_known = false;
    let mut lost = lost::Watch::start(&config.table);
    feed.apply_waiting(&mut index);
    while !stop.is_cancelled() {
        let taken = index.take();
        let (changes, base) = if is_known { (taken, None) } else { (index.everything(), Some(place.clone())) };
        is_known = match commit(config.table.clone(), base, changes).await? {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("service rules in table {}: {error}; they are made anew", config.table);
                false
            }
        };
        let retry = async {
            match is_known {
                true => std::future::pending().await,
                false => tokio::time::sleep(Duration::from_millis(RETRY_MS)).await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = feed.apply(&mut index) => {}
            () = lost.table() => is_known = false,
            () = retry => {}
        }
    }
    Ok(())
}

/// One transaction, then what the kernel still remembers against it. The outer error is a broken thread.
async fn commit(table: String, base: Option<Place>, changes: Changes) -> anyhow::Result<network::Result<()>> {
    let work = move || {
        table::transaction(&table, base.as_ref(), &changes).commit()?;
        forget(&changes.stale)
    };
    tokio::task::spawn_blocking(work).await.context("commit the service rules")
}

fn forget(stale: &[Stale]) -> network::Result<()> {
    if stale.is_empty() {
        return Ok(());
    }
    let is_stale = |flow: &conntrack::Flow, stale: &Stale| {
        let here = match stale.address {
            Some(address) => address == flow.destination,
            // To a node's address: one of ours only if its destination was rewritten.
            None => flow.destination != flow.answerer,
        };
        here && stale.port == flow.destination_port && !stale.current.contains(&(flow.answerer, flow.answerer_port))
    };
    let forgotten = conntrack::forget(|flow| flow.protocol == UDP && stale.iter().any(|stale| is_stale(flow, stale)))?;
    tracing::debug!("{forgotten} UDP connections to former endpoints forgotten");
    Ok(())
}

#[cfg(test)]
mod tests;
