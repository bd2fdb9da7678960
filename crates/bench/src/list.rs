//! The whole list of ConfigMaps, uncompressed, with a write between two lists so that none is a repeated answer.

use std::time::Instant;

use anyhow::Result;
use client::Resource;
use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::{Bed, Report, create, https, usage};

const OBJECTS: usize = 4_000;
const LISTS: usize = 50;

pub async fn run(bed: &Bed) -> Result<Report> {
    let objects = bed.args.count.unwrap_or(OBJECTS);
    let resource = Resource::of::<ConfigMap>();
    let make =
        |i: usize| bed.client.create_tree(&resource, &bed.namespace, "", "", create::configmap(&format!("c{i}")));
    for start in (0..objects).step_by(64) {
        futures::future::try_join_all((start..objects.min(start + 64)).map(make)).await?;
    }
    let https = https(&bed.args).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps", bed.namespace);
    let cpu = usage::cpu_seconds(&bed.args.cgroup).ok();
    let (mut times, mut bytes) = (Vec::new(), 0);
    for i in 0..LISTS {
        make(objects + i).await?;
        let begun = Instant::now();
        bytes += https.raw(Method::GET, &path, "application/json", None).await?.body.len();
        times.push(begun.elapsed());
    }
    let seconds: f64 = times.iter().map(std::time::Duration::as_secs_f64).sum();
    let mut report = Report::new("list");
    report.figure("size", bytes as f64 / LISTS as f64 / 1e6, "MB");
    report.figure("rate", bytes as f64 / seconds / 1e6, "MB/s");
    report.durations("list", &mut times);
    usage::add(&mut report, &bed.args.cgroup, cpu);
    Ok(report)
}
