//! What else the scheduler reads: tolerations, taints, topology spread, gates.

use machinery::field::{Problems, Wrong};

use crate::cursor::Field;
use crate::rule;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub fn tolerations(tolerations: &Field, problems: &mut Problems) {
    for toleration in tolerations.items() {
        self::toleration(&toleration, problems);
    }
}

fn toleration(toleration: &Field, problems: &mut Problems) {
    let (key, operator) = (toleration.get("key"), toleration.get("operator"));
    let (value, effect) = (toleration.get("value"), toleration.get("effect"));
    if !key.is_empty() {
        rule::qualified_name(&key, problems);
    } else if operator.str() != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        operator.invalid_as(problems, operator.str(), detail);
    }
    if toleration.get("tolerationSeconds").is_set() && effect.str() != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        effect.invalid_as(problems, effect.str(), detail);
    }
    match operator.str() {
        "" | "Equal" => {
            let messages = rule::label_value_messages(value.str());
            if !messages.is_empty() {
                operator.invalid_as(problems, value.str(), messages.join(";"));
            }
        }
        "Exists" if !value.is_empty() => {
            let detail = "value must be empty when `operator` is 'Exists'";
            operator.with(toleration.value).invalid(problems, detail);
        }
        "Exists" => {}
        _ => operator.not_supported(problems, &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        rule::one_of(&effect, &EFFECTS, problems);
    }
}

/// Taints of a node: one of a key and effect.
pub fn taints(taints: &Field, problems: &mut Problems) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for taint in taints.items() {
        let (key, value, effect) = (taint.get("key"), taint.get("value"), taint.get("effect"));
        rule::qualified_name(&key, problems);
        let messages = rule::label_value_messages(value.str());
        if !messages.is_empty() {
            value.invalid(problems, messages.join(";"));
        }
        rule::required_one_of(&effect, &EFFECTS, problems);
        if seen.contains(&(key.str(), effect.str())) {
            let detail = "taints must be unique by key and effect pair";
            taint.wrong(problems, Wrong::Duplicate(taint.value.clone()), detail);
        }
        seen.push((key.str(), effect.str()));
    }
}

pub fn readiness_gates(gates: &Field, problems: &mut Problems) {
    for gate in gates.items() {
        rule::qualified_name(&gate.get("conditionType"), problems);
    }
}

pub fn gates(gates: &Field, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for gate in gates.items() {
        let name = gate.get("name");
        let gate = gate.with(name.value);
        rule::qualified_name(&gate, problems);
        if seen.contains(&name.str()) {
            gate.duplicate(problems);
        }
        seen.push(name.str());
    }
}

pub fn spread(constraints: &Field, problems: &mut Problems) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for constraint in constraints.items() {
        let (key, action) = (constraint.get("topologyKey"), constraint.get("whenUnsatisfiable"));
        let skew = constraint.get("maxSkew");
        if skew.num() <= 0 {
            skew.invalid_as(problems, skew.num(), "must be greater than zero");
        }
        if key.is_empty() {
            key.required(problems, "can not be empty");
        }
        rule::one_of(&action, &["DoNotSchedule", "ScheduleAnyway"], problems);
        let pair = (key.str(), action.str());
        if seen.contains(&pair) {
            let text = format!("{{{}, {}}}", pair.0, pair.1);
            let at = constraint.get("{topologyKey, whenUnsatisfiable}");
            at.wrong(problems, Wrong::Duplicate(text.into()), "");
        }
        seen.push(pair);
        min_domains(&constraint.get("minDomains"), action.str(), problems);
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if constraint.get(policy).is_set() {
                rule::one_of(&constraint.get(policy), &["Honor", "Ignore"], problems);
            }
        }
        match_label_keys(&constraint, problems);
        rule::label_selector(&constraint.get("labelSelector"), problems);
    }
}

fn min_domains(domains: &Field, action: &str, problems: &mut Problems) {
    let Some(count) = domains.int() else { return };
    if count <= 0 {
        domains.invalid(problems, "must be greater than zero");
    }
    if action != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        domains.invalid(problems, detail);
    }
}

fn match_label_keys(constraint: &Field, problems: &mut Problems) {
    let (keys, selector) = (constraint.get("matchLabelKeys"), constraint.get("labelSelector"));
    if keys.is_empty() {
        return;
    }
    if !selector.is_set() {
        keys.forbidden(problems, "must not be specified when labelSelector is not set");
    }
    for key in keys.items() {
        rule::qualified_name(&key, problems);
        if selector.get("matchLabels").key(key.str()).is_set() {
            key.invalid(problems, "exists in both matchLabelKeys and labelSelector");
        }
    }
}
