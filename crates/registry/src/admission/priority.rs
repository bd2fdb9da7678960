//! Priority: resolves a pod's PriorityClass into numbers, and keeps the default class unique.

use std::sync::Arc;

use serde_json::Value;

use super::{Asked, Edit, Operation, Patch, Refusal, View};

const CLASSES: &str = "scheduling.k8s.io/priorityclasses";
const PREEMPT: &str = "PreemptLowerPriority";

pub fn admit(asked: &Asked<'_>, view: &View<'_>) -> Result<Patch, Refusal> {
    match (asked.subresource, asked.operation) {
        ("", Operation::Create) if asked.is("", "pods") => resolve(asked, view),
        ("", Operation::Update) if asked.is("", "pods") => Ok(keep(asked)),
        ("", Operation::Create | Operation::Update) if asked.is("scheduling.k8s.io", "priorityclasses") => {
            one_default(asked, view).map(|()| Patch::new())
        }
        _ => Ok(Patch::new()),
    }
}

fn resolve(asked: &Asked<'_>, view: &View<'_>) -> Result<Patch, Refusal> {
    let spec = &asked.object["spec"];
    let wanted = spec["priorityClassName"].as_str().unwrap_or_default();
    let class = match wanted {
        "" => default_class(view),
        name => match view.get(CLASSES, "", name) {
            Some(class) => Some(class),
            None => return Err(asked.forbidden(&format!("no PriorityClass with name {name} was found"))),
        },
    };
    let name = class.as_ref().and_then(|c| c["metadata"]["name"].as_str()).unwrap_or_default();
    let value = class.as_ref().and_then(|c| c["value"].as_i64()).unwrap_or(0);
    let policy = class.as_ref().map_or(PREEMPT, |c| c["preemptionPolicy"].as_str().unwrap_or(PREEMPT));
    if let Some(given) = spec["priority"].as_i64().filter(|given| *given != value) {
        return Err(asked.forbidden(&format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {value} from the given PriorityClass name"
        )));
    }
    if let Some(given) = spec["preemptionPolicy"].as_str().filter(|given| *given != policy) {
        return Err(asked.forbidden(&format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        )));
    }
    let mut patch = vec![Edit::new("spec.priority", value), Edit::new("spec.preemptionPolicy", policy)];
    if wanted.is_empty() && !name.is_empty() {
        patch.push(Edit::new("spec.priorityClassName", name));
    }
    Ok(patch)
}

/// An update that leaves the numbers out keeps them.
fn keep(asked: &Asked<'_>) -> Patch {
    let lost = |field: &str| asked.object["spec"][field].is_null() && !asked.old["spec"][field].is_null();
    let fields = [("priority", "spec.priority"), ("preemptionPolicy", "spec.preemptionPolicy")];
    let kept = fields.into_iter().filter(|(field, _)| lost(field));
    kept.map(|(field, at)| Edit::new(at, asked.old["spec"][field].clone())).collect()
}

fn one_default(asked: &Asked<'_>, view: &View<'_>) -> Result<(), Refusal> {
    if asked.object["globalDefault"] != true {
        return Ok(());
    }
    match default_class(view).as_ref().and_then(|c| c["metadata"]["name"].as_str()) {
        Some(other) if asked.operation == Operation::Create || other != asked.name => {
            Err(asked
                .forbidden(&format!("PriorityClass {other} is already marked as default. Only one default can exist")))
        }
        _ => Ok(()),
    }
}

/// The default class of the lowest value, should there be several.
fn default_class(view: &View<'_>) -> Option<Arc<Value>> {
    let defaults = view.all(CLASSES).into_iter().filter(|class| class["globalDefault"] == true);
    defaults.min_by_key(|class| class["value"].as_i64())
}
