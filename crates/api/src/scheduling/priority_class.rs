//! PriorityClass: how much a pod matters, by name.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/priority-class-v1/>.

use machinery::field::Problems;
use machinery::{meta, tree};
use serde_json::Value;

use crate::column;
use crate::cursor::Field;
use crate::kind::{Kind, Scope};
use crate::rule;

/// What people may give; above it is the system.
const USER_MAX: i64 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";
/// The classes that every cluster has.
pub const SYSTEM: [(&str, i64); 2] =
    [("system-node-critical", 2 * USER_MAX + 1000), ("system-cluster-critical", 2 * USER_MAX)];

pub static KIND: Kind = Kind {
    group: "scheduling.k8s.io",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.scheduling.v1.PriorityClass",
    generation: true,
    set_defaults: |object| {
        tree::default(object, "preemptionPolicy", "PreemptLowerPriority");
    },
    validate,
    validate_update: |new, old, problems| {
        let root = Field::root(new);
        if root.get("value").num() != Field::root(old).get("value").num() {
            root.get("value").forbidden(problems, "may not be changed in an update.");
        }
        rule::immutable("preemptionPolicy", new, old, problems);
    },
    columns: &[
        column::NAME,
        column::number("Value", "value represents the integer value of this priority class."),
        column::flag(
            "Global-Default",
            "globalDefault specifies whether this PriorityClass should be considered as the default priority for pods that do not have any priority class.",
        ),
        column::AGE,
        column::text("PreemptionPolicy", "preemptionPolicy is the Policy for preempting pods with lower priority."),
    ],
    cells: |object, now| {
        vec![
            column::name(object),
            column::int(object, "value").into(),
            object["globalDefault"].as_bool().unwrap_or(false).into(),
            column::age(object, now),
            tree::str(object, "preemptionPolicy").into(),
        ]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let value = root.get("value");
    if meta::name(object).starts_with(SYSTEM_PREFIX) {
        if let Err(why) = is_system(meta::name(object), value.num(), root.get("globalDefault").bool()) {
            let detail = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
            );
            root.get("metadata.name").forbidden(problems, detail);
        }
    } else if value.num() > USER_MAX {
        value.forbidden(problems, format!("maximum allowed value of a user defined priority is {USER_MAX}"));
    }
    let policy = root.get("preemptionPolicy");
    if policy.is_set() {
        rule::required_one_of(&policy, &["PreemptLowerPriority", "Never"], problems);
    }
}

fn is_system(name: &str, value: i64, global: bool) -> Result<(), String> {
    let Some((_, wanted)) = SYSTEM.iter().find(|(known, _)| *known == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != *wanted {
        return Err(format!("value of {name} PriorityClass must be {wanted}"));
    }
    if global { Err(format!("globalDefault of {name} PriorityClass must be false")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::problems;

    use super::*;

    #[test]
    fn the_systems_names_are_its_own() {
        let class = |name: &str, value: i64| json!({"metadata": {"name": name}, "value": value});
        assert_eq!(problems(&KIND, &class("system-node-critical", 2_000_001_000)), "");
        assert_eq!(
            problems(&KIND, &class("system-x", 1)),
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. \
             error: system-x is not a known system priority class"
        );
        assert_eq!(
            problems(&KIND, &class("x", 1_000_000_001)),
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"
        );
    }
}
