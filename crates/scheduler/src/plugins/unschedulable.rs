//! NodeUnschedulable: cordoned nodes take only pods that tolerate that.

use k8s_openapi::api::core::v1::Taint;

use super::taints::tolerates;
use super::{Question, Refusal};
use crate::pod::Wanted;

const TAINT: &str = "node.kubernetes.io/unschedulable";

pub fn filter(wanted: &Wanted) -> Option<Question<'_>> {
    let taint = Taint { key: TAINT.into(), effect: "NoSchedule".into(), ..Taint::default() };
    if tolerates(&wanted.tolerations, &taint) {
        return None;
    }
    Some(Box::new(|node| node.is_unschedulable.then(|| Refusal::lasting("node(s) were unschedulable"))))
}
