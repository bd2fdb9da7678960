//! `create quota`, `poddisruptionbudget` and `priorityclass`.

use clap::{ArgMatches, Command};
use machinery::quantity::Quantity;
use serde_json::{Value, json};

use super::workload::{name, number};
use super::{Generator, Make};
use crate::commands::run::pairs;
use crate::failure::{Result, error};
use crate::flags;

pub const DISRUPTION_BUDGET: Generator = Generator { build: build_budget, make: Make::Plain(budget) };
pub const PRIORITY_CLASS: Generator = Generator { build: build_class, make: Make::Plain(class) };
pub const QUOTA: Generator = Generator { build: build_quota, make: Make::Plain(quota) };

fn build_budget() -> Command {
    Command::new("poddisruptionbudget")
        .visible_alias("pdb")
        .about("Create a pod disruption budget with the specified name.")
        .arg(name())
        .arg(flags::text("min-available", "The minimum number or percentage of available pods this budget requires."))
        .arg(flags::text(
            "max-unavailable",
            "The maximum number or percentage of unavailable pods this budget requires.",
        ))
        .arg(flags::text("selector", "A label selector to use for this budget."))
}

fn budget(matches: &ArgMatches) -> Result<Value> {
    let selector = flags::of(matches, "selector");
    if selector.is_empty() {
        return error("a selector must be specified");
    }
    let labels = pairs(selector.split(','), "selector")?;
    let mut spec = json!({"selector": {"matchLabels": labels}});
    let given = [("min-available", "minAvailable"), ("max-unavailable", "maxUnavailable")];
    let given: Vec<_> = given.into_iter().filter(|(flag, _)| !flags::of(matches, flag).is_empty()).collect();
    match given.as_slice() {
        [] => return error("one of min-available or max-unavailable must be specified"),
        [(flag, field)] => {
            let text = flags::of(matches, flag);
            spec[*field] = text.parse::<i64>().map_or_else(|_| text.into(), Value::from);
        }
        _ => return error("min-available and max-unavailable cannot be both specified"),
    }
    Ok(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": flags::of(matches, "name")},
        "spec": spec,
        "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
    }))
}

fn build_class() -> Command {
    Command::new("priorityclass")
        .visible_alias("pc")
        .about("Create a priority class with the specified name.")
        .arg(name())
        .arg(flags::text("value", "the value of this priority class.").allow_hyphen_values(true))
        .arg(flags::switch("global-default", "global-default specifies whether this PriorityClass should be considered as the default priority."))
        .arg(flags::text("description", "description is an arbitrary string that usually provides guidelines on when this priority class should be used."))
        .arg(flags::text("preemption-policy", "preemption-policy is the policy for preempting pods with lower priority.").default_value("PreemptLowerPriority"))
}

fn class(matches: &ArgMatches) -> Result<Value> {
    let mut class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": flags::of(matches, "name")},
        "value": number(matches, "value")?.unwrap_or(0),
        "preemptionPolicy": flags::of(matches, "preemption-policy"),
    });
    if flags::is_set(matches, "global-default") {
        class["globalDefault"] = true.into();
    }
    if !flags::of(matches, "description").is_empty() {
        class["description"] = flags::of(matches, "description").into();
    }
    Ok(class)
}

fn build_quota() -> Command {
    Command::new("quota")
        .visible_alias("resourcequota")
        .about("Create a quota with the specified name.")
        .arg(name())
        .arg(flags::text("hard", "A comma-delimited set of resource=quantity pairs that define a hard limit."))
        .arg(flags::text(
            "scopes",
            "A comma-delimited set of quota scopes that must all match each object tracked by the quota.",
        ))
}

fn quota(matches: &ArgMatches) -> Result<Value> {
    let mut spec = json!({});
    let hard = flags::of(matches, "hard");
    if !hard.is_empty() {
        spec["hard"] = quantities(hard)?;
    }
    let scopes: Vec<&str> = flags::of(matches, "scopes").split(',').filter(|scope| !scope.is_empty()).collect();
    if !scopes.is_empty() {
        spec["scopes"] = scopes.into();
    }
    let name = flags::of(matches, "name");
    Ok(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec, "status": {}}))
}

/// `cpu=1,memory=1Gi` as a map of quantities.
///
/// # Errors
/// A word that is no pair, or no quantity.
pub fn quantities(text: &str) -> Result<Value> {
    let mut map = json!({});
    for pair in text.split(',') {
        let Some((name, amount)) = pair.split_once('=') else {
            return error(format!("Invalid argument syntax {pair}, expected <resource>=<value>"));
        };
        if Quantity::parse(amount).is_err() {
            return error(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            );
        }
        map[name] = amount.into();
    }
    Ok(map)
}
