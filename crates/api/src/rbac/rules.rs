//! The rules in a role: verbs on resources, or on paths.

use machinery::field::Problems;

use crate::cursor::Field;

pub fn validate(rules: &Field, namespaced: bool, problems: &mut Problems) {
    for rule in rules.items() {
        one(&rule, namespaced, problems);
    }
}

fn one(rule: &Field, namespaced: bool, problems: &mut Problems) {
    let (groups, resources) = (rule.get("apiGroups"), rule.get("resources"));
    if rule.get("verbs").is_empty() {
        rule.get("verbs").required(problems, "verbs must contain at least one value");
    }
    let paths = rule.get("nonResourceURLs");
    if !paths.is_empty() {
        if namespaced {
            paths.invalid(problems, "namespaced rules cannot apply to non-resource URLs");
        }
        if !groups.is_empty() || !resources.is_empty() || !rule.get("resourceNames").is_empty() {
            paths.invalid(problems, "rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if groups.is_empty() {
        groups.required(problems, "resource rules must supply at least one api group");
    }
    if resources.is_empty() {
        resources.required(problems, "resource rules must supply at least one resource");
    }
}
