//! DaemonSets and StatefulSets.

use super::page::{self, Page, number, or, shown};
use super::{Subject, events, replicaset, template, volumes};
use crate::failure::Result;
use crate::print::table::labels_text;

pub async fn daemonset(subject: &Subject<'_>) -> Result<Page> {
    let set = subject.tree;
    let (meta, spec, status) = (&set["metadata"], &set["spec"], &set["status"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Selector", template::selector(&spec["selector"]));
    page.field(0, "Node-Selector", labels_text(&spec["template"]["spec"]["nodeSelector"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    for (title, field) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        page.line(0, format_args!("{title}: {}", number(&status[field])));
    }
    page.field(0, "Pods Status", replicaset::pods_status(subject).await?);
    template::describe(&mut page, &spec["template"]);
    events::append(subject, &mut page).await;
    Ok(page)
}

pub async fn statefulset(subject: &Subject<'_>) -> Result<Page> {
    let set = subject.tree;
    let (meta, spec) = (&set["metadata"], &set["spec"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.field(0, "CreationTimestamp", page::date(&meta["creationTimestamp"]));
    page.field(0, "Selector", template::selector(&spec["selector"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    let (wanted, there) = (number(&spec["replicas"]), number(&set["status"]["replicas"]));
    page.field(0, "Replicas", format_args!("{wanted} desired | {there} total"));
    page.field(0, "Update Strategy", shown(&spec["updateStrategy"]["type"]));
    let rolling = &spec["updateStrategy"]["rollingUpdate"];
    if !rolling["partition"].is_null() {
        page.field(1, "Partition", or(&rolling["partition"], "0"));
        page.optional(1, "MaxUnavailable", &rolling["maxUnavailable"]);
    }
    page.field(0, "Pods Status", replicaset::pods_status(subject).await?);
    template::describe(&mut page, &spec["template"]);
    volumes::claim_templates(&mut page, &spec["volumeClaimTemplates"]);
    events::append(subject, &mut page).await;
    Ok(page)
}
