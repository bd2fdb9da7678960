//! What the pods of each node refer to: the only Secrets, ConfigMaps, claims, volumes and service accounts that
//! the node may see.
//!
//! Small projections of pods, volumes and attachments, never the objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    Secret,
    ConfigMap,
    Claim,
    Volume,
    Attachment,
    ServiceAccount,
    ResourceClaim,
    Pod,
}

/// Sort, namespace (empty for cluster-wide) and name.
pub type Thing = (Sort, String, String);

#[derive(Default)]
struct PodRefs {
    node: String,
    things: BTreeSet<Thing>,
}

#[derive(Default)]
pub struct Graph {
    pods: BTreeMap<(String, String), PodRefs>,
    /// Which nodes reach a thing through pods, and through how many.
    nodes: BTreeMap<Thing, BTreeMap<String, usize>>,
    /// PersistentVolume to the claim it is bound to and the Secrets it names.
    volumes: BTreeMap<String, (Thing, BTreeSet<Thing>)>,
    attachments: BTreeMap<String, String>,
}

impl Graph {
    pub fn put_pod(&mut self, pod: &Value) {
        self.delete_pod(pod);
        let node = text(&pod["spec"]["nodeName"]);
        if node.is_empty() {
            return;
        }
        let things = things_of(pod);
        for thing in &things {
            *self.nodes.entry(thing.clone()).or_default().entry(node.clone()).or_default() += 1;
        }
        self.pods.insert(key_of(pod), PodRefs { node, things });
    }

    pub fn delete_pod(&mut self, pod: &Value) {
        let Some(old) = self.pods.remove(&key_of(pod)) else { return };
        for thing in old.things {
            let Some(nodes) = self.nodes.get_mut(&thing) else { continue };
            if let Some(count) = nodes.get_mut(&old.node) {
                *count -= 1;
                if *count == 0 {
                    nodes.remove(&old.node);
                }
            }
            if nodes.is_empty() {
                self.nodes.remove(&thing);
            }
        }
    }

    pub fn put_volume(&mut self, volume: &Value) {
        let claim = &volume["spec"]["claimRef"];
        let namespace = text(&claim["namespace"]);
        let name = text(&claim["name"]);
        self.delete_volume(volume);
        if name.is_empty() {
            return;
        }
        let mut secrets = BTreeSet::new();
        secret_refs(&volume["spec"], &namespace, &mut secrets);
        self.volumes.insert(key_of(volume).1, ((Sort::Claim, namespace, name), secrets));
    }

    pub fn delete_volume(&mut self, volume: &Value) {
        self.volumes.remove(&key_of(volume).1);
    }

    pub fn put_attachment(&mut self, attachment: &Value) {
        self.attachments.insert(key_of(attachment).1, text(&attachment["spec"]["nodeName"]));
    }

    pub fn delete_attachment(&mut self, attachment: &Value) {
        self.attachments.remove(&key_of(attachment).1);
    }

    /// Takes over volumes and attachments from another graph, whose pods are older.
    pub fn borrow_volumes(&mut self, other: &Graph) {
        self.volumes.clone_from(&other.volumes);
        self.attachments.clone_from(&other.attachments);
    }

    /// Whether the node reaches the thing: through a pod, a bound volume, or an attachment to itself.
    pub fn reaches(&self, node: &str, sort: Sort, namespace: &str, name: &str) -> bool {
        let thing = (sort, namespace.to_owned(), name.to_owned());
        match sort {
            Sort::Volume => self.volumes.get(name).is_some_and(|(claim, _)| self.direct(node, claim)),
            Sort::Attachment => self.attachments.get(name).is_some_and(|n| n == node),
            Sort::Secret => {
                self.direct(node, &thing)
                    || self
                        .volumes
                        .values()
                        .any(|(claim, secrets)| secrets.contains(&thing) && self.direct(node, claim))
            }
            _ => self.direct(node, &thing),
        }
    }

    fn direct(&self, node: &str, thing: &Thing) -> bool {
        self.nodes.get(thing).is_some_and(|nodes| nodes.contains_key(node))
    }
}

/// Everything that a pod refers to, itself included.
fn things_of(pod: &Value) -> BTreeSet<Thing> {
    let (namespace, name) = key_of(pod);
    let spec = &pod["spec"];
    let mut things = BTreeSet::from([(Sort::Pod, namespace.clone(), name.clone())]);
    // A mirror pod gives its node nothing: its author is the node.
    if !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
        return things;
    }
    let mut add = |sort, value: &Value| {
        if let Some(text) = value.as_str().filter(|t| !t.is_empty()) {
            things.insert((sort, namespace.clone(), text.to_owned()));
        }
    };
    add(Sort::ServiceAccount, &spec["serviceAccountName"]);
    list(&spec["imagePullSecrets"]).for_each(|s| add(Sort::Secret, &s["name"]));
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        for container in list(&spec[containers]) {
            for from in list(&container["envFrom"]) {
                add(Sort::ConfigMap, &from["configMapRef"]["name"]);
                add(Sort::Secret, &from["secretRef"]["name"]);
            }
            for env in list(&container["env"]) {
                add(Sort::ConfigMap, &env["valueFrom"]["configMapKeyRef"]["name"]);
                add(Sort::Secret, &env["valueFrom"]["secretKeyRef"]["name"]);
            }
        }
    }
    for volume in list(&spec["volumes"]) {
        add(Sort::Secret, &volume["secret"]["secretName"]);
        add(Sort::ConfigMap, &volume["configMap"]["name"]);
        add(Sort::Claim, &volume["persistentVolumeClaim"]["claimName"]);
        if volume["ephemeral"].is_object() {
            add(Sort::Claim, &Value::from(format!("{name}-{}", text(&volume["name"]))));
        }
        for source in list(&volume["projected"]["sources"]) {
            add(Sort::Secret, &source["secret"]["name"]);
            add(Sort::ConfigMap, &source["configMap"]["name"]);
        }
    }
    for claim in list(&spec["resourceClaims"]) {
        add(Sort::ResourceClaim, &claim["resourceClaimName"]);
    }
    for claim in list(&pod["status"]["resourceClaimStatuses"]) {
        add(Sort::ResourceClaim, &claim["resourceClaimName"]);
    }
    for volume in list(&spec["volumes"]) {
        secret_refs(volume, &namespace, &mut things);
    }
    things
}

/// Secrets that a volume source names under one of the many `…secretRef` fields.
fn secret_refs(tree: &Value, namespace: &str, into: &mut BTreeSet<Thing>) {
    let Some(map) = tree.as_object() else { return };
    for (key, value) in map {
        if key.to_ascii_lowercase().ends_with("secretref") {
            let home = value["namespace"].as_str().unwrap_or(namespace);
            if let Some(name) = value["name"].as_str() {
                into.insert((Sort::Secret, home.to_owned(), name.to_owned()));
            }
        } else if key == "azureFile" {
            let home = value["secretNamespace"].as_str().unwrap_or(namespace);
            if let Some(name) = value["secretName"].as_str() {
                into.insert((Sort::Secret, home.to_owned(), name.to_owned()));
            }
        } else {
            secret_refs(value, namespace, into);
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn key_of(tree: &Value) -> (String, String) {
    (text(&tree["metadata"]["namespace"]), text(&tree["metadata"]["name"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_reaches_what_its_pods_name() {
        let pod = json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"nodeName": "n1",
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
            "containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}});
        let mut graph = Graph::default();
        graph.put_pod(&pod);
        graph.put_volume(&json!({"metadata": {"name": "pv"}, "spec": {"claimRef": {"namespace": "ns", "name": "c"},
            "csi": {"nodePublishSecretRef": {"name": "k", "namespace": "x"}}}}));
        assert!(graph.reaches("n1", Sort::Secret, "ns", "s"));
        assert!(graph.reaches("n1", Sort::Volume, "", "pv"));
        assert!(graph.reaches("n1", Sort::Secret, "x", "k"));
        assert!(!graph.reaches("n2", Sort::Secret, "ns", "s"));
        graph.delete_pod(&pod);
        assert!(!graph.reaches("n1", Sort::Volume, "", "pv"));
        assert!(graph.nodes.is_empty());
    }
}
