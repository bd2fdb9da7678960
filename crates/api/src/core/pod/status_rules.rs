//! The rules of a pod's status: what kubelets and schedulers may report.

use machinery::field::{Problems, Wrong};
use serde_json::Value;

use crate::core::pod_spec;
use crate::cursor::Field;
use crate::rule;

pub fn validate(new: &Value, old: &Value, problems: &mut Problems) {
    let (root, before) = (Field::root(new), Field::root(old));
    let (status, old_status) = (root.get("status"), before.get("status"));
    let annotations = root.get("metadata.annotations");
    pod_spec::annotations_unchanged(&annotations, &before.get("metadata.annotations"), problems);
    conditions(&root.get("metadata.conditions").with(status.get("conditions").value), problems);
    if new["spec"]["nodeName"] != old["spec"]["nodeName"] {
        status.get("nodeName").forbidden(problems, "may not be changed directly");
    }
    let nominated = status.get("nominatedNodeName");
    if !nominated.is_empty() && nominated.value != old_status.get("nominatedNodeName").value {
        rule::dns_subdomain(&nominated, problems);
    }
    if !old_status.get("qosClass").is_empty() && status.get("qosClass").value != old_status.get("qosClass").value {
        status.get("qosClass").invalid(problems, rule::IMMUTABLE);
    }
    let policy = before.get("spec.restartPolicy").str();
    ended_stays("containerStatuses", &status, &old_status, policy, &before, problems);
    ended_stays("initContainerStatuses", &status, &old_status, policy, &before, problems);
    ended_stays("ephemeralContainerStatuses", &status, &old_status, "Never", &before, problems);
    claim_statuses(&status, &root.get("spec.resourceClaims"), problems);
    addresses(&status.get("podIPs"), problems);
    host_addresses(&status, problems);
}

/// Conditions of others than Kubernetes have qualified names. Upstream reports them below `metadata`.
fn conditions(conditions: &Field, problems: &mut Problems) {
    for condition in conditions.items() {
        let kind = condition.get("Type");
        let kind = kind.with(condition.get("type").value);
        if !matches!(kind.str(), "PodScheduled" | "Ready" | "Initialized") {
            rule::qualified_name(&kind, problems);
        }
    }
}

/// A container that has ended for good does not run again.
fn ended_stays(list: &str, status: &Field, old: &Field, policy: &str, pod: &Field, problems: &mut Problems) {
    if policy == "Always" {
        return;
    }
    let (now, before) = (status.get(list), old.get(list));
    for (i, ended) in before.items().enumerate().filter(|(_, c)| c.get("state.terminated").is_set()) {
        let name = ended.get("name").str();
        let failed = ended.get("state.terminated.exitCode").num() != 0;
        if (failed && policy == "OnFailure") || has_own_policy(pod, name) {
            continue;
        }
        let runs = now.items().any(|c| c.get("name").str() == name && !c.get("state.terminated").is_set());
        if runs {
            let at = now.index(i);
            at.get("state").forbidden(problems, "may not be transitioned to non-terminated state");
        }
    }
}

fn has_own_policy(pod: &Field, name: &str) -> bool {
    ["initContainers", "containers"].into_iter().any(|list| {
        let spec = pod.get("spec");
        let containers = spec.get(list);
        containers.items().any(|c| c.get("name").str() == name && c.get("restartPolicy").is_set())
    })
}

fn claim_statuses(status: &Field, claims: &Field, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for claim in status.get("resourceClaimStatuses").items() {
        let name = claim.get("name");
        if !claims.items().any(|c| c.get("name").str() == name.str()) {
            name.invalid(problems, "must match the name of an entry in `spec.resourceClaims`");
        }
        if seen.contains(&name.str()) {
            name.duplicate(problems);
        }
        seen.push(name.str());
        if claim.get("resourceClaimName").is_set() {
            rule::dns_subdomain(&claim.get("resourceClaimName"), problems);
        }
    }
}

/// One of each family, each once.
fn addresses(list: &Field, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for item in list.items() {
        let ip = item.get("ip");
        let at = item.with(ip.value);
        rule::ip(&at, problems);
        if seen.contains(&ip.str()) {
            at.wrong(problems, Wrong::Duplicate(item.value.clone()), "");
        }
        seen.push(ip.str());
    }
    let families = seen.iter().filter(|ip| ip.contains(':')).count();
    if seen.len() > 2 || (seen.len() == 2 && families != 1) {
        list.invalid(problems, "may specify no more than one IP for each IP family");
    }
}

fn host_addresses(status: &Field, problems: &mut Problems) {
    let list = status.get("hostIPs");
    if list.is_empty() {
        return;
    }
    let first = list.index(0);
    let first = first.get("ip");
    if first.str() != status.get("hostIP").str() {
        first.invalid(problems, "must be equal to `hostIP`");
    }
    addresses(&list, problems);
}
