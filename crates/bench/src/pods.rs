//! Pods from create to running, as a watcher of the API sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use client::{Options, Resource};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use machinery::request::{Change, Verb};
use serde_json::{Value, json};

use crate::{Bed, Report};

const SERIAL_PODS: usize = 20;
const BURST_PODS: usize = 50;
const PATIENCE_SECONDS: u64 = 120;

/// One after the other; each is deleted before the next.
pub async fn serial(bed: &Bed) -> Result<Report> {
    let mut watch = Running::watch(bed).await?;
    let (mut running, mut gone) = (Vec::new(), Vec::new());
    for i in 0..bed.args.count.unwrap_or(SERIAL_PODS) {
        let name = format!("serial-{i}");
        let begun = Instant::now();
        create(bed, &name).await?;
        watch.until(|seen| seen.get(&name) == Some(&true)).await?;
        running.push(begun.elapsed());
        let begun = Instant::now();
        let options = Options { grace_period_seconds: Some(0), ..Options::default() };
        bed.client.delete::<Pod>(&bed.namespace, &name, options).await?;
        watch.until(|seen| !seen.contains_key(&name)).await?;
        gone.push(begun.elapsed());
    }
    let mut report = Report::new("pod-serial");
    report.durations("create to running", &mut running);
    report.durations("delete to gone", &mut gone);
    Ok(report)
}

/// All at once.
pub async fn burst(bed: &Bed) -> Result<Report> {
    let count = bed.args.count.unwrap_or(BURST_PODS);
    let mut watch = Running::watch(bed).await?;
    let begun = Instant::now();
    let creates = (0..count).map(|i| async move { create(bed, &format!("burst-{i}")).await });
    futures::future::try_join_all(creates).await?;
    let mut times = Vec::new();
    watch
        .until(|seen| {
            let running = seen.values().filter(|running| **running).count();
            times.resize(running.max(times.len()), begun.elapsed());
            running == count
        })
        .await?;
    let all = begun.elapsed();
    let mut report = Report::new("pod-burst");
    report.durations("create to running", &mut times);
    report.figure("rate", count as f64 / all.as_secs_f64(), "pods/s");
    Ok(report)
}

async fn create(bed: &Bed, name: &str) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": bed.args.image, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"]}],
        },
    });
    let resource = Resource::of::<Pod>();
    bed.client.create_tree(&resource, &bed.namespace, "", "", pod).await.context("create a pod")?;
    Ok(())
}

/// Which pods are there, and whether they run.
struct Running {
    events: client::Events,
    seen: BTreeMap<String, bool>,
}

impl Running {
    async fn watch(bed: &Bed) -> Result<Self> {
        let mut request = Resource::of::<Pod>().request(Verb::Watch, &bed.namespace);
        request.options.resource_version = "0".into();
        Ok(Self { events: bed.client.watch(request).await?, seen: BTreeMap::new() })
    }

    async fn until(&mut self, mut done: impl FnMut(&BTreeMap<String, bool>) -> bool) -> Result<()> {
        let end = tokio::time::Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
        while !done(&self.seen) {
            let event = tokio::time::timeout_at(end, self.events.next()).await.context("no event for too long")?;
            let event = event.context("the watch ended")??;
            let tree = event.object.tree();
            let name = tree["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            match event.change {
                Change::Added | Change::Modified => self.seen.insert(name, runs(&tree)?),
                Change::Deleted => self.seen.remove(&name),
                Change::Bookmark => None,
            };
        }
        Ok(())
    }
}

fn runs(pod: &Value) -> Result<bool> {
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    if matches!(waiting["reason"].as_str(), Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName")) {
        bail!("the image of the pods is not on the node; load it or name another with --image: {}", waiting["message"]);
    }
    match pod["status"]["phase"].as_str() {
        Some("Failed") => bail!("the pod {} failed: {}", pod["metadata"]["name"], pod["status"]),
        phase => Ok(phase == Some("Running")),
    }
}

#[cfg(test)]
mod tests {
    use super::{json, runs};

    #[test]
    fn an_image_that_is_not_there_is_not_waited_for() {
        let waits = |reason: &str| {
            let state = json!({"waiting": {"reason": reason, "message": "no such host"}});
            runs(&json!({"status": {"phase": "Pending", "containerStatuses": [{"state": state}]}}))
        };
        assert!(!waits("ContainerCreating").unwrap());
        assert!(waits("ErrImagePull").unwrap_err().to_string().contains("--image"));
        assert!(runs(&json!({"status": {"phase": "Running"}})).unwrap());
    }
}
