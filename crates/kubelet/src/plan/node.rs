//! The Node object that this node registers and the status that it reports.
//!
//! Source: <https://kubernetes.io/docs/reference/node/node-status/>.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// Images told at most, the largest first.
const IMAGES_MAX: usize = 50;
/// Names of one image told at most.
const IMAGE_NAMES_MAX: usize = 5;

/// What the machine and the runtime say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    pub name: String,
    pub ips: Vec<String>,
    pub arch: String,
    pub cpus: i64,
    pub memory_bytes: i64,
    pub ephemeral_bytes: i64,
    pub hugepages: BTreeMap<String, i64>,
    pub pods: i64,
    /// What is kept from pods, by resource.
    pub reserved: BTreeMap<String, String>,
    pub info: NodeSystemInfo,
    pub port: i32,
    /// Why the runtime or its network is not ready; empty when both are.
    pub unready: Vec<String>,
    pub images: Vec<Image>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub names: Vec<String>,
    pub bytes: u64,
}

/// The labels that every node has.
pub fn labels(machine: &Machine) -> BTreeMap<String, String> {
    let arch = machine.arch.as_str();
    [
        ("beta.kubernetes.io/arch", arch),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch),
        ("kubernetes.io/hostname", &machine.name),
        ("kubernetes.io/os", "linux"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}

/// The object to create when there is none.
pub fn object(machine: &Machine, now: Timestamp) -> Node {
    let annotations = [("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), "true".to_owned())];
    Node {
        metadata: ObjectMeta {
            name: Some(machine.name.clone()),
            labels: Some(labels(machine)),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        },
        status: Some(status(machine, None, now)),
        ..Node::default()
    }
}

fn quantity(text: impl Into<String>) -> Quantity {
    Quantity(text.into())
}

fn capacity(machine: &Machine) -> BTreeMap<String, Quantity> {
    let mut out = BTreeMap::from([
        ("cpu".to_owned(), quantity(machine.cpus.to_string())),
        ("memory".to_owned(), quantity(format!("{}Ki", machine.memory_bytes / 1024))),
        ("ephemeral-storage".to_owned(), quantity(format!("{}Ki", machine.ephemeral_bytes / 1024))),
        ("pods".to_owned(), quantity(machine.pods.to_string())),
    ]);
    for (size, bytes) in &machine.hugepages {
        out.insert(format!("hugepages-{size}"), quantity(bytes.to_string()));
    }
    out
}

fn allocatable(machine: &Machine) -> BTreeMap<String, Quantity> {
    let mut out = capacity(machine);
    for (resource, reserved) in &machine.reserved {
        let parse = |text: &str| machinery::quantity::Quantity::parse(text).ok();
        let left = out.get(resource).and_then(|q| parse(&q.0)).zip(parse(reserved)).map(|(mut all, reserved)| {
            all.sub(&reserved);
            all
        });
        if let Some(left) = left {
            out.insert(resource.clone(), quantity(left.to_string()));
        }
    }
    out
}

/// The status now; conditions keep their times while they do not flip, others' conditions are not touched.
pub fn status(machine: &Machine, old: Option<&NodeStatus>, now: Timestamp) -> NodeStatus {
    let addresses = machine.ips.iter().map(|ip| ("InternalIP", ip)).chain([("Hostname", &machine.name)]);
    let mut images: Vec<_> = machine.images.iter().filter(|i| !i.names.is_empty()).collect();
    images.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.names.cmp(&b.names)));
    let images = images.into_iter().take(IMAGES_MAX).map(|image| ContainerImage {
        names: Some(image.names.iter().take(IMAGE_NAMES_MAX).cloned().collect()),
        size_bytes: i64::try_from(image.bytes).ok(),
    });
    NodeStatus {
        addresses: Some(addresses.map(|(t, a)| NodeAddress { type_: t.to_owned(), address: a.clone() }).collect()),
        capacity: Some(capacity(machine)),
        allocatable: Some(allocatable(machine)),
        conditions: Some(conditions(machine, old, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: machine.port }) }),
        images: Some(images.collect::<Vec<_>>()).filter(|i| !i.is_empty()),
        node_info: Some(machine.info.clone()),
        ..NodeStatus::default()
    }
}

fn conditions(machine: &Machine, old: Option<&NodeStatus>, now: Timestamp) -> Vec<NodeCondition> {
    let ready = machine.unready.is_empty();
    let told = machine.unready.join(", ");
    let why =
        if ready { ("KubeletReady", "kubelet is posting ready status") } else { ("KubeletNotReady", told.as_str()) };
    let all = [
        ("MemoryPressure", false, ("KubeletHasSufficientMemory", "kubelet has sufficient memory available")),
        ("DiskPressure", false, ("KubeletHasNoDiskPressure", "kubelet has no disk pressure")),
        ("PIDPressure", false, ("KubeletHasSufficientPID", "kubelet has sufficient PID available")),
        ("Ready", ready, why),
    ];
    let now = Time(now);
    let before = old.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    all.into_iter()
        .map(|(type_, status, (reason, message))| {
            let status = if status { "True" } else { "False" };
            let same = before.iter().find(|c| c.type_ == type_ && c.status == status);
            NodeCondition {
                type_: type_.into(),
                status: status.into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: Some(now.clone()),
                last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(now.clone())),
            }
        })
        .collect()
}

/// Whether two statuses differ in more than the time of the heartbeat.
pub fn differs(a: &NodeStatus, b: &NodeStatus) -> bool {
    let still = |s: &NodeStatus| {
        let mut s = s.clone();
        s.conditions.iter_mut().flatten().for_each(|c| c.last_heartbeat_time = None);
        s
    };
    still(a) != still(b)
}
