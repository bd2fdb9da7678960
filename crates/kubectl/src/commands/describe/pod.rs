//! A pod.

use serde_json::Value;

use super::containers::{self, Section};
use super::page::{self, Page, items, number, shown};
use super::{Subject, events, template, volumes};
use crate::failure::Result;

const MIRROR: &str = "kubernetes.io/config.mirror";

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let pod = subject.tree;
    let mut page = Page::default();
    head(&mut page, pod);
    state(&mut page, pod);
    all_containers(&mut page, pod);
    conditions(&mut page, pod);
    let spec = &pod["spec"];
    volumes::describe(&mut page, &spec["volumes"], "");
    page.field(0, "QoS Class", shown(&pod["status"]["qosClass"]));
    page.labels("Node-Selectors", &spec["nodeSelector"]);
    template::tolerations(&mut page, "Tolerations", &spec["tolerations"]);
    template::spread(&mut page, &spec["topologySpreadConstraints"], "");
    // Static pods' events name the uid that the kubelet gave them.
    let uid = machinery::meta::annotation(pod, MIRROR).unwrap_or(machinery::meta::uid(pod));
    events::append_of(subject, &mut page, &[events::About { kind: "", uid, ..events::about(pod) }]).await;
    Ok(page)
}

fn head(page: &mut Page, pod: &Value) {
    let (meta, spec) = (&pod["metadata"], &pod["spec"]);
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.optional(0, "Priority", &spec["priority"]);
    page.optional(0, "Priority Class Name", &spec["priorityClassName"]);
    page.optional(0, "Runtime Class Name", &spec["runtimeClassName"]);
    page.optional(0, "Service Account", &spec["serviceAccountName"]);
    match spec["nodeName"].as_str().unwrap_or_default() {
        "" => page.field(0, "Node", "<none>"),
        node => page.field(0, "Node", format_args!("{node}/{}", shown(&pod["status"]["hostIP"]))),
    }
    if !pod["status"]["startTime"].is_null() {
        page.field(0, "Start Time", page::date(&pod["status"]["startTime"]));
    }
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
}

fn state(page: &mut Page, pod: &Value) {
    let (meta, status) = (&pod["metadata"], &pod["status"]);
    if meta["deletionTimestamp"].is_null() {
        page.field(0, "Status", shown(&status["phase"]));
    } else {
        page.field(0, "Status", format_args!("Terminating (lasts {})", page::since(&meta["deletionTimestamp"])));
        page.field(0, "Termination Grace Period", format_args!("{}s", number(&meta["deletionGracePeriodSeconds"])));
    }
    page.optional(0, "Reason", &status["reason"]);
    page.optional(0, "Message", &status["message"]);
    let seccomp = &pod["spec"]["securityContext"]["seccompProfile"];
    page.optional(0, "SeccompProfile", &seccomp["type"]);
    if seccomp["type"] == "Localhost" {
        page.field(0, "LocalhostProfile", shown(&seccomp["localhostProfile"]));
    }
    page.field(0, "IP", shown(&status["podIP"]));
    match items(&status["podIPs"]) {
        [] => page.field(0, "IPs", "<none>"),
        all => {
            page.line(0, "IPs:");
            all.iter().for_each(|ip| page.field(1, "IP", shown(&ip["ip"])));
        }
    }
    controlled_by(page, pod);
    page.optional(0, "NominatedNodeName", &status["nominatedNodeName"]);
}

/// `Controlled By: ReplicaSet/x`, when something does.
pub fn controlled_by(page: &mut Page, tree: &Value) {
    if let Some(owner) = machinery::meta::controller(tree) {
        page.field(0, "Controlled By", format_args!("{}/{}", owner.kind, owner.name));
    }
}

fn all_containers(page: &mut Page, pod: &Value) {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let sections = [
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
    ];
    for (label, field, statuses) in sections {
        if field == "containers" || !items(&spec[field]).is_empty() {
            let section = Section { label, containers: &spec[field], statuses: &status[statuses], pod, indent: "" };
            containers::describe(page, &section);
        }
    }
}

fn conditions(page: &mut Page, pod: &Value) {
    let conditions = items(&pod["status"]["conditions"]);
    let gates = items(&pod["spec"]["readinessGates"]);
    if !gates.is_empty() {
        page.line(0, "Readiness Gates:");
        page.line(1, "Type\tStatus");
    }
    for gate in gates {
        let condition = conditions.iter().find(|condition| condition["type"] == gate["conditionType"]);
        let status = condition.map_or_else(|| "<none>".into(), |condition| shown(&condition["status"]));
        page.line(1, format_args!("{} \t{status} ", shown(&gate["conditionType"])));
    }
    if !conditions.is_empty() {
        page.line(0, "Conditions:");
        page.line(1, "Type\tStatus");
    }
    for condition in conditions {
        page.line(1, format_args!("{} \t{} ", shown(&condition["type"]), shown(&condition["status"])));
    }
}
