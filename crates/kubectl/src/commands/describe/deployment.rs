//! A Deployment with its old and new ReplicaSets.

use client::Options;
use serde_json::Value;

use super::page::{self, Page, items, number, or, shown};
use super::{Subject, events, template};
use crate::failure::Result;
use crate::select;

const HASH: &str = "pod-template-hash";

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let deployment = subject.tree;
    let mut page = Page::default();
    head(&mut page, deployment);
    template::describe(&mut page, &deployment["spec"]["template"]);
    conditions(&mut page, deployment);
    // ReplicaSets that may not be read are left out, as upstream does.
    let (old, new) = replica_sets(subject).await.unwrap_or_default();
    if !old.is_empty() || !new.is_empty() {
        page.field(0, "OldReplicaSets", named(&old));
        page.field(0, "NewReplicaSet", named(&new));
    }
    events::append(subject, &mut page).await;
    Ok(page)
}

fn head(page: &mut Page, deployment: &Value) {
    let (meta, spec, status) = (&deployment["metadata"], &deployment["spec"], &deployment["status"]);
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.field(0, "CreationTimestamp", page::date(&meta["creationTimestamp"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.field(0, "Selector", template::selector(&spec["selector"]));
    let counts = [
        (&spec["replicas"], "desired"),
        (&status["updatedReplicas"], "updated"),
        (&status["replicas"], "total"),
        (&status["availableReplicas"], "available"),
        (&status["unavailableReplicas"], "unavailable"),
    ];
    page.field(0, "Replicas", counts.map(|(count, what)| format!("{} {what}", number(count))).join(" | "));
    page.field(0, "StrategyType", shown(&spec["strategy"]["type"]));
    page.field(0, "MinReadySeconds", number(&spec["minReadySeconds"]));
    let rolling = &spec["strategy"]["rollingUpdate"];
    if !rolling.is_null() {
        let (less, more) = (or(&rolling["maxUnavailable"], "<nil>"), or(&rolling["maxSurge"], "<nil>"));
        page.field(0, "RollingUpdateStrategy", format_args!("{less} max unavailable, {more} max surge"));
    }
}

/// The conditions of a workload; nothing when there are none.
pub fn conditions(page: &mut Page, workload: &Value) {
    let conditions = items(&workload["status"]["conditions"]);
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus\tReason");
    page.line(1, "----\t------\t------");
    for condition in conditions {
        let [kind, status, reason] = ["type", "status", "reason"].map(|field| shown(&condition[field]));
        page.line(1, format_args!("{kind} \t{status}\t{reason}"));
    }
}

/// Its ReplicaSets: the older ones, and the first made of the present template.
async fn replica_sets(subject: &Subject<'_>) -> Result<(Vec<Value>, Vec<Value>)> {
    let deployment = subject.tree;
    let served = subject.session.discovery().await?.of_kind("apps/v1", "ReplicaSet")?;
    let label_selector = template::selector(&deployment["spec"]["selector"]);
    let options = Options { label_selector, ..Options::default() };
    let list = select::list(subject.session, served, machinery::meta::namespace(deployment), options).await?;
    let uid = machinery::meta::uid(deployment);
    let owned = list.items.iter().map(|object| Value::clone(&object.tree()));
    let mut all: Vec<Value> =
        owned.filter(|tree| machinery::meta::controller(tree).is_some_and(|owner| owner.uid == uid)).collect();
    let wanted = without_hash(&deployment["spec"]["template"]);
    let mut fitting: Vec<usize> =
        (0..all.len()).filter(|at| without_hash(&all[*at]["spec"]["template"]) == wanted).collect();
    fitting.sort_by_key(|at| shown(&all[*at]["metadata"]["creationTimestamp"]));
    let new = fitting.first().map(|at| all.remove(*at));
    Ok((all, new.into_iter().collect()))
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(meta) = template["metadata"].as_object_mut() {
        meta.remove("creationTimestamp");
        if let Some(labels) = meta.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(HASH);
        }
    }
    template
}

fn named(sets: &[Value]) -> String {
    let text = |set: &Value| {
        let (there, wanted) = (number(&set["status"]["replicas"]), number(&set["spec"]["replicas"]));
        format!("{} ({there}/{wanted} replicas created)", machinery::meta::name(set))
    };
    if sets.is_empty() { "<none>".into() } else { sets.iter().map(text).collect::<Vec<_>>().join(", ") }
}
