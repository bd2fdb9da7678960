//! Evictions: a delete that a PodDisruptionBudget may put off.

use api::Kind;
use machinery::identity::User;
use machinery::request::{Answer, Content, Options, Propagation, Request, Verb};
use machinery::selector::LabelSelector;
use machinery::status::{Cause, Status};
use machinery::{meta, tree};
use serde_json::{Value, json};
use std::sync::Arc;

use super::get::answer;
use super::update::{Change, Made, Part};
use crate::Registry;
use crate::admission::{Asked, Operation};
use crate::generic::decode::{Expected, exactly};
use crate::generic::deletion::{check_preconditions, success};

const EXPECTED: Expected<'_> =
    Expected { definition: "io.k8s.api.policy.v1.Eviction", api_version: "policy/v1", kind: "Eviction" };
const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

impl Registry {
    pub(crate) async fn evict(&self, user: &User, request: &Request) -> Result<Answer, Status> {
        let pods = api::by_plural("", "v1", "pods").ok_or_else(Status::no_such_resource)?;
        let mut eviction = exactly(EXPECTED, &request.body, &request.options)?.tree;
        if meta::name(&eviction) != request.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let asked = Asked {
            user,
            operation: Operation::Create,
            kind: pods,
            subresource: "eviction",
            namespace: &request.namespace,
            name: &request.name,
            object: &Value::Null,
            old: &Value::Null,
            dry_run: request.options.dry_run,
        };
        self.admit(&asked, &mut eviction).await?;
        let delete = deletion(request, &eviction);
        let pod = self.current(pods, &request.namespace, &request.name)?.object.tree();
        if !needs_no_budget(&pod) {
            self.take_budget(user, &delete, &pod).await?;
        }
        self.mark_disrupted(user, pods, &delete).await?;
        self.delete(user, pods, &delete).await?;
        Ok(answer(201, Content::Tree(Arc::new(success(201)))))
    }

    /// Says in the pod's conditions why it ends, before it does.
    async fn mark_disrupted(&self, user: &User, pods: &'static Kind, delete: &Request) -> Result<(), Status> {
        if delete.options.dry_run {
            return Ok(());
        }
        let now = self.world.now_text();
        let make = |pod: &Value| disrupted(pods, pod, &delete.options, &now);
        let (request, name, part) = (delete, &delete.name, Part::Direct);
        self.change(Change { user, kind: pods, request, name, part, tracks: false, make: &make }).await.map(|_| ())
    }

    /// Takes one disruption from the pod's budget, if it has one.
    async fn take_budget(&self, user: &User, request: &Request, pod: &Value) -> Result<(), Status> {
        let Some(budgets) = api::by_plural("policy", "v1", "poddisruptionbudgets") else { return Ok(()) };
        let all = self.cache.snapshot(&crate::keys::collection(budgets)).0;
        let span = crate::keys::Span::new(&request.namespace, None);
        let trees = all.range::<_, str>(span.bounds()).map(|(_, held)| held.object.tree());
        let ours: Vec<_> = trees.filter(|budget| selects(budget, pod)).collect();
        let budget = match ours.as_slice() {
            [] => return Ok(()),
            [only] => only.clone(),
            _ => {
                let why =
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(Status::failure(500, "", why));
            }
        };
        if !ready(pod) && unhealthy_may_go(&budget) {
            return Ok(());
        }
        let now = self.world.now_text();
        let make = |budget: &Value| disrupt(budget, meta::name(pod), &now);
        let name = meta::name(&budget).to_owned();
        let change =
            Change { user, kind: budgets, request, name: &name, part: Part::Direct, tracks: false, make: &make };
        self.change(change).await.map(|_| ())
    }
}

/// The pod with the condition DisruptionTarget, if it is the one that the eviction means.
fn disrupted(pods: &Kind, pod: &Value, options: &Options, now: &str) -> Made {
    check_preconditions(pods, pod, options)?;
    let mut conditions = tree::items(pod, "status.conditions").to_vec();
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": now,
    });
    match conditions.iter_mut().find(|c| c["type"] == "DisruptionTarget") {
        Some(old) if old["status"] == "True" => return Ok((pod.clone(), Vec::new())),
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
    let mut new = pod.clone();
    tree::set(&mut new, "status.conditions", conditions);
    Ok((new, Vec::new()))
}

/// A pod that does not run any more, or not yet, disrupts nothing.
fn needs_no_budget(pod: &Value) -> bool {
    matches!(tree::str(pod, "status.phase"), "Succeeded" | "Failed" | "Pending") || meta::is_deleting(pod)
}

fn selects(budget: &Value, pod: &Value) -> bool {
    let selector = &budget["spec"]["selector"];
    !selector.is_null() && LabelSelector::from_tree(selector).is_ok_and(|s| s.matches(meta::labels(pod)))
}

fn ready(pod: &Value) -> bool {
    tree::items(pod, "status.conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn unhealthy_may_go(budget: &Value) -> bool {
    let number = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
    always || (number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0)
}

/// The budget with one disruption less, and the pod that it was for.
fn disrupt(budget: &Value, pod: &str, now: &str) -> Made {
    let number = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let name = meta::name(budget);
    if number("observedGeneration") < meta::generation(budget) {
        return Err(too_many(format!("The disruption budget {name} is still being processed by the server.")));
    }
    if number("disruptionsAllowed") <= 0 {
        let (healthy, desired) = (number("currentHealthy"), number("desiredHealthy"));
        let why = format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        return Err(too_many(why));
    }
    let mut new = budget.clone();
    tree::set(&mut new, "status.disruptionsAllowed", number("disruptionsAllowed") - 1);
    tree::map_mut(&mut new, "status.disruptedPods").insert(pod.to_owned(), now.into());
    Ok((new, Vec::new()))
}

fn too_many(why: String) -> Status {
    let mut status = Status::failure(429, "TooManyRequests", VIOLATES);
    status.details = Some(Box::default());
    if let Some(details) = &mut status.details {
        details.causes = vec![Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() }];
    }
    status
}

/// The delete that an eviction asks for.
fn deletion(request: &Request, eviction: &Value) -> Request {
    let given = &eviction["deleteOptions"];
    let mut delete = Request { verb: Verb::Delete, subresource: String::new(), ..request.clone() };
    let options = &mut delete.options;
    options.grace_period_seconds = given["gracePeriodSeconds"].as_i64();
    options.dry_run |= given["dryRun"].as_array().is_some_and(|list| !list.is_empty());
    options.precondition_uid = given["preconditions"]["uid"].as_str().map(str::to_owned);
    options.precondition_revision = given["preconditions"]["resourceVersion"].as_str().map(str::to_owned);
    options.propagation = match given["propagationPolicy"].as_str() {
        Some("Orphan") => Some(Propagation::Orphan),
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Background") => Some(Propagation::Background),
        _ => None,
    };
    delete
}
