//! Requests and limits of a pod as a whole, filled in from those of its containers where it says only a part.
//!
//! Source: <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#pod-level-resource-specification>.

use std::collections::BTreeMap;

use machinery::quantity::Quantity;
use machinery::tree;
use serde_json::Value;

use super::resources::is_huge_page;
use crate::fill::{self, Tree};

type Amounts = BTreeMap<String, Quantity>;

/// What pods as a whole may ask for.
fn is_shared(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_page(name)
}

pub fn fill_in(spec: &mut Tree) {
    let Some(Value::Object(resources)) = spec.get("resources") else { return };
    let is_set = |list: &str| resources.get(list).and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    let (limited, requested) = (is_set("limits"), is_set("requests"));
    if !limited && !requested {
        return;
    }
    let (limits, requests) = (of_all(spec, "limits"), of_all(spec, "requests"));
    let Some(resources) = fill::map(spec, "resources") else { return };
    fill::milli(resources, "limits");
    fill::milli(resources, "requests");
    let asked = resources.get("requests").cloned().unwrap_or_default();
    for (name, limit) in limits.iter().filter(|(name, _)| is_huge_page(name) && asked.get(name).is_none()) {
        add(resources, "limits", name, limit.to_string().into());
    }
    if limited {
        for (name, request) in requests.iter().filter(|(name, _)| is_shared(name) && !is_huge_page(name)) {
            add(resources, "requests", name, request.to_string().into());
        }
        let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, limit) in limits.into_iter().filter(|(name, _)| is_shared(name)) {
            add(resources, "requests", &name, limit);
        }
    }
}

/// Unless it is there.
fn add(resources: &mut Tree, list: &str, name: &str, amount: Value) {
    fill::absent(resources, list, Value::Object(Tree::new()));
    if let Some(list) = fill::map(resources, list) {
        fill::absent(list, name, amount);
    }
}

/// What all containers need at once: init containers run alone but for sidecars before them.
fn of_all(spec: &Tree, list: &str) -> Amounts {
    let containers = |name: &str| spec.get(name).and_then(Value::as_array).into_iter().flatten();
    let mut running = Amounts::new();
    let mut peak = Amounts::new();
    for container in containers("initContainers") {
        let own = amounts(container, list);
        if container["restartPolicy"] == "Always" {
            sum(&mut running, &own);
            raise(&mut peak, &running);
        } else {
            let mut together = running.clone();
            sum(&mut together, &own);
            raise(&mut peak, &together);
        }
    }
    for container in containers("containers") {
        sum(&mut running, &amounts(container, list));
    }
    raise(&mut peak, &running);
    peak
}

fn amounts(container: &Value, list: &str) -> Amounts {
    let entries = tree::get(&container["resources"], list).as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), Quantity::from_tree(value).ok()?))).collect()
}

fn sum(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match total.get_mut(name) {
            Some(held) => held.add(amount),
            None => {
                total.insert(name.clone(), *amount);
            }
        }
    }
}

fn raise(peak: &mut Amounts, to: &Amounts) {
    for (name, amount) in to {
        let held = peak.entry(name.clone()).or_insert(*amount);
        if *held < *amount {
            *held = *amount;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_those_of_the_containers_or_the_limits() {
        let mut spec = json!({
            "resources": {"limits": {"cpu": "4", "memory": "1Gi"}},
            "initContainers": [{"resources": {"requests": {"cpu": "3"}}}],
            "containers": [{"resources": {"requests": {"cpu": "1"}}}, {"resources": {"requests": {"cpu": "500m"}}}],
        });
        fill_in(spec.as_object_mut().unwrap());
        assert_eq!(spec["resources"]["requests"], json!({"cpu": "3", "memory": "1Gi"}));
    }
}
