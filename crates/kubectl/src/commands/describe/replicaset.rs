//! A ReplicaSet or ReplicationController, and the count of a controller's pods.

use client::Options;
use serde_json::Value;

use super::page::{Page, number, shown};
use super::{Subject, deployment, events, pod, template};
use crate::failure::Result;
use crate::print::table::labels_text;
use crate::select;

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let set = subject.tree;
    let (meta, spec) = (&set["metadata"], &set["spec"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.field(0, "Selector", selector(set));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    pod::controlled_by(&mut page, set);
    let (there, wanted) = (number(&set["status"]["replicas"]), number(&spec["replicas"]));
    page.field(0, "Replicas", format_args!("{there} current / {wanted} desired"));
    match pods_status(subject).await {
        Ok(text) => page.field(0, "Pods Status", text),
        Err(failure) => page.field(0, "Pods Status", format_args!("error in fetching pods: {failure}")),
    }
    template::describe(&mut page, &spec["template"]);
    deployment::conditions(&mut page, set);
    events::append(subject, &mut page).await;
    Ok(page)
}

/// In one line; that of a ReplicationController is a map.
fn selector(keeper: &Value) -> String {
    let selector = &keeper["spec"]["selector"];
    match keeper["kind"].as_str() {
        Some("ReplicationController") => labels_text(selector),
        _ => template::selector(selector),
    }
}

/// `3 Running / 0 Waiting / 0 Succeeded / 0 Failed`, of the pods that this object controls.
pub async fn pods_status(subject: &Subject<'_>) -> Result<String> {
    let served = subject.session.discovery().await?.of_kind("v1", "Pod")?;
    let label_selector = selector(subject.tree);
    let options = Options { label_selector, ..Options::default() };
    let list = select::list(subject.session, served, machinery::meta::namespace(subject.tree), options).await?;
    let uid = machinery::meta::uid(subject.tree);
    let pods: Vec<Value> = list.items.iter().map(|object| Value::clone(&object.tree())).collect();
    let own = pods.iter().filter(|pod| machinery::meta::controller(pod).is_some_and(|owner| owner.uid == uid));
    let phases: Vec<&str> = own.map(|pod| pod["status"]["phase"].as_str().unwrap_or_default()).collect();
    let count = |phase: &str| phases.iter().filter(|p| **p == phase).count();
    let counts = [("Running", "Running"), ("Pending", "Waiting"), ("Succeeded", "Succeeded"), ("Failed", "Failed")];
    Ok(counts.map(|(phase, word)| format!("{} {word}", count(phase))).join(" / "))
}
