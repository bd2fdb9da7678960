//! Requests and limits as cgroup values for the runtime.
//!
//! Source: <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/>.

use k8s_openapi::api::core::v1::{Container, Pod};
use rpc::cri::{HugepageLimit, LinuxContainerResources};

use super::facts::Node;
use crate::plan::{qos, spec};

const SHARES_MIN: i64 = 2;
const SHARES_MAX: i64 = 262_144;
const SHARES_PER_CPU: i64 = 1024;
const PERIOD_US: i64 = 100_000;
const QUOTA_US_MIN: i64 = 1000;

pub fn shares(cpu_milli: i64) -> i64 {
    (cpu_milli * SHARES_PER_CPU / 1000).clamp(SHARES_MIN, SHARES_MAX)
}

/// The quota in microseconds per period; 0 is none.
fn quota(cpu_milli: i64) -> i64 {
    match cpu_milli {
        0 => 0,
        milli => (milli * PERIOD_US / 1000).max(QUOTA_US_MIN),
    }
}

/// The values of one container.
pub fn of_container(pod: &Pod, container: &Container, node: &Node) -> LinuxContainerResources {
    let (requests, limits) = (qos::requests(container), qos::limits(container));
    let limit = qos::milli(limits, "cpu");
    // A limit without a request is a request of as much.
    let asked = requests.filter(|r| r.contains_key("cpu")).map_or(limit, |r| qos::milli(Some(r), "cpu"));
    LinuxContainerResources {
        cpu_period: PERIOD_US,
        cpu_quota: quota(limit),
        cpu_shares: shares(asked),
        memory_limit_in_bytes: qos::whole(limits, "memory"),
        oom_score_adj: qos::oom_score_adj(pod, container, node.memory_bytes),
        hugepage_limits: hugepages(limits),
        ..LinuxContainerResources::default()
    }
}

fn hugepages(limits: Option<&qos::Amounts>) -> Vec<HugepageLimit> {
    let pages = limits.into_iter().flatten().filter_map(|(name, _)| name.strip_prefix("hugepages-").map(|s| (name, s)));
    // The kernel names sizes as 2MB, the API as 2Mi.
    pages
        .map(|(name, size)| HugepageLimit {
            page_size: format!("{}B", size.trim_end_matches('i')),
            limit: qos::whole(limits, name).unsigned_abs(),
        })
        .collect()
}

/// The values of the pod as a whole: memory and CPU are limited only when every container is.
pub fn of_pod(pod: &Pod) -> LinuxContainerResources {
    let all_limited = |resource| spec::containers(pod).iter().all(|c| qos::milli(qos::limits(c), resource) > 0);
    let asked = |c: &'_ Container| qos::requests(c).is_some_and(|r| r.contains_key("cpu"));
    let requests =
        |c: &Container| if asked(c) { qos::milli(qos::requests(c), "cpu") } else { qos::milli(qos::limits(c), "cpu") };
    let init = spec::init_containers(pod).iter().map(requests).max().unwrap_or(0);
    let cpu: i64 = spec::containers(pod).iter().map(requests).sum::<i64>().max(init);
    let best_effort = qos::class(pod) == "BestEffort";
    let limit = |resource| if all_limited(resource) { qos::pod_milli(pod, resource, qos::limits) } else { 0 };
    LinuxContainerResources {
        cpu_period: PERIOD_US,
        cpu_quota: quota(limit("cpu")),
        cpu_shares: if best_effort { SHARES_MIN } else { shares(cpu) },
        memory_limit_in_bytes: limit("memory") / 1000,
        ..LinuxContainerResources::default()
    }
}

/// The pod's cgroup: `ROOT[/burstable|/besteffort]/podUID`.
pub fn cgroup(pod: &Pod, node: &Node) -> String {
    let root = &node.cgroup_root;
    let uid = spec::uid(pod);
    match qos::class(pod) {
        "Burstable" => format!("{root}/burstable/pod{uid}"),
        "BestEffort" => format!("{root}/besteffort/pod{uid}"),
        _ => format!("{root}/pod{uid}"),
    }
}
