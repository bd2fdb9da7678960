//! When a job fails or succeeds before all its pods have: failure and success policies.

use machinery::field::{Problems, Wrong};
use serde_json::json;

use crate::cursor::Field;
use crate::rule;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const RULES_MAX: usize = 20;
const VALUES_MAX: usize = 255;
const PATTERNS_MAX: usize = 20;

fn at_most(list: &Field, max: usize, problems: &mut Problems) {
    if list.len() > max {
        list.wrong(problems, Wrong::TooMany { count: list.len(), max }, "");
    }
}

/// Missing values are told which there are, as Go prints a list.
fn required_of(field: &Field, values: &[&str], problems: &mut Problems) {
    if field.is_empty() {
        let quoted: Vec<_> = values.iter().map(|v| format!("{v:?}")).collect();
        field.required(problems, &format!("valid values: [{}]", quoted.join(" ")));
    } else {
        rule::one_of(field, values, problems);
    }
}

pub fn failure(spec: &Field, problems: &mut Problems) {
    let rules = spec.get("podFailurePolicy.rules");
    at_most(&rules, RULES_MAX, problems);
    for rule in rules.items() {
        let action = rule.get("action");
        required_of(&action, &ACTIONS, problems);
        if action.str() == "FailIndex" && !spec.get("backoffLimitPerIndex").is_set() {
            action.invalid(problems, "requires the backoffLimitPerIndex to be set");
        }
        let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        if codes.is_set() {
            exit_codes(&codes, spec, problems);
        }
        at_most(&conditions, PATTERNS_MAX, problems);
        for pattern in conditions.items() {
            rule::qualified_name(&pattern.get("type"), problems);
            required_of(&pattern.get("status"), &STATUSES, problems);
        }
        match (codes.is_set(), conditions.is_empty()) {
            (true, false) => {
                rule.invalid(problems, "specifying both OnExitCodes and OnPodConditions is not supported");
            }
            (false, true) => rule.invalid(problems, "specifying one of OnExitCodes and OnPodConditions is required"),
            _ => {}
        }
    }
}

fn exit_codes(codes: &Field, spec: &Field, problems: &mut Problems) {
    let (operator, name, values) = (codes.get("operator"), codes.get("containerName"), codes.get("values"));
    required_of(&operator, &["In", "NotIn"], problems);
    let known = |list: &str| spec.get("template.spec").get(list).items().any(|c| c.get("name").str() == name.str());
    if name.is_set() && !known("containers") && !known("initContainers") {
        name.invalid(problems, "must be one of the container or initContainer names in the pod template");
    }
    if values.is_empty() {
        values.invalid_as(problems, json!([]), "at least one value is required");
    }
    at_most(&values, VALUES_MAX, problems);
    let mut seen: Vec<i64> = Vec::new();
    for value in values.items() {
        if operator.str() == "In" && value.num() == 0 {
            value.invalid(problems, "must not be 0 for the In operator");
        }
        if seen.contains(&value.num()) {
            value.duplicate(problems);
        }
        seen.push(value.num());
    }
    if !seen.is_sorted() {
        values.invalid(problems, "must be ordered");
    }
}

pub fn success(spec: &Field, problems: &mut Problems) {
    let policy = spec.get("successPolicy");
    if !policy.is_set() {
        return;
    }
    if spec.get("completionMode").str() != "Indexed" {
        policy.invalid(problems, "requires indexed completion mode");
        return;
    }
    let rules = policy.get("rules");
    at_most(&rules, RULES_MAX, problems);
    if rules.is_empty() {
        rules.required(problems, "at least one rules must be specified when the successPolicy is specified");
    }
    for rule in rules.items() {
        let (indexes, count) = (rule.get("succeededIndexes"), rule.get("succeededCount"));
        if !indexes.is_set() && !count.is_set() {
            rule.required(problems, "at least one of succeededCount or succeededIndexes must be specified");
        }
        if let Some(number) = count.int() {
            rule::not_negative(&count, problems);
            let completions = spec.get("completions").num();
            if number > completions {
                count.invalid(
                    problems,
                    format!("must be less than or equal to {completions} (the number of specified completions)"),
                );
            }
        }
    }
}
