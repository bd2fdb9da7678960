//! NodeUnschedulable: cordoned nodes take only pods that tolerate that.

use k8s_openapi::api::core::v1::Taint;

use super::Question;
use super::taints::tolerates;
use crate::pod::Wanted;

const TAINT: &str = "node.kubernetes.io/unschedulable";

pub fn filter(wanted: &Wanted) -> Option<Question<'_>> {
    let taint = Taint { key: TAINT.into(), effect: "NoSchedule".into(), ..Taint::default() };
    if tolerates(&wanted.tolerations, &taint) {
        return None;
    }
    Some(Box::new(|node| if node.is_unschedulable { vec!["node(s) were unschedulable".into()] } else { Vec::new() }))
}
