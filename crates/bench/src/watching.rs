//! One stream of writes to many watchers: how many events arrive a second, and how late.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use client::{Client, Resource};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use machinery::request::{Change, Verb};

use crate::{Bed, Report, create, usage};

const WRITES: usize = 1_000;
const WATCHERS: usize = 1_000;
/// Watchers share connections, as those of one client process do.
const WATCHERS_PER_CONNECTION: usize = 100;
const PATIENCE_SECONDS: u64 = 120;

pub async fn run(bed: &Bed) -> Result<Report> {
    let (writes, watchers) = (bed.args.count.unwrap_or(WRITES), bed.args.clients.unwrap_or(WATCHERS));
    let mut streams = Vec::new();
    let mut connection = bed.another().await?;
    for i in 0..watchers {
        if i % WATCHERS_PER_CONNECTION == 0 {
            connection = bed.another().await?;
        }
        streams.push(open(&connection, &bed.namespace).await?);
    }
    let cpu = usage::cpu_seconds(&bed.args.cgroup).ok();
    let begun = Instant::now();
    let readers: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(read(stream, writes))).collect();
    let resource = Resource::of::<ConfigMap>();
    for i in 0..writes {
        bed.client.create_tree(&resource, &bed.namespace, "", "", create::configmap(&format!("c{i}"))).await?;
    }
    let written = begun.elapsed();
    for reader in readers {
        reader.await??;
    }
    let all = begun.elapsed();
    let mut report = Report::new("watch");
    report.figure("watchers", watchers as f64, "");
    report.figure("events", (writes * watchers) as f64 / all.as_secs_f64(), "events/s");
    report.figure("last event after the last write", (all - written).as_secs_f64() * 1e3, "ms");
    usage::add(&mut report, &bed.args.cgroup, cpu);
    Ok(report)
}

async fn open(client: &Client, namespace: &str) -> Result<client::Events> {
    Ok(client.watch(Resource::of::<ConfigMap>().request(Verb::Watch, namespace)).await?)
}

/// Reads until as many objects were added as will be written; what was there before counts too little to matter.
async fn read(mut events: client::Events, writes: usize) -> Result<()> {
    let end = tokio::time::Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
    let mut added = 0;
    while added < writes {
        let event = tokio::time::timeout_at(end, events.next()).await.context("no event for too long")?;
        let event = event.context("the watch ended")??;
        added += usize::from(event.change == Change::Added);
    }
    Ok(())
}
