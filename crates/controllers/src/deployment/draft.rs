//! A working copy of a Deployment's sets: a turn changes it step by step, and what differs becomes one write per set.

use std::collections::BTreeMap;
use std::sync::Arc;

use control::{Event, Plan, Step, Target, Write};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value, json};

use super::{summary, template};

pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// One set as it is to be.
pub struct Set {
    /// As it is; `None` when it is to be created from `fresh`.
    pub seen: Option<Arc<ReplicaSet>>,
    /// The tree of a set to be created, without size and annotations.
    pub fresh: Value,
    pub name: String,
    pub replicas: i32,
    pub annotations: BTreeMap<String, String>,
    pub min_ready_seconds: Option<i32>,
    pub status: ReplicaSetStatus,
}

impl Set {
    fn of(set: Arc<ReplicaSet>) -> Self {
        let spec = set.spec.as_ref();
        Self {
            name: set.metadata.name.clone().unwrap_or_default(),
            replicas: was(&set),
            annotations: set.metadata.annotations.clone().unwrap_or_default(),
            min_ready_seconds: spec.and_then(|spec| spec.min_ready_seconds),
            status: set.status.clone().unwrap_or_default(),
            fresh: Value::Null,
            seen: Some(set),
        }
    }

    pub fn available(&self) -> i32 {
        self.status.available_replicas.unwrap_or(0)
    }

    /// Available replicas that stay: of one made smaller some are on their way out, whatever its status still says.
    pub fn lasting(&self) -> i32 {
        self.available().min(self.replicas)
    }

    /// Pods that it has or is to have: one made smaller has its pods until its controller took them.
    fn occupied(&self) -> i32 {
        self.replicas.max(self.status.replicas)
    }

    /// Its controller has acted on its size, so that the counts of its status are about that.
    pub fn is_observed(&self) -> bool {
        let generation = self.seen.as_ref().and_then(|set| set.metadata.generation);
        self.status.observed_generation >= generation
    }

    pub fn number(&self, annotation: &str) -> Option<i32> {
        self.annotations.get(annotation)?.parse().ok()
    }

    /// Older first; one that is not there yet is the youngest.
    pub fn age_order(&self) -> (bool, Option<Timestamp>, &str) {
        let created = self.seen.as_ref().and_then(|set| set.metadata.creation_timestamp.as_ref());
        (self.seen.is_none(), created.map(|time| time.0), &self.name)
    }
}

fn was(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// All sets of a Deployment: the old ones, and the one with its template.
pub struct Draft<'a> {
    pub deployment: &'a Deployment,
    pub spec: &'a DeploymentSpec,
    /// Sorted by age, the oldest first.
    pub old: Vec<Set>,
    pub new: Option<Set>,
    /// As it is to be before the counts are taken.
    pub status: DeploymentStatus,
    pub revision: Option<String>,
    /// The user changed the size: nothing else is moved in this turn.
    pub resized: bool,
    pub scaled: bool,
}

impl<'a> Draft<'a> {
    /// Of several sets with the Deployment's template the oldest is the new one.
    pub fn new(deployment: &'a Deployment, spec: &'a DeploymentSpec, sets: Vec<Arc<ReplicaSet>>) -> Self {
        let mut sets: Vec<Set> = sets.into_iter().map(Set::of).collect();
        sets.sort_by(|a, b| a.age_order().cmp(&b.age_order()));
        let has_template = |set: &Set| {
            let held = set.seen.as_ref().and_then(|set| set.spec.as_ref()).and_then(|spec| spec.template.as_ref());
            held.is_some_and(|held| template::is_same(held, &spec.template))
        };
        let at = sets.iter().position(has_template);
        let new = at.map(|at| sets.remove(at));
        let status = deployment.status.clone().unwrap_or_default();
        let (revision, resized, scaled) = (None, false, false);
        Self { deployment, spec, old: sets, new, status, revision, resized, scaled }
    }

    pub fn wished(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    pub fn sets(&self) -> impl Iterator<Item = &Set> {
        self.old.iter().chain(&self.new)
    }

    pub fn sets_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        self.old.iter_mut().chain(&mut self.new)
    }

    /// Replicas wished for in all sets.
    pub fn total(&self) -> i32 {
        self.sets().map(|set| set.replicas).sum()
    }

    /// How many more pods there may be; `None` while that is not known, because an old set was given another size
    /// and has not acted on it.
    pub fn room(&self) -> Option<i32> {
        if !self.old.iter().all(Set::is_observed) {
            return None;
        }
        let old: i32 = self.old.iter().map(Set::occupied).sum();
        Some(self.wished() + self.max_surge() - old - self.new.as_ref().map_or(0, |set| set.replicas))
    }

    pub fn is_rolling(&self) -> bool {
        self.spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("Recreate")
    }

    /// Pods above the wished number that a rolling update may add.
    pub fn max_surge(&self) -> i32 {
        if self.is_rolling() { self.fence_posts().0 } else { 0 }
    }

    /// Pods below the wished number that a rolling update may leave.
    pub fn max_unavailable(&self) -> i32 {
        if self.is_rolling() && self.wished() > 0 { self.fence_posts().1.min(self.wished()) } else { 0 }
    }

    /// Percentages round up for the surge and down for the unavailable; both zero would never move, so that one
    /// may then be unavailable.
    fn fence_posts(&self) -> (i32, i32) {
        let rolling = self.spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let surge = scaled(rolling.and_then(|r| r.max_surge.as_ref()), self.wished(), true);
        let unavailable = scaled(rolling.and_then(|r| r.max_unavailable.as_ref()), self.wished(), false);
        if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
    }

    /// Whether an active set was last sized for another number than is wished now.
    pub fn is_resized(&mut self) -> bool {
        let wished = self.wished();
        let is_of_another_size = |set: &Set| set.replicas > 0 && set.number(DESIRED).is_some_and(|was| was != wished);
        let resized = self.sets().any(is_of_another_size);
        self.resized = resized;
        resized
    }

    /// Gives a set another size; annotations follow.
    pub fn resize(&mut self, name: &str, replicas: i32) {
        let (desired, max) = (self.wished().to_string(), (self.wished() + self.max_surge()).to_string());
        let Some(set) = self.sets_mut().find(|set| set.name == name) else { return };
        let changes = set.replicas != replicas;
        set.replicas = replicas;
        set.annotations.insert(DESIRED.into(), desired);
        set.annotations.insert(MAX.into(), max);
        self.scaled |= changes;
    }

    pub fn set_condition(&mut self, kind: &str, state: &str, reason: &str, message: &str, now: Timestamp) {
        summary::set_condition(&mut self.status, summary::condition(kind, state, reason, message, now));
    }

    /// A pause stops the clock of the progress deadline, a resume starts it again.
    pub fn conditions_of_pause(&mut self, now: Timestamp) {
        if !summary::has_deadline(self.spec) {
            return;
        }
        let reason = summary::find(&self.status, "Progressing").and_then(|c| c.reason.clone());
        let noted = reason.as_deref() == Some("DeploymentPaused");
        match (self.spec.paused == Some(true), reason.as_deref()) {
            (_, Some("ProgressDeadlineExceeded")) => {}
            (true, _) if !noted => {
                self.set_condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now);
            }
            (false, _) if noted => {
                self.set_condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now);
            }
            _ => {}
        }
    }

    /// One write per set that is to change. What shrinks comes first, so that the sum never exceeds the bound.
    pub fn write_sets(&self, plan: &mut Plan) {
        let mut writes: Vec<(i32, Write)> = self.sets().filter_map(|set| self.write(set)).collect();
        writes.sort_by_key(|(growth, _)| *growth);
        plan.steps.extend(writes.into_iter().map(|(_, write)| Step::One(Box::new(write))));
    }

    fn write(&self, set: &Set) -> Option<(i32, Write)> {
        let Some(seen) = &set.seen else { return Some((set.replicas, self.create(set))) };
        let before = was(seen);
        let mut tree = Map::new();
        let mut spec = Map::new();
        if set.replicas != before {
            spec.insert("replicas".into(), set.replicas.into());
        }
        if set.min_ready_seconds != seen.spec.as_ref().and_then(|spec| spec.min_ready_seconds) {
            spec.insert("minReadySeconds".into(), set.min_ready_seconds.into());
        }
        if !spec.is_empty() {
            tree.insert("spec".into(), Value::Object(spec));
        }
        let held = seen.metadata.annotations.clone().unwrap_or_default();
        let changed: Map<String, Value> = set
            .annotations
            .iter()
            .filter(|(key, value)| held.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), value.as_str().into()))
            .collect();
        if !changed.is_empty() {
            tree.insert("metadata".into(), json!({ "annotations": changed }));
        }
        if tree.is_empty() {
            return None;
        }
        let write = Write::patch(Target::exactly(&**seen), Value::Object(tree));
        let write = if set.replicas == before { write } else { write.tell(self.scaling(set, before)) };
        Some((set.replicas - before, write))
    }

    fn create(&self, set: &Set) -> Write {
        let mut tree = set.fresh.clone();
        tree["metadata"]["annotations"] = json!(set.annotations);
        tree["spec"]["replicas"] = set.replicas.into();
        let write = Write::create::<ReplicaSet>(tree);
        if set.replicas > 0 { write.tell(self.scaling(set, 0)) } else { write }
    }

    fn scaling(&self, set: &Set, before: i32) -> Event {
        let direction = if set.replicas > before { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {before} to {}", set.name, set.replicas);
        Event::normal(self.deployment, "ScalingReplicaSet", message)
    }
}

/// A number, or a percentage of `whole`.
fn scaled(value: Option<&IntOrString>, whole: i32, round_up: bool) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.strip_suffix('%').and_then(|number| number.parse().ok()).unwrap_or(0);
            let hundredfold = i64::from(whole) * percent;
            let rounded = if round_up { (hundredfold + 99).div_euclid(100) } else { hundredfold.div_euclid(100) };
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}
