//! `/api`, `/apis`, `/apis/GROUP` and `/apis/GROUP/VERSION`.

use api::{Kind, Scope};
use serde_json::{Value, json};

use super::{Group, catalog};

/// `/api`: the versions of the core group, and where the server is.
pub fn versions(server: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
    })
}

/// `/apis`.
pub fn groups() -> Value {
    let groups: Vec<_> = catalog().iter().filter(|g| !g.name.is_empty()).map(group_tree).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub fn group(name: &str) -> Option<Value> {
    let catalog = catalog();
    let mut tree = group_tree(catalog.iter().find(|g| g.name == name && !name.is_empty())?);
    tree["kind"] = "APIGroup".into();
    tree["apiVersion"] = "v1".into();
    Some(tree)
}

fn group_tree(group: &Group) -> Value {
    let entry = |version: &str| json!({"groupVersion": format!("{}/{version}", group.name), "version": version});
    let versions: Vec<_> = group.versions.iter().map(|v| entry(v.name)).collect();
    json!({"name": group.name, "versions": versions, "preferredVersion": versions.first()})
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub fn resources(group: &str, version: &str) -> Option<Value> {
    let catalog = catalog();
    let found = catalog.iter().find(|g| g.name == group)?.versions.iter().find(|v| v.name == version)?;
    let resources: Vec<_> = found.kinds.iter().flat_map(|kind| entries(kind)).collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }))
}

/// A kind and its subresources.
fn entries(kind: &Kind) -> Vec<Value> {
    let namespaced = kind.scope == Scope::Namespaced;
    let mut own = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        own["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        own["categories"] = json!(kind.categories);
    }
    let mut all = vec![own];
    let mut parts: Vec<_> = kind.subresources.iter().collect();
    parts.sort_by_key(|s| s.name);
    for part in parts {
        let mut entry = json!({
            "name": format!("{}/{}", kind.plural, part.name),
            "singularName": "",
            "namespaced": namespaced,
            "kind": part.kind,
            "verbs": part.verbs,
        });
        if !part.version.is_empty() {
            entry["group"] = part.group.into();
            entry["version"] = part.version.into();
        }
        all.push(entry);
    }
    all
}
