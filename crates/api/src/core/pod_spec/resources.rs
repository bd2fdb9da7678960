//! Names and amounts of resources: in containers, pods, quotas, limit ranges, nodes and claims.
//!
//! Source: <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/>.

use machinery::field::{Problems, Wrong};
use machinery::quantity::Quantity;

use crate::cursor::Field;
use crate::rule;

const CONTAINER: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Counted by quota, in whole numbers.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
const MEASURED: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

// === names ===

pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_quota_huge_page(name: &str) -> bool {
    is_huge_page(name) || name.starts_with("requests.hugepages-")
}

/// Kubernetes' own: no domain, or one of ours.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

pub fn is_overcommit_allowed(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

pub fn is_standard_quota(name: &str) -> bool {
    COUNTED.contains(&name) || MEASURED.contains(&name) || is_quota_huge_page(name)
}

fn is_standard(name: &str) -> bool {
    name == "storage" || is_standard_quota(name)
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && rule::qualified_name_messages(&format!("requests.{name}")).is_empty()
}

fn is_integer(name: &str) -> bool {
    COUNTED.contains(&name) || is_extended(name)
}

/// Problems are shown with the name, where its amount stands.
pub fn name(name: &str, at: &Field, problems: &mut Problems) -> bool {
    let messages = rule::qualified_name_messages(name);
    let right = messages.is_empty();
    for message in messages {
        at.invalid_as(problems, name, message);
    }
    if right && !name.contains('/') && !is_standard(name) {
        at.invalid_as(problems, name, "must be a standard resource type or fully qualified");
    }
    right
}

pub fn container_name(name: &str, at: &Field, problems: &mut Problems) {
    if CONTAINER.contains(&name) {
        return;
    }
    self::name(name, at, problems);
    if !name.contains('/') {
        if !is_huge_page(name) {
            at.invalid_as(problems, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        at.invalid_as(problems, name, "doesn't follow extended resource name standard");
    }
}

pub fn quota_name(name: &str, at: &Field, problems: &mut Problems) {
    self::name(name, at, problems);
    if !name.contains('/') && !is_standard_quota(name) {
        at.invalid_as(problems, name, "must be a standard resource for quota");
    }
}

// === amounts ===

/// The amount of this resource: not below zero, whole where it counts things.
pub fn quantity(name: &str, at: &Field, problems: &mut Problems) {
    let Some(quantity) = rule::quantity(at) else { return };
    if quantity.sign() < 0 {
        at.invalid_as(problems, quantity.to_string(), machinery::validation::NEGATIVE);
    }
    if !CONTAINER.contains(&name) && is_integer(name) && quantity.milli_value() % 1000 != 0 {
        at.invalid_as(problems, quantity.to_string(), "must be an integer");
    }
}

fn whole_huge_pages(name: &str, at: &Field, problems: &mut Problems) {
    let size = name.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok());
    let (Some(size), Some(quantity)) = (size, rule::quantity(at)) else { return };
    if size.value() <= 0 || quantity.value() % size.value() != 0 {
        let text = quantity.to_string();
        at.invalid_as(problems, text.as_str(), format!("{text} is not positive integer multiple of {name}"));
    }
}

// === requirements ===

pub fn requirements(resources: &Field, claims: &[&str], problems: &mut Problems) {
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    for (name, limit) in limits.entries() {
        amount(name, &limit, problems);
    }
    for (name, request) in requests.entries() {
        amount(name, &request, problems);
        within_limit(name, &request, &limits, &requests, problems);
    }
    let has = |wanted: fn(&str) -> bool| limits.entries().chain(requests.entries()).any(|(name, _)| wanted(name));
    if has(is_huge_page) && !has(|name| name == "cpu" || name == "memory") {
        resources.forbidden(problems, "HugePages require cpu or memory");
    }
    claim_names(&resources.get("claims"), claims, problems);
}

fn amount(name: &str, at: &Field, problems: &mut Problems) {
    container_name(name, at, problems);
    quantity(name, at, problems);
    if is_huge_page(name) {
        whole_huge_pages(name, at, problems);
    }
}

fn within_limit(name: &str, request: &Field, limits: &Field, requests: &Field, problems: &mut Problems) {
    let limit = limits.key(name);
    if !limit.is_set() {
        if !is_overcommit_allowed(name) {
            limits.required(problems, "Limit must be set for non overcommitable resources");
        }
        return;
    }
    let (Some(asked), Some(most)) = (rule::quantity(request), rule::quantity(&limit)) else { return };
    if asked != most && !is_overcommit_allowed(name) {
        requests.invalid_as(problems, asked.to_string(), format!("must be equal to {name} limit of {most}"));
    } else if asked > most {
        let detail = format!("must be less than or equal to {name} limit of {most}");
        requests.invalid_as(problems, asked.to_string(), detail);
    }
}

fn claim_names(claims: &Field, known: &[&str], problems: &mut Problems) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for claim in claims.items() {
        let (name, request) = (claim.get("name").str(), claim.get("request").str());
        if name.is_empty() {
            claim.required(problems, "");
            continue;
        }
        if seen.contains(&(name, request)) {
            claim.wrong(problems, Wrong::Duplicate(name.into()), "");
        }
        seen.push((name, request));
        if !known.contains(&name) {
            let mut detail = "must be one of the names in pod.spec.resourceClaims".to_owned();
            match known {
                [] => detail.push_str(" which is empty"),
                known => detail = format!("{detail}: {}", known.join(", ")),
            }
            claim.wrong(problems, Wrong::NotFound(name.into()), detail);
        }
    }
}

/// `overhead`: judged as if it were limits, which its paths say too.
pub fn limits_alone(overhead: &Field, problems: &mut Problems) {
    let limits = overhead.get("limits");
    let limits = limits.with(overhead.value);
    for (name, limit) in limits.entries() {
        amount(name, &limit, problems);
        if is_huge_page(name) {
            overhead.forbidden(problems, "HugePages require cpu or memory");
        }
    }
}

/// `spec.resources`: what all containers share.
pub fn pod_level(resources: &Field, problems: &mut Problems) {
    if !resources.is_set() {
        return;
    }
    if resources.get("claims").is_set() {
        resources.get("claims").forbidden(problems, "claims may not be set for Resources at pod-level");
    }
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    for (name, value) in limits.entries().chain(requests.entries()) {
        if !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
            let supported = ["cpu", "hugepages-", "memory"];
            value.with(&name.into()).not_supported(problems, &supported);
        }
        quantity(name, &value, problems);
    }
    for (name, request) in requests.entries() {
        within_limit(name, &request, &limits, &requests, problems);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn messages(resources: Value) -> String {
        let mut problems = Problems::default();
        requirements(&Field::standing(&resources, "resources"), &[], &mut problems);
        problems.message()
    }

    #[test]
    fn requests_stay_within_limits() {
        assert_eq!(messages(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}})), "");
        assert_eq!(
            messages(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})),
            "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
        );
        assert_eq!(
            messages(json!({"requests": {"example.com/gpu": "1"}})),
            "resources.limits: Required value: Limit must be set for non overcommitable resources"
        );
    }

    #[test]
    fn names_and_amounts() {
        assert_eq!(
            messages(json!({"limits": {"cpus": "1"}})),
            "[resources.limits[cpus]: Invalid value: \"cpus\": must be a standard resource type or fully qualified, \
             resources.limits[cpus]: Invalid value: \"cpus\": must be a standard resource for containers]"
        );
        assert_eq!(
            messages(json!({"limits": {"memory": "-1"}})),
            "resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0"
        );
    }
}
