//! The addresses and families of a Service: what may be asked for, and what stays once it was given.

use machinery::field::Problems;
use serde_json::Value;

use super::rules::{ONCE_SET, is_headless};
use crate::cursor::Field;
use crate::rule;

/// What is asked of the addresses alone: allocation looks at them before the rest is validated.
pub fn validate_addresses(service: &Value, problems: &mut Problems) {
    validate(&Field::root(service).get("spec"), problems);
}

pub fn validate(spec: &Field, problems: &mut Problems) {
    if spec.get("type").str() == "ExternalName" {
        return;
    }
    let (single, list) = (spec.get("clusterIP"), spec.get("clusterIPs"));
    if single.is_empty() && !list.is_empty() {
        list.invalid(problems, "must be empty when `clusterIP` is not specified");
    } else if !single.is_empty() && list.is_empty() {
        list.required(problems, "");
    } else if !single.is_empty() && list.index(0).str() != single.str() {
        list.invalid(problems, "first value must match `clusterIP`");
    }
    families(spec, problems);
    if !each_is_an_address(&list, problems) {
        return;
    }
    let is_v6 = |ip: &Field| ip.str().contains(':');
    if list.len() == 2 && is_v6(&list.index(0)) == is_v6(&list.index(1)) {
        list.invalid(problems, "may specify no more than one IP for each IP family");
    }
    if is_headless(spec) {
        return;
    }
    for (i, (ip, family)) in list.items().zip(spec.get("ipFamilies").items()).enumerate() {
        let wanted = family.str();
        if (wanted == "IPv4" && is_v6(&ip)) || (wanted == "IPv6" && !is_v6(&ip)) {
            ip.invalid(problems, format!("expected an {wanted} value as indicated by `ipFamilies[{i}]`"));
        }
    }
}

fn families(spec: &Field, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for family in spec.get("ipFamilies").items() {
        rule::one_of(&family, &["IPv4", "IPv6"], problems);
        if seen.contains(&family.str()) {
            family.duplicate(problems);
        }
        seen.push(family.str());
    }
    if spec.get("ipFamilyPolicy").is_set() {
        let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        rule::one_of(&spec.get("ipFamilyPolicy"), &policies, problems);
    }
}

/// `None` is one too, when it is alone. False ends the judgement of addresses.
fn each_is_an_address(list: &Field, problems: &mut Problems) -> bool {
    let mut right = true;
    for (i, ip) in list.items().enumerate() {
        if i == 0 && ip.str() == "None" {
            if list.len() > 1 {
                right = false;
                list.invalid(problems, "'None' must be the first and only value");
            }
            continue;
        }
        right &= rule::ip(&ip, problems);
    }
    if list.len() > 2 {
        list.invalid(problems, "may only hold up to 2 values");
    }
    right
}

pub fn stay(spec: &Field, old_spec: &Field, problems: &mut Problems) {
    let (list, before) = (spec.get("clusterIPs"), old_spec.get("clusterIPs"));
    if list.is_empty() && !before.is_empty() {
        let at = list.index(0);
        at.with(list.value).invalid(problems, "primary clusterIP can not be unset");
        return;
    }
    for (i, old) in before.items().enumerate().take(list.len()) {
        let at = list.index(i);
        if at.str() != old.str() {
            at.with(list.value).invalid(problems, ONCE_SET);
        }
    }
    released(spec, &list, &before, "clusterIP", problems);
}

pub fn families_stay(spec: &Field, old_spec: &Field, problems: &mut Problems) {
    let (list, before) = (spec.get("ipFamilies"), old_spec.get("ipFamilies"));
    for (i, old) in before.items().enumerate().take(list.len()) {
        if list.index(i).str() != old.str() {
            let at = list.index(0);
            at.with(list.value).invalid(problems, ONCE_SET);
        }
    }
    released(spec, &list, &before, "ipFamily", problems);
}

/// The second of two goes only when one is asked for.
fn released(spec: &Field, list: &Field, before: &Field, noun: &str, problems: &mut Problems) {
    let policy = spec.get("ipFamilyPolicy");
    if before.len() == 2 && list.len() == 1 && policy.str() != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {noun}");
        policy.invalid(problems, detail);
    }
}
