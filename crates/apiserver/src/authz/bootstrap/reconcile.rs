//! Brings the stored roles and bindings up to the bootstrap policy.

use std::collections::BTreeMap;

use futures::future::join_all;
use machinery::request::{Content, Request, Verb};
use machinery::status::Status;
use registry::Registry;
use serde_json::{Value, json};

use super::policy::Policy;
use crate::authz::rules::{Rule, uncovered};
use crate::identity;

const GROUP: &str = "rbac.authorization.k8s.io";
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

type Stored = BTreeMap<(String, String), Value>;

/// Creates what is missing and adds missing rules, subjects, labels and annotations. All writes are under way at
/// once, so that the store commits them in few groups. Roles come before bindings.
///
/// # Errors
/// The first write that was refused for another reason than that somebody else made it.
pub async fn reconcile(registry: &Registry, policy: &Policy) -> Result<(), Status> {
    for (plain, cluster, wanted) in
        [("roles", "clusterroles", &policy.roles), ("rolebindings", "clusterrolebindings", &policy.bindings)]
    {
        let mut stored = stored(registry, cluster).await?;
        stored.extend(self::stored(registry, plain).await?);
        let writes = wanted.iter().filter_map(|object| {
            let (namespace, name) = key_of(object);
            let resource = if namespace.is_empty() { cluster } else { plain };
            let mut request = Request::new(Verb::Create, GROUP, "v1", resource).namespace(&namespace);
            request.body = match stored.get(&(namespace, name.clone())) {
                None => machinery::request::Body::Tree(object.clone()),
                Some(old) => {
                    let grown = grown(old, object)?;
                    (request.verb, request.name) = (Verb::Update, name);
                    machinery::request::Body::Tree(grown)
                }
            };
            Some(write(registry, request))
        });
        for outcome in join_all(writes).await {
            outcome?;
        }
    }
    Ok(())
}

async fn write(registry: &Registry, request: Request) -> Result<(), Status> {
    match registry.call(&identity::apiserver(), request).await {
        Ok(_) => Ok(()),
        // Another server of the same cluster was faster; it has the same policy.
        Err(status) if status.is_already_exists() || status.is_conflict() => Ok(()),
        Err(status) => Err(status),
    }
}

async fn stored(registry: &Registry, resource: &str) -> Result<Stored, Status> {
    let request = Request::new(Verb::List, GROUP, "v1", resource);
    let Content::List(list) = registry.call(&identity::apiserver(), request).await?.content else {
        return Err(Status::internal("a list was answered with something else"));
    };
    let trees = list.items.iter().map(|object| Value::clone(&object.tree()));
    Ok(trees.map(|tree| (key_of(&tree), tree)).collect())
}

/// The stored object with what the policy has and it lacks; `None` when nothing is to be done.
fn grown(old: &Value, wanted: &Value) -> Option<Value> {
    if old["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return None;
    }
    let mut new = old.clone();
    for map in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][map].as_object().into_iter().flatten() {
            let have = &mut new["metadata"][map];
            if have.is_null() {
                *have = json!({});
            }
            if have[key].is_null() {
                have[key] = value.clone();
            }
        }
    }
    if wanted["roleRef"].is_null() {
        // An aggregated role's rules belong to the controller that gathers them.
        if wanted["aggregationRule"].is_object() {
            if new["aggregationRule"].is_null() {
                new["aggregationRule"] = wanted["aggregationRule"].clone();
            }
        } else if old["rules"] != wanted["rules"] {
            let missing = uncovered(&Rule::list(&old["rules"]), &Rule::list(&wanted["rules"]));
            append(&mut new, "rules", missing.iter().map(|rule| json!(rule)).collect());
        }
    } else {
        let have = old["subjects"].as_array().cloned().unwrap_or_default();
        let want = wanted["subjects"].as_array().cloned().unwrap_or_default();
        append(&mut new, "subjects", want.into_iter().filter(|s| !have.contains(s)).collect());
    }
    (new != *old).then_some(new)
}

fn append(tree: &mut Value, field: &str, items: Vec<Value>) {
    if items.is_empty() {
        return;
    }
    match tree[field].as_array_mut() {
        Some(list) => list.extend(items),
        None => tree[field] = items.into(),
    }
}

fn key_of(tree: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&tree["metadata"]["namespace"]), text(&tree["metadata"]["name"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_added() {
        let wanted = json!({"metadata": {"name": "r", "labels": {"a": "b"}},
            "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]});
        assert_eq!(grown(&wanted, &wanted), None);
        let mut old = wanted.clone();
        old["rules"] = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
        let new = grown(&old, &wanted).unwrap();
        assert_eq!(new["rules"].as_array().unwrap().len(), 2);
        assert_eq!(new["rules"][1]["verbs"], json!(["list"]));
        old["metadata"]["annotations"] = json!({AUTOUPDATE: "false"});
        assert_eq!(grown(&old, &wanted), None);
    }
}
