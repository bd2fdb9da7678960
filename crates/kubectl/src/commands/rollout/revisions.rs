//! The revisions of a workload: a Deployment's ReplicaSets, the ControllerRevisions of the others.

use std::collections::BTreeMap;

use client::Options;
use machinery::selector::LabelSelector;
use serde_json::Value;

use crate::failure::{Failure, Result, error};
use crate::select::Found;
use crate::session::Session;

const NUMBER: &str = "deployment.kubernetes.io/revision";
pub const CAUSE: &str = "kubernetes.io/change-cause";
const HASH: &str = "pod-template-hash";

/// One state that a workload had.
pub struct Revision {
    /// The pods' template as people are shown it.
    pub shown: Value,
    /// The pods' template, without what the controllers added.
    pub template: Value,
    /// The object that keeps it.
    pub whole: Value,
}

impl Revision {
    /// The template as people are shown it: of a Deployment with the hash of its pods and why it was made.
    pub fn shown(&self) -> Value {
        if self.whole["spec"]["template"].is_null() {
            return self.template.clone();
        }
        let mut template = self.whole["spec"]["template"].clone();
        if let Some(cause) = machinery::meta::annotation(&self.whole, CAUSE) {
            template["metadata"]["annotations"][CAUSE] = cause.into();
        }
        template
    }
}

/// The revisions by number, oldest first.
///
/// # Errors
/// The kind keeps none: `what` is what would read them.
pub async fn of(session: &Session, found: &Found, what: &str) -> Result<BTreeMap<i64, Revision>> {
    if !super::is_known(found, &["Deployment", "DaemonSet", "StatefulSet"]) {
        return error(format!("no {what} has been implemented for \"{}.{}\"", found.served.kind, found.served.group));
    }
    let is_deployment = found.served.kind == "Deployment";
    let (plural, kind) =
        if is_deployment { ("replicasets", "ReplicaSet") } else { ("controllerrevisions", "ControllerRevision") };
    let tree = found.object.tree();
    let selector = LabelSelector::from_tree(&tree["spec"]["selector"]).map_err(Failure::Here)?;
    let options = Options { label_selector: selector.to_string(), ..Options::default() };
    let resource = client::Resource::new("apps", "v1", plural, kind);
    let list = session.client.dynamic(resource).list(&found.namespace(), options).await?;
    let uid = machinery::meta::uid(&tree);
    let mut by_number = BTreeMap::new();
    for object in list.items {
        let whole = Value::clone(&object.tree());
        if machinery::meta::controller(&whole).is_none_or(|owner| owner.uid != uid) {
            continue;
        }
        let (number, template) = if is_deployment {
            let number = machinery::meta::annotation(&whole, NUMBER).and_then(|text| text.parse().ok());
            (number, whole["spec"]["template"].clone())
        } else {
            (whole["revision"].as_i64(), whole["data"]["spec"]["template"].clone())
        };
        if let Some(number) = number {
            by_number.insert(number, Revision { shown: shown(template.clone()), template: plain(template), whole });
        }
    }
    Ok(by_number)
}

fn shown(mut template: Value) -> Value {
    if let Some(template) = template.as_object_mut() {
        template.remove("$patch");
    }
    template
}

/// Without what the controllers added.
fn plain(template: Value) -> Value {
    let mut template = shown(template);
    if let Some(meta) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|key, value| key != "creationTimestamp" || !value.is_null());
        if let Some(labels) = meta.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(HASH);
        }
    }
    template
}
