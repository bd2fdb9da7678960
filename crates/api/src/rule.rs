//! Rules of one field, said once for all kinds: upstream's checks and messages at a [`Field`].
//!
//! The texts of names, labels and addresses are judged in `machinery::validation`; here are the paths. A rule that
//! says whether it held returns true when it did.

use machinery::field::Problems;
use machinery::quantity::Quantity;
use machinery::selector::LabelSelector;
use machinery::tree::At;
use machinery::validation;
use serde_json::Value;

use crate::cursor::Field;

pub use machinery::validation::{
    config_map_key as config_key_messages, dns1123_label as dns_label_messages,
    dns1123_subdomain as dns_subdomain_messages, dns1123_subdomain_underscore as dns_subdomain_underscore_messages,
    label_value as label_value_messages, qualified_name as qualified_name_messages,
};

pub const IMMUTABLE: &str = validation::IMMUTABLE;

// === names ===

/// Adds what is wrong with the text; an absent one is shown as empty.
fn text(field: &Field, messages: Vec<String>, problems: &mut Problems) -> bool {
    let right = messages.is_empty();
    for message in messages {
        field.invalid_as(problems, field.str(), message);
    }
    right
}

pub fn dns_label(field: &Field, problems: &mut Problems) -> bool {
    text(field, validation::dns1123_label(field.str()), problems)
}

pub fn dns_subdomain(field: &Field, problems: &mut Problems) -> bool {
    text(field, validation::dns1123_subdomain(field.str()), problems)
}

pub fn qualified_name(field: &Field, problems: &mut Problems) -> bool {
    text(field, validation::qualified_name(field.str()), problems)
}

pub fn path_segment(field: &Field, problems: &mut Problems) -> bool {
    text(field, validation::path_segment(field.str()), problems)
}

pub fn env_name(field: &Field, problems: &mut Problems) -> bool {
    text(field, validation::env_var_name(field.str()), problems)
}

// === numbers ===

/// Absent is right.
pub fn not_negative(field: &Field, problems: &mut Problems) {
    if field.num() < 0 {
        field.invalid(problems, validation::NEGATIVE);
    }
}

pub fn in_range(field: &Field, low: i64, high: i64, problems: &mut Problems) {
    for message in validation::in_range(field.num(), low, high) {
        field.invalid_as(problems, field.num(), message);
    }
}

/// A user or group id, when there is one.
pub fn id(field: &Field, problems: &mut Problems) {
    if let Some(id) = field.int() {
        field.messages(problems, validation::user_id(id));
    }
}

/// A count not below zero, or a percentage.
pub fn count_or_percent(field: &Field, problems: &mut Problems) {
    match field.value {
        Value::String(percent) => field.messages(problems, validation::percent(percent)),
        _ => not_negative(field, problems),
    }
}

/// The count, or the percentage's number; 0 for anything else.
pub fn count_or_percent_value(field: &Field) -> i64 {
    match field.value {
        Value::String(text) => text.strip_suffix('%').unwrap_or(text).parse().unwrap_or(0),
        _ => field.num(),
    }
}

pub fn at_most_100_percent(field: &Field, problems: &mut Problems) {
    let percent = field.str().strip_suffix('%').and_then(|n| n.parse::<i64>().ok());
    if percent.is_some_and(|n| n > 100) {
        field.invalid(problems, "must not be greater than 100%");
    }
}

/// The quantity at a field; absent or no quantity at all (decoding saw to that) is `None`.
pub fn quantity(field: &Field) -> Option<Quantity> {
    if field.is_set() { Quantity::from_tree(field.value).ok() } else { None }
}

// === closed sets ===

pub fn one_of(field: &Field, supported: &[&str], problems: &mut Problems) {
    if !supported.contains(&field.str()) {
        field.not_supported(problems, supported);
    }
}

/// Absent and empty are missing, not unsupported.
pub fn required_one_of(field: &Field, supported: &[&str], problems: &mut Problems) {
    if field.str().is_empty() {
        field.required(problems, "");
    } else {
        one_of(field, supported, problems);
    }
}

pub fn required(field: &Field, problems: &mut Problems) -> bool {
    if field.is_empty() {
        field.required(problems, "");
    }
    !field.is_empty()
}

// === ports and addresses ===

pub fn port_number(field: &Field, problems: &mut Problems) {
    for message in validation::port_number(field.num()) {
        field.invalid_as(problems, field.num(), message);
    }
}

pub fn port_name(field: &Field, problems: &mut Problems) -> bool {
    text(field, validation::port_name(field.str()), problems)
}

/// A number or a name.
pub fn port(field: &Field, problems: &mut Problems) {
    if field.value.is_string() {
        port_name(field, problems);
    } else {
        port_number(field, problems);
    }
}

pub fn ip(field: &Field, problems: &mut Problems) -> bool {
    text(field, validation::ip(field.str()), problems)
}

/// An address, with the caller's message.
pub fn ip_sloppy(field: &Field, detail: &str, problems: &mut Problems) {
    if validation::parse_ip(field.str()).is_none() {
        field.invalid_as(problems, field.str(), detail);
    }
}

pub fn cidr(field: &Field, problems: &mut Problems) -> bool {
    text(field, validation::cidr(field.str()), problems)
}

/// An address that can be an endpoint: none of the ranges with a meaning of their own.
pub fn endpoint_ip(field: &Field, problems: &mut Problems) {
    let text = field.str();
    let Some(ip) = validation::parse_ip(text) else {
        return field.invalid_as(problems, text, "must be a valid IP address");
    };
    let (link_local, local_multicast) = match ip {
        std::net::IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(ip) => (ip.segments()[0] & 0xffc0 == 0xfe80, ip.segments()[0] & 0xff0f == 0xff02),
    };
    if ip.is_unspecified() {
        field.invalid(problems, format!("may not be unspecified ({text})"));
    }
    if ip.is_loopback() {
        field.invalid(problems, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if link_local {
        field.invalid(problems, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if local_multicast {
        field.invalid(problems, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

// === paths ===

/// No step up, anywhere in it.
pub fn no_backsteps(field: &Field, problems: &mut Problems) {
    if field.str().split('/').any(|step| step == "..") {
        field.invalid(problems, "must not contain '..'");
    }
}

/// A path below some folder.
pub fn descending_path(field: &Field, problems: &mut Problems) {
    if field.str().starts_with('/') {
        field.invalid(problems, "must be a relative path");
    }
    no_backsteps(field, problems);
}

/// A path below some folder that does not look like one of the kubelet's own (`..data`).
pub fn local_path(field: &Field, problems: &mut Problems) {
    descending_path(field, problems);
    if field.str().starts_with("..") && !field.str().starts_with("../") && field.str() != ".." {
        field.invalid(problems, "must not start with '..'");
    }
}

/// Bits of a file mode, when there are some.
pub fn file_mode(field: &Field, problems: &mut Problems) {
    if field.int().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        field.invalid(problems, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

// === labels and selectors ===

/// A rule of `machinery`, whose cursor owns its path: the path is made only when there is a problem.
fn shared(field: &Field, rule: fn(&At<'_>, &mut Problems), problems: &mut Problems) {
    if !field.is_set() {
        return;
    }
    let mut found = Problems::default();
    rule(&At::root(field.value), &mut found);
    if !found.is_empty() {
        rule(&At::new(field.value, field.path()), problems);
    }
}

pub fn labels(field: &Field, problems: &mut Problems) {
    shared(field, validation::labels, problems);
}

pub fn annotations(field: &Field, problems: &mut Problems) {
    shared(field, validation::annotations, problems);
}

/// Absent is right.
pub fn label_selector(field: &Field, problems: &mut Problems) {
    shared(field, validation::label_selector, problems);
}

pub fn conditions(field: &Field, problems: &mut Problems) {
    shared(field, validation::conditions, problems);
}

/// Whether it can be read as a selector at all; absent can.
pub fn is_label_selector(field: &Field) -> bool {
    LabelSelector::from_tree(field.value).is_ok()
}

pub fn selector_matches(selector: &Field, labels: &Value) -> bool {
    LabelSelector::from_tree(selector.value).is_ok_and(|s| s.matches(labels))
}

// === updates ===

/// The field at a dotted path stays as it was.
pub fn immutable(dotted: &str, new: &Value, old: &Value, problems: &mut Problems) {
    let (new, old) = (Field::root(new), Field::root(old));
    if new.get(dotted).value != old.get(dotted).value {
        new.get(dotted).invalid(problems, IMMUTABLE);
    }
}

/// Bytes that a base64 text stands for.
pub fn base64_len(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().rev().take(2).filter(|b| *b == b'=').count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn base64_is_measured_without_decoding() {
        for (text, len) in [("", 0), ("AA==", 1), ("AAA=", 2), ("AAAA", 3)] {
            assert_eq!(base64_len(text), len);
        }
    }

    #[test]
    fn paths_stay_below() {
        let message = |path: &str| {
            let mut problems = Problems::default();
            local_path(&Field::standing(&json!(path), "path"), &mut problems);
            problems.message()
        };
        assert_eq!(message("a/b"), "");
        assert_eq!(message("/a"), "path: Invalid value: \"/a\": must be a relative path");
        assert_eq!(message("a/../b"), "path: Invalid value: \"a/../b\": must not contain '..'");
        assert_eq!(message("..a"), "path: Invalid value: \"..a\": must not start with '..'");
    }
}
