//! DefaultStorageClass and DefaultIngressClass: a claim or an ingress without a class gets the default one.

use std::sync::Arc;

use machinery::meta;
use serde_json::Value;

use super::{Asked, Edit, Operation, Patch, Refusal, View};

const STORAGE: &str = "storageclass.kubernetes.io/is-default-class";
const STORAGE_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";
const INGRESS: &str = "ingressclass.kubernetes.io/is-default-class";

pub fn storage(asked: &Asked<'_>, view: &View<'_>) -> Result<Patch, Refusal> {
    let new = asked.operation == Operation::Create && asked.subresource.is_empty();
    if !new || !asked.is("", "persistentvolumeclaims") || !asked.object["spec"]["storageClassName"].is_null() {
        return Ok(Patch::new());
    }
    if meta::annotation(asked.object, "volume.beta.kubernetes.io/storage-class").is_some() {
        return Ok(Patch::new());
    }
    let classes = defaults(view, "storage.k8s.io/storageclasses", &[STORAGE, STORAGE_BETA]);
    Ok(newest(classes).map(|class| Edit::new("spec.storageClassName", meta::name(&class))).into_iter().collect())
}

pub fn ingress(asked: &Asked<'_>, view: &View<'_>) -> Result<Patch, Refusal> {
    let new = asked.operation == Operation::Create && asked.subresource.is_empty();
    let named = !asked.object["spec"]["ingressClassName"].is_null()
        || meta::annotation(asked.object, "kubernetes.io/ingress.class").is_some();
    if !new || !asked.is("networking.k8s.io", "ingresses") || named {
        return Ok(Patch::new());
    }
    let classes = defaults(view, "networking.k8s.io/ingressclasses", &[INGRESS]);
    Ok(newest(classes).map(|class| Edit::new("spec.ingressClassName", meta::name(&class))).into_iter().collect())
}

fn defaults(view: &View<'_>, collection: &str, marks: &[&str]) -> Vec<Arc<Value>> {
    let marked = |class: &Arc<Value>| marks.iter().any(|mark| meta::annotation(class, mark) == Some("true"));
    view.all(collection).into_iter().filter(marked).collect()
}

/// Of several defaults the newest counts, and of those made at once the first by name.
fn newest(mut classes: Vec<Arc<Value>>) -> Option<Arc<Value>> {
    let key = |c: &Value| (std::cmp::Reverse(meta::creation_timestamp(c).to_owned()), meta::name(c).to_owned());
    classes.sort_by_key(|class| key(class));
    classes.into_iter().next()
}
