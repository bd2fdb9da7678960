//! LimitRange: how much a container, pod or claim of a namespace may ask for, and what it gets when it does not ask.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/limit-range-v1/>.

use std::collections::BTreeSet;

use machinery::field::Problems;
use machinery::quantity::{Format, Quantity};
use machinery::tree;
use serde_json::{Map, Value};

use crate::column;
use crate::core::pod_spec::resources;
use crate::cursor::Field;
use crate::fill;
use crate::kind::Kind;
use crate::rule;

pub static KIND: Kind = Kind {
    kind: "LimitRange",
    plural: "limitranges",
    singular: "limitrange",
    short_names: &["limits"],
    definition: "io.k8s.api.core.v1.LimitRange",
    create_on_update: true,
    set_defaults,
    validate,
    columns: column::PLAIN,
    cells: column::plain,
    ..Kind::BASE
};

/// For containers: the default is the most that is allowed, the default request is the default, or else the least.
fn set_defaults(object: &mut Value) {
    for limit in tree::items_mut(object, "spec.limits").iter_mut().filter_map(Value::as_object_mut) {
        for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            fill::milli(limit, list);
        }
        if fill::get_text(limit, "type") != "Container" {
            continue;
        }
        for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
            let source = limit.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
            if source.is_empty() {
                continue;
            }
            let target = limit.entry(to).or_insert_with(|| Value::Object(Map::new()));
            for (name, quantity) in source {
                if let Some(map) = target.as_object_mut() {
                    map.entry(name).or_insert(quantity);
                }
            }
        }
    }
}

fn validate(object: &Value, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for limit in Field::root(object).get("spec.limits").items() {
        let kind = limit.get("type");
        type_name(&kind, problems);
        if seen.contains(&kind.str()) {
            kind.duplicate(problems);
        }
        seen.push(kind.str());
        names(&limit, kind.str(), problems);
        let lists = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
        let entries = lists.iter().flat_map(|l| limit.value[*l].as_object().into_iter().flatten());
        let keys: BTreeSet<_> = entries.map(|(key, _)| key.as_str()).collect();
        for key in keys {
            amounts(&limit, key, problems);
        }
    }
}

fn type_name(kind: &Field, problems: &mut Problems) {
    let standard = ["Pod", "Container", "PersistentVolumeClaim"];
    if rule::qualified_name(kind, problems) && !kind.str().contains('/') && !standard.contains(&kind.str()) {
        kind.invalid(problems, "must be a standard limit type or fully qualified");
    }
}

fn names(limit: &Field, kind: &str, problems: &mut Problems) {
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if kind == "Pod" && list.starts_with("default") {
            if !limit.get(list).is_empty() {
                limit.get(list).forbidden(problems, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (name, at) in limit.get(list).entries() {
            if matches!(kind, "Pod" | "Container") {
                resources::container_name(name, &at, problems);
            } else {
                resources::name(name, &at, problems);
            }
        }
    }
    let storage = |list: &str| limit.get(list).key("storage").is_set();
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        limit.get("limits").required(problems, detail);
    }
}

/// least ≤ default request ≤ default ≤ most.
fn amounts(limit: &Field, key: &str, problems: &mut Problems) {
    let pod = limit.get("type").str() == "Pod";
    let at = |list: &str| rule::quantity(&limit.get(list).key(key));
    let (min, max, ratio) = (at("min"), at("max"), at("maxLimitRequestRatio"));
    let (default, request) = if pod { (None, None) } else { (at("default"), at("defaultRequest")) };
    let over = |a: Option<Quantity>, b: Option<Quantity>| a.zip(b).filter(|(a, b)| a > b);
    let mut say = |list: &str, shown: Quantity, detail: String| {
        limit.get(list).key(key).invalid_as(problems, shown.to_string(), detail);
    };
    if let Some((a, b)) = over(min, max) {
        say("min", a, format!("min value {a} is greater than max value {b}"));
    }
    if let Some((a, b)) = over(min, request) {
        say("defaultRequest", b, format!("min value {a} is greater than default request value {b}"));
    }
    if let Some((a, b)) = over(request, max) {
        say("defaultRequest", a, format!("default request value {a} is greater than max value {b}"));
    }
    if let Some((a, b)) = over(request, default) {
        say("defaultRequest", a, format!("default request value {a} is greater than default limit value {b}"));
    }
    if let Some((a, b)) = over(min, default) {
        say("default", a, format!("min value {a} is greater than default value {b}"));
    }
    if let Some((a, b)) = over(default, max) {
        say("default", b, format!("default value {a} is greater than max value {b}"));
    }
    if let Some(ratio) = ratio {
        if ratio < Quantity::new(1, Format::DecimalSi) {
            say("maxLimitRequestRatio", ratio, format!("ratio {ratio} is less than 1"));
        }
        if let Some((min, max)) = min.zip(max).filter(|(min, _)| min.sign() > 0) {
            let most = max.as_f64() / min.as_f64();
            if ratio.as_f64() > most {
                say("maxLimitRequestRatio", ratio, format!("ratio {ratio} is greater than max/min = {most:.6}"));
            }
        }
    }
    if let Some((default, request)) = default.zip(request)
        && default != request
        && !resources::is_overcommit_allowed(key)
    {
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {key}");
        say("defaultRequest", request, detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{problems, with_defaults};

    use super::*;

    #[test]
    fn defaults_come_from_the_bounds() {
        let object = with_defaults(
            &KIND,
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]}}),
        );
        let limit = &object["spec"]["limits"][0];
        assert_eq!(limit["default"], json!({"cpu": "2"}));
        assert_eq!(limit["defaultRequest"], json!({"cpu": "2", "memory": "1Mi"}));
        assert_eq!(problems(&KIND, &object), "");
    }

    #[test]
    fn bounds_are_in_order() {
        let object = json!({"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}, "min": {"cpu": "2"}}]}});
        assert_eq!(
            problems(&KIND, &object),
            "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"
        );
    }
}
