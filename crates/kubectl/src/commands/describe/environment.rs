//! A container's environment, with the values that the object itself tells.

use machinery::quantity::Quantity;
use serde_json::Value;

use super::page::{Page, items, shown};

/// Whole maps that are taken over, then single variables.
pub fn describe(page: &mut Page, container: &Value, pod: &Value) {
    from_maps(page, items(&container["envFrom"]));
    let all = items(&container["env"]);
    let none = if all.is_empty() { "\t<none>" } else { "" };
    page.line(2, format_args!("Environment:{none}"));
    for variable in all {
        one(page, variable, container, pod);
    }
}

fn from_maps(page: &mut Page, all: &[Value]) {
    if all.is_empty() {
        return;
    }
    page.line(2, "Environment Variables from:");
    for source in all {
        let (kind, reference) = match &source["configMapRef"] {
            Value::Null => ("Secret", &source["secretRef"]),
            reference => ("ConfigMap", reference),
        };
        let prefix = shown(&source["prefix"]);
        let with = if prefix.is_empty() { String::new() } else { format!(" with prefix '{prefix}'") };
        let optional = reference["optional"] == true;
        page.line(3, format_args!("{}\t{kind}{with}\tOptional: {optional}", shown(&reference["name"])));
    }
}

fn one(page: &mut Page, variable: &Value, container: &Value, pod: &Value) {
    let (name, from) = (shown(&variable["name"]), &variable["valueFrom"]);
    if from.is_null() {
        let value = shown(&variable["value"]);
        let mut lines = value.split('\n');
        page.field(3, &name, lines.next().unwrap_or_default());
        return lines.for_each(|line| page.line(3, format_args!("\t{line}")));
    }
    let (field, amount) = (&from["fieldRef"], &from["resourceFieldRef"]);
    let (secret, map) = (&from["secretKeyRef"], &from["configMapKeyRef"]);
    if !field.is_null() {
        let path = shown(&field["fieldPath"]);
        page.field(3, &name, format_args!("{} ({}:{path})", pod_field(pod, &path), shown(&field["apiVersion"])));
    } else if !amount.is_null() {
        let resource = shown(&amount["resource"]);
        page.field(3, &name, format_args!("{} ({resource})", resource_value(amount, container)));
    } else if !secret.is_null() {
        let (key, of, optional) = (shown(&secret["key"]), shown(&secret["name"]), secret["optional"] == true);
        page.field(3, &name, format_args!("<set to the key '{key}' in secret '{of}'>\tOptional: {optional}"));
    } else if !map.is_null() {
        let (key, of, optional) = (shown(&map["key"]), shown(&map["name"]), map["optional"] == true);
        page.field(3, &name, format_args!("<set to the key '{key}' of config map '{of}'>\tOptional: {optional}"));
    }
}

/// Only metadata is resolved; the kubelet knows the rest.
fn pod_field(pod: &Value, path: &str) -> String {
    let meta = &pod["metadata"];
    if let Some((map, key)) = path.strip_prefix("metadata.").and_then(|rest| rest.split_once('[')) {
        return shown(&meta[map][key.trim_end_matches(']').trim_matches(['\'', '"'])]);
    }
    match path {
        "metadata.name" => shown(&meta["name"]),
        "metadata.namespace" => shown(&meta["namespace"]),
        "metadata.uid" => shown(&meta["uid"]),
        _ => String::new(),
    }
}

/// The amount in units of the divisor, rounded up.
fn resource_value(reference: &Value, container: &Value) -> String {
    let resource = shown(&reference["resource"]);
    let Some((list, name)) = resource.split_once('.') else { return String::new() };
    let amount = Quantity::from_tree(&container["resources"][list][name]).ok();
    let divisor = Quantity::from_tree(&reference["divisor"]).ok().filter(|divisor| !divisor.is_zero());
    let units = |quantity: &Quantity| if name == "cpu" { quantity.milli_value() } else { quantity.value() };
    let one = if name == "cpu" { 1000 } else { 1 };
    let (amount, divisor) = (amount.as_ref().map_or(0, units), divisor.as_ref().map_or(one, units).max(1));
    let whole = amount.div_euclid(divisor) + i64::from(amount.rem_euclid(divisor) > 0);
    if whole == 0 && matches!(resource.as_str(), "limits.cpu" | "limits.memory") {
        return "node allocatable".into();
    }
    whole.to_string()
}
