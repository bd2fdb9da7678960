//! ConfigMaps created by several clients, each with one request in flight.

use std::time::{Duration, Instant};

use anyhow::Result;
use client::{Client, Resource};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use crate::{Bed, Report, usage};

const OBJECTS: usize = 20_000;
const CLIENTS: usize = 8;
/// With metadata about what a small real object has.
const VALUE_BYTES: usize = 256;

pub async fn run(bed: &Bed) -> Result<Report> {
    let clients = bed.args.clients.unwrap_or(CLIENTS);
    let each = bed.args.count.unwrap_or(OBJECTS).div_ceil(clients);
    let cpu = usage::cpu_seconds(&bed.args.cgroup).ok();
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(bed.another().await?);
    }
    let begun = Instant::now();
    let work = connections.into_iter().enumerate();
    let work = work.map(|(who, client)| tokio::spawn(fill(client, bed.namespace.clone(), who, each)));
    let mut times = Vec::new();
    for done in futures::future::join_all(work).await {
        times.extend(done??);
    }
    let all = begun.elapsed();
    let mut report = Report::new("create");
    report.figure("rate", times.len() as f64 / all.as_secs_f64(), "creates/s");
    report.durations("create", &mut times);
    usage::add(&mut report, &bed.args.cgroup, cpu);
    Ok(report)
}

async fn fill(client: Client, namespace: String, who: usize, count: usize) -> Result<Vec<Duration>> {
    let resource = Resource::of::<ConfigMap>();
    let mut times = Vec::with_capacity(count);
    for i in 0..count {
        let tree = configmap(&format!("c{who}-{i}"));
        let begun = Instant::now();
        client.create_tree(&resource, &namespace, "", "", tree).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

pub fn configmap(name: &str) -> serde_json::Value {
    let value = "v".repeat(VALUE_BYTES);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}}, "data": {"key": value}})
}
