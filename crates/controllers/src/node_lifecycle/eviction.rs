//! Pods leave nodes with NoExecute taints that they do not tolerate, or not for ever.
//!
//! Keys are pods. A pod that tolerates a taint for some seconds has them from when the taint was added.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>.

use control::{Controller, Event, Heard, Plan, Target, View, Watch, Write};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use machinery::key::Key;

use crate::indexes::PODS_BY_NODE;
use crate::pods::{self, disrupt};

pub struct TaintEviction;

impl Controller for TaintEviction {
    fn name(&self) -> &'static str {
        "taint-eviction"
    }

    fn account(&self) -> &'static str {
        "node-controller"
    }

    fn component(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        let taints_differ = |old: Option<&Node>, new: Option<&Node>| match (old, new) {
            (Some(old), Some(new)) => no_execute(old) != no_execute(new),
            (None, Some(new)) => !no_execute(new).is_empty(),
            _ => false,
        };
        let matters = |old: Option<&Pod>, new: Option<&Pod>| match (old, new) {
            (Some(old), Some(new)) => {
                tolerations(old) != tolerations(new) || pods::node_name(old) != pods::node_name(new)
            }
            (None, Some(_)) => true,
            _ => false,
        };
        vec![
            Watch::of::<Pod>().index(&PODS_BY_NODE).own::<Pod>().when::<Pod>(matters),
            Watch::of::<Node>().keys(pods_of).when::<Node>(taints_differ),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, _: &Heard, now: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        let Some(pod) = view.get::<Pod>(&key.namespace, &key.name).filter(|pod| pods::is_active(pod)) else {
            return plan;
        };
        let Some(node) = view.get::<Node>("", pods::node_name(&pod)) else { return plan };
        let taints = no_execute(&node);
        let Some(at) = leaves_at(tolerations(&pod), &taints, now) else { return plan };
        if at > now {
            plan.wake_at(at);
            return plan;
        }
        let because = "Taint manager: deleting due to NoExecute taint";
        plan.steps.extend(disrupt(&pod, "DeletionByTaintManager", because, now));
        let message = format!("Marking for deletion Pod {key}");
        plan.write(Write::delete(Target::of(&*pod)).tell(Event::normal(&*pod, "TaintManagerEviction", message)));
        plan
    }
}

fn pods_of(node: &Node, view: &View<'_>) -> Vec<Key> {
    let pods = view.by::<Pod>(&PODS_BY_NODE, node.metadata.name.as_deref().unwrap_or_default());
    pods.iter().map(|pod| control::watch::own_key(&**pod)).collect()
}

fn no_execute(node: &Node) -> Vec<&Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().filter(|taint| taint.effect == "NoExecute").collect()
}

fn tolerations(pod: &Pod) -> &[Toleration] {
    pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
}

/// When the pod has to leave, if ever: at once for a taint that it does not tolerate, else when the shortest of the
/// tolerations that it needs is over.
fn leaves_at(tolerations: &[Toleration], taints: &[&Taint], now: Timestamp) -> Option<Timestamp> {
    taints.iter().filter_map(|taint| leaves_for(tolerations, taint, now)).min()
}

fn leaves_for(tolerations: &[Toleration], taint: &Taint, now: Timestamp) -> Option<Timestamp> {
    let matching: Vec<_> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
    if matching.is_empty() {
        return Some(now);
    }
    // Of several that match the shortest counts; without seconds a toleration is for ever.
    let seconds = matching.iter().filter_map(|toleration| toleration.toleration_seconds).min()?;
    let added = taint.time_added.as_ref().map_or(now, |time| time.0);
    Some(added.saturating_add(SignedDuration::from_secs(seconds.max(0))).unwrap_or(now))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    match text(&toleration.operator).as_str() {
        "Exists" => true,
        "" | "Equal" => text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}
