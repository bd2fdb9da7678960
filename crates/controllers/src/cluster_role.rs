//! ClusterRoles that aggregate others have their rules.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>.

use std::sync::Arc;

use control::{Controller, Heard, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use machinery::key::Key;
use serde_json::json;

use crate::owner::{selector, selects};

pub struct ClusterRoleAggregation;

impl Controller for ClusterRoleAggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation"
    }

    fn account(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::of::<ClusterRole>().keys(concerned)]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, _: &Heard, _: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        let Some(role) = view.get::<ClusterRole>("", &key.name).filter(|role| role.aggregation_rule.is_some()) else {
            return plan;
        };
        let mut rules: Vec<PolicyRule> = Vec::new();
        for other in parts(&role, view) {
            for rule in other.rules.iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        if role.rules.clone().unwrap_or_default() != rules {
            plan.write(Write::patch(Target::exactly(&*role), json!({ "rules": rules })));
        }
        plan
    }
}

/// The roles that a role is made of, by name.
fn parts(role: &ClusterRole, view: &View<'_>) -> Vec<Arc<ClusterRole>> {
    let others = view.all::<ClusterRole>().into_iter();
    others.filter(|other| other.metadata.name != role.metadata.name && is_part(other, role)).collect()
}

fn is_part(other: &ClusterRole, role: &ClusterRole) -> bool {
    let rule = role.aggregation_rule.as_ref();
    let selectors = rule.and_then(|rule| rule.cluster_role_selectors.as_ref());
    selectors.into_iter().flatten().any(|part| selects(&selector(part), &other.metadata))
}

/// A role that aggregates, and the aggregating roles that a role is a part of.
fn concerned(role: &ClusterRole, view: &View<'_>) -> Vec<Key> {
    let aggregating = view.all::<ClusterRole>().into_iter().filter(|other| other.aggregation_rule.is_some());
    let concerned = aggregating.filter(|other| other.metadata.name == role.metadata.name || is_part(role, other));
    concerned.map(|other| control::watch::own_key(&*other)).collect()
}
