//! Deployments: one ReplicaSet per version of the template, moved from old to new within bounds.
//!
//! ```text
//!   claim sets ─▶ draft (a copy of all sets) ─▶ revision ─▶ paused or resized: scale │ roll out: rolling, recreate
//!                                                    └─▶ writes of the draft, clean-up, status
//! ```
//!
//! A turn works on a [`Draft`]; what differs from what is becomes one write per set. Source:
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>.

mod draft;
mod revision;
mod rollout;
mod scale;
mod summary;
mod template;

use std::sync::Arc;

use control::{Act, Controller, Event, Heard, Live, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use machinery::key::Key;
use serde_json::json;

use crate::indexes::{PODS_BY_OWNER, SETS_BY_OWNER, orphans};
use crate::owner::{self, claim, controller_of, is_controlled_by};
use crate::{pods, status};
use draft::Draft;

pub struct Deployments;

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        "deployment"
    }

    fn account(&self) -> &'static str {
        "deployment-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Deployment>().own::<Deployment>(),
            Watch::of::<ReplicaSet>().index(&SETS_BY_OWNER).keys(keys_of_set),
            // A recreating Deployment waits for the last old pod to be gone or over.
            Watch::of::<Pod>()
                .index(&PODS_BY_OWNER)
                .keys(keys_of_pod)
                .when::<Pod>(|_, new| new.is_none_or(pods::is_terminal)),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan {
        let Some(deployment) = view.get::<Deployment>(&key.namespace, &key.name) else { return Plan::idle() };
        let Some(spec) = &deployment.spec else { return Plan::idle() };
        let selects_all = spec.selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty())
            && spec.selector.match_expressions.as_ref().is_none_or(|expressions| expressions.is_empty());
        if selects_all {
            return selecting_all(&deployment);
        }
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        let strays = view.by(&SETS_BY_OWNER, &orphans(&key.namespace));
        let sets = view.by::<ReplicaSet>(&SETS_BY_OWNER, uid);
        let claim = match claim(&*deployment, &owner::selector(&spec.selector), sets, strays, heard) {
            Ok(claim) => claim,
            Err(ask) => return Plan::ask(vec![ask]),
        };
        if let Some((write, refusal)) = &heard.refused {
            return report(&deployment, spec, write, &refusal.message, refusal.is_already_exists(), heard, now);
        }
        let mut plan = Plan::idle();
        plan.burst(claim.writes);
        decide(&mut plan, &deployment, spec, claim.claimed, view, now);
        plan
    }
}

/// The plan for a Deployment with the sets that are its own.
fn decide(
    plan: &mut Plan,
    deployment: &Deployment,
    spec: &DeploymentSpec,
    sets: Vec<Arc<ReplicaSet>>,
    view: &View<'_>,
    now: Timestamp,
) {
    let mut draft = Draft::new(deployment, spec, sets);
    if deployment.metadata.deletion_timestamp.is_some() {
        summary::plain(plan, &draft, now);
        return;
    }
    draft.conditions_of_pause(now);
    revision::sync(&mut draft, now);
    let paused = spec.paused == Some(true);
    let mut cleans = false;
    if paused || draft.is_resized() {
        scale::resize(&mut draft);
        draft.write_sets(plan);
        cleans = paused;
    } else {
        rollout::advance(&mut draft, view, now);
        draft.write_sets(plan);
        cleans |= summary::is_complete(&draft, deployment.status.as_ref());
    }
    if cleans {
        revision::clean_up(plan, &draft);
    }
    if paused || draft.resized {
        summary::plain(plan, &draft, now);
    } else {
        summary::of_rollout(plan, &draft, now);
    }
    revision::annotate(plan, &draft);
}

fn keys_of_set(set: &ReplicaSet, view: &View<'_>) -> Vec<Key> {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    match controller_of(&set.metadata) {
        Some(owner) if owner.kind == "Deployment" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let wants = |deployment: &Arc<Deployment>| {
                let spec = deployment.spec.as_ref()?;
                let selector = owner::selector(&spec.selector);
                let wanted = !selector.is_everything() && owner::selects(&selector, &set.metadata);
                wanted.then(|| Key::new(namespace, deployment.metadata.name.as_deref().unwrap_or_default()))
            };
            view.in_namespace::<Deployment>(namespace).iter().filter_map(wants).collect()
        }
    }
}

/// The recreating Deployment behind a pod that is gone or over.
fn keys_of_pod(pod: &Pod, view: &View<'_>) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let deployment = || {
        let set = controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet")?;
        let set = view.get::<ReplicaSet>(namespace, &set.name)?;
        let owner = controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment")?;
        let deployment = view.get::<Deployment>(namespace, &owner.name)?;
        let strategy = deployment.spec.as_ref()?.strategy.as_ref()?.type_.as_deref()?;
        (strategy == "Recreate").then(|| Key::new(namespace, &owner.name))
    };
    deployment().into_iter().collect()
}

/// An empty selector would select every pod of the namespace: nothing is done but saying so.
fn selecting_all(deployment: &Deployment) -> Plan {
    let mut plan = Plan::idle();
    let seen = deployment.status.as_ref().and_then(|status| status.observed_generation);
    if seen < deployment.metadata.generation {
        let target = Target::exactly(deployment).subresource("status");
        let tree = json!({ "status": { "observedGeneration": deployment.metadata.generation } });
        let words = "This deployment is selecting all pods. A non-empty selector is required.";
        plan.write(Write::patch(target, tree).tell(Event::warning(deployment, "SelectingAll", words)));
    }
    plan
}

/// What to say about a refused write: only a ReplicaSet that cannot be made is worth a word. One that exists
/// under its name with another template is a collision of hashes: the next name is tried.
fn report(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    write: &Write,
    why: &str,
    exists: bool,
    heard: &Heard,
    now: Timestamp,
) -> Plan {
    let Act::Create { tree, .. } = &write.act else { return Plan::idle() };
    let name = tree["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    if exists {
        return match heard.live::<ReplicaSet>(namespace, name) {
            Live::Unasked => Plan::ask(vec![control::Ask::get::<ReplicaSet>(namespace, name)]),
            Live::Absent => Plan::idle(),
            // Our own, not yet in the view.
            Live::Present(set) if is_ours(deployment, spec, &set) => Plan::idle(),
            Live::Present(_) => collided(deployment),
        };
    }
    let message = format!("Failed to create new replica set {name:?}: {why}");
    let mut plan = Plan::idle();
    plan.events.push(Event::warning(deployment, "ReplicaSetCreateError", message.clone()));
    if summary::has_deadline(spec) {
        let old = deployment.status.clone().unwrap_or_default();
        let mut new = old.clone();
        let condition = summary::condition("Progressing", "False", "ReplicaSetCreateError", &message, now);
        summary::set_condition(&mut new, condition);
        plan.steps.extend(status::patch(deployment, &old, &new).map(|write| control::Step::One(Box::new(write))));
    }
    plan
}

fn is_ours(deployment: &Deployment, spec: &DeploymentSpec, set: &ReplicaSet) -> bool {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    is_controlled_by(&set.metadata, &deployment.metadata)
        && template.is_some_and(|template| template::is_same(&spec.template, template))
}

fn collided(deployment: &Deployment) -> Plan {
    let count = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let target = Target::exactly(deployment).subresource("status");
    let mut plan = Plan::idle();
    plan.write(Write::patch(target, json!({ "status": { "collisionCount": count + 1 } })));
    plan
}
