//! LimitRanger: containers get a namespace's default requests and limits, and nothing leaves its bounds.

use std::collections::BTreeMap;

use machinery::quantity::{Format, Quantity};
use machinery::tree;
use serde_json::{Map, Value};

use super::{Asked, Edit, Operation, Patch, Refusal, View};

const RANGES: &str = "core/limitranges";
const CONTAINER_LISTS: &[(&str, &str)] = &[("spec.containers", "container"), ("spec.initContainers", "init container")];
/// Over this a quantity is compared in whole units, as upstream does.
const MILLI_MAX: i64 = i64::MAX / 1000;

type Amounts = BTreeMap<String, Quantity>;

/// Fills in what a new pod leaves open.
pub fn admit(asked: &Asked<'_>, view: &View<'_>) -> Result<Patch, Refusal> {
    if !is_new_pod(asked) {
        return Ok(Patch::new());
    }
    let mut object = asked.object.clone();
    view.all_in(RANGES, asked.namespace).iter().for_each(|range| fill_in(&mut object, range));
    if object == *asked.object {
        return Ok(Patch::new());
    }
    let changed = ["metadata.annotations", "spec.containers", "spec.initContainers"];
    let present = changed.into_iter().filter(|at| !tree::get(&object, at).is_null());
    Ok(present.map(|at| Edit::new(at, tree::get(&object, at).clone())).collect())
}

/// Refuses what leaves the bounds.
pub fn check(asked: &Asked<'_>, view: &View<'_>) -> Result<(), Refusal> {
    let pods = is_new_pod(asked);
    let writes = matches!(asked.operation, Operation::Create | Operation::Update) && asked.subresource.is_empty();
    let claims =
        asked.is("", "persistentvolumeclaims") && writes && asked.old["metadata"]["deletionTimestamp"].is_null();
    if !pods && !claims {
        return Ok(());
    }
    for range in &view.all_in(RANGES, asked.namespace) {
        let limits = tree::items(range, "spec.limits").iter();
        let wrong: Vec<String> = limits.flat_map(|limit| problems(limit, asked.object, pods)).collect();
        match wrong.as_slice() {
            [] => {}
            [only] => return Err(asked.forbidden(only)),
            all => return Err(asked.forbidden(&format!("[{}]", all.join(", ")))),
        }
    }
    Ok(())
}

fn is_new_pod(asked: &Asked<'_>) -> bool {
    asked.is("", "pods") && asked.operation == Operation::Create && asked.subresource.is_empty()
}

/// Puts the defaults of a range into the containers, and says so in an annotation.
fn fill_in(pod: &mut Value, range: &Value) {
    let (mut limits, mut requests) = (Map::new(), Map::new());
    for limit in tree::items(range, "spec.limits").iter().filter(|limit| limit["type"] == "Container") {
        limits.extend(limit["default"].as_object().cloned().unwrap_or_default());
        requests.extend(limit["defaultRequest"].as_object().cloned().unwrap_or_default());
    }
    let mut said = Vec::new();
    for (list, what) in CONTAINER_LISTS {
        for container in tree::items_mut(pod, list) {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            for (field, defaults) in [("requests", &requests), ("limits", &limits)] {
                let added = add_missing(container, field, defaults);
                if !added.is_empty() {
                    let one = field.trim_end_matches('s');
                    said.push(format!("{} {one} for {what} {name}", added.join(", ")));
                }
            }
        }
    }
    if !said.is_empty() {
        let text = format!("LimitRanger plugin set: {}", said.join("; "));
        machinery::meta::set_annotation(pod, "kubernetes.io/limit-ranger", &text);
    }
}

fn add_missing(container: &mut Value, field: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let held = &container["resources"][field];
    let missing: Vec<String> = defaults.keys().filter(|name| held[name.as_str()].is_null()).cloned().collect();
    for name in &missing {
        tree::map_mut(container, &format!("resources.{field}")).insert(name.clone(), defaults[name].clone());
    }
    missing
}

/// What of an object leaves the bounds of one entry of a range.
fn problems(limit: &Value, object: &Value, pod: bool) -> Vec<String> {
    let kind = limit["type"].as_str().unwrap_or_default();
    match kind {
        "Container" if pod => {
            let containers = CONTAINER_LISTS.iter().flat_map(|(list, _)| tree::items(object, list));
            containers.flat_map(|c| bounds(limit, kind, &amounts(c, "requests"), &amounts(c, "limits"))).collect()
        }
        "Pod" if pod => bounds(limit, kind, &of_pod(object, "requests"), &of_pod(object, "limits")),
        "PersistentVolumeClaim" if !pod => {
            let asked = amounts(&object["spec"], "requests");
            let low = each(limit, "min", |name, bound| minimum(kind, name, bound, &asked, &Amounts::new()));
            low.into_iter()
                .chain(each(limit, "max", |name, bound| maximum_request(kind, name, bound, &asked)))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn bounds(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let mut wrong = each(limit, "min", |name, bound| minimum(kind, name, bound, requests, limits));
    wrong.extend(each(limit, "max", |name, bound| maximum(kind, name, bound, requests, limits)));
    wrong.extend(each(limit, "maxLimitRequestRatio", |name, bound| ratio(kind, name, bound, requests, limits)));
    wrong
}

fn each(limit: &Value, field: &str, check: impl Fn(&str, &Quantity) -> Option<String>) -> Vec<String> {
    read(&limit[field]).iter().filter_map(|(name, bound)| check(name, bound)).collect()
}

fn minimum(kind: &str, name: &str, bound: &Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let head = format!("minimum {name} usage per {kind} is {bound}");
    match (requests.get(name), limits.get(name)) {
        (None, _) => Some(format!("{head}.  No request is specified")),
        (Some(request), _) if below(request, bound) => Some(format!("{head}, but request is {request}")),
        (_, Some(limit)) if below(limit, bound) => Some(format!("{head}, but limit is {limit}")),
        _ => None,
    }
}

fn maximum(kind: &str, name: &str, bound: &Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let head = format!("maximum {name} usage per {kind} is {bound}");
    match (requests.get(name), limits.get(name)) {
        (_, None) => Some(format!("{head}.  No limit is specified")),
        (_, Some(limit)) if below(bound, limit) => Some(format!("{head}, but limit is {limit}")),
        (Some(request), _) if below(bound, request) => Some(format!("{head}, but request is {request}")),
        _ => None,
    }
}

fn maximum_request(kind: &str, name: &str, bound: &Quantity, requests: &Amounts) -> Option<String> {
    let head = format!("maximum {name} usage per {kind} is {bound}");
    match requests.get(name) {
        None => Some(format!("{head}.  No request is specified")),
        Some(request) if below(bound, request) => Some(format!("{head}, but request is {request}")),
        _ => None,
    }
}

fn ratio(kind: &str, name: &str, bound: &Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let head = format!("{name} max limit to request ratio per {kind} is {bound}");
    let Some(request) = requests.get(name).filter(|q| !q.is_zero()) else {
        return Some(format!("{head}, but no request is specified or request is 0"));
    };
    let Some(limit) = limits.get(name).filter(|q| !q.is_zero()) else {
        return Some(format!("{head}, but no limit is specified or limit is 0"));
    };
    let found = limit.as_f64() / request.as_f64();
    (found > bound.as_f64()).then(|| format!("{head}, but provided ratio is {found:.6}"))
}

fn below(a: &Quantity, b: &Quantity) -> bool {
    match a.value() <= MILLI_MAX && b.value() <= MILLI_MAX {
        true => a.milli_value() < b.milli_value(),
        false => a.value() < b.value(),
    }
}

fn read(map: &Value) -> Amounts {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), Quantity::from_tree(value).ok()?))).collect()
}

fn amounts(holder: &Value, field: &str) -> Amounts {
    read(&holder["resources"][field])
}

/// What a pod needs at once: its containers with the sidecars, or an init container with the sidecars before it,
/// whichever is more, and its overhead.
fn of_pod(pod: &Value, field: &str) -> Amounts {
    let mut all = Amounts::new();
    tree::items(pod, "spec.containers").iter().for_each(|c| add(&mut all, &amounts(c, field)));
    let (mut sidecars, mut start) = (Amounts::new(), Amounts::new());
    for container in tree::items(pod, "spec.initContainers") {
        let mut own = amounts(container, field);
        if container["restartPolicy"] == "Always" {
            add(&mut all, &own);
            add(&mut sidecars, &own);
            own = sidecars.clone();
        } else {
            add(&mut own, &sidecars);
        }
        raise(&mut start, own);
    }
    raise(&mut all, start);
    let mut overhead = read(&pod["spec"]["overhead"]);
    if field == "limits" {
        overhead.retain(|name, _| all.contains_key(name));
    }
    add(&mut all, &overhead);
    all
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        sum.entry(name.clone()).or_insert_with(|| Quantity::new(0, Format::DecimalSi)).add(amount);
    }
}

fn raise(most: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        match most.get(&name) {
            Some(held) if !below(held, &amount) => {}
            _ => drop(most.insert(name, amount)),
        }
    }
}
