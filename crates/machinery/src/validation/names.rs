//! Names: DNS labels and subdomains, qualified names, label values.
//!
//! Hand-written matchers: names are checked on every write, and the expressions are simple.

use super::regex_message;
use super::texts::max_length;

const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

/// A rule for `metadata.name`; `prefix` is true for `generateName`, whose last character may be a dash.
pub type NameRule = fn(name: &str, prefix: bool) -> Vec<String>;

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    end(bytes.first()) && end(bytes.last()) && bytes.iter().all(|b| inner(*b))
}

fn length(text: &str, max: usize) -> Vec<String> {
    if text.len() > max { vec![max_length(max)] } else { Vec::new() }
}

/// A lowercase RFC 1123 label: `my-name`, at most 63 bytes.
pub fn dns1123_label(text: &str) -> Vec<String> {
    let mut wrong = length(text, LABEL_MAX);
    if !is_label(text) {
        wrong.push(if is_subdomain(text) {
            "must not contain dots".into()
        } else {
            let what = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
            regex_message(what, LABEL, &["my-name", "123-abc"])
        });
    }
    wrong
}

/// A lowercase RFC 1123 subdomain: `example.com`, at most 253 bytes.
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    let mut wrong = length(text, SUBDOMAIN_MAX);
    if !is_subdomain(text) {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        wrong.push(regex_message(what, SUBDOMAIN, &["example.com"]));
    }
    wrong
}

/// The same with underscores, which DNS search domains may have.
pub fn dns1123_subdomain_underscore(text: &str) -> Vec<String> {
    let mut wrong = length(text, SUBDOMAIN_MAX);
    let label = |l: &str| {
        is_label(&l.replace('_', "x")) && !l.ends_with('_') || l.starts_with('_') && is_label(&l[1..].replace('_', "x"))
    };
    if !text.split('.').all(label) {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        let expression = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
        wrong.push(regex_message(what, expression, &["example.com"]));
    }
    wrong
}

/// A DNS-1035 label, as Service names are: `my-name`, starting with a letter.
pub fn dns1035_label(text: &str) -> Vec<String> {
    let mut wrong = length(text, LABEL_MAX);
    if !is_label(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        let what = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
        wrong.push(regex_message(what, LABEL_1035, &["my-name", "abc-123"]));
    }
    wrong
}

/// `*.example.com`.
pub fn wildcard_subdomain(text: &str) -> Vec<String> {
    let mut wrong = length(text, SUBDOMAIN_MAX);
    if !text.strip_prefix("*.").is_some_and(is_subdomain) {
        let what = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        wrong.push(regex_message(what, &format!("\\*\\.{SUBDOMAIN}"), &["*.example.com"]));
    }
    wrong
}

/// A label or annotation key, finalizer or condition type: `MyName`, `example.com/MyName`.
pub fn qualified_name(text: &str) -> Vec<String> {
    let (prefix, name) = match text.split_once('/') {
        None => (None, text),
        Some((prefix, name)) => (Some(prefix), name),
    };
    let what = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let message = || regex_message(what, QUALIFIED, &["MyName", "my.name", "123-abc"]);
    if name.contains('/') {
        let optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
        return vec![format!("a qualified name {} {optional}", message())];
    }
    let mut wrong = match prefix {
        None => Vec::new(),
        Some("") => vec!["prefix part must be non-empty".to_owned()],
        Some(prefix) => dns1123_subdomain(prefix).into_iter().map(|m| format!("prefix part {m}")).collect(),
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".into());
    } else if name.len() > LABEL_MAX {
        wrong.push(format!("name part {}", max_length(LABEL_MAX)));
    }
    if !is_qualified(name) {
        wrong.push(format!("name part {}", message()));
    }
    wrong
}

pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong = length(text, LABEL_MAX);
    if !text.is_empty() && !is_qualified(text) {
        let what = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        wrong.push(regex_message(what, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    wrong
}

/// A name that can stand in a URL path by itself, as RBAC's do.
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    let parts = ["/", "%"].into_iter().filter(|part| text.contains(part));
    parts.map(|part| format!("may not contain '{part}'")).collect()
}

/// A `generateName` is judged without its trailing dash, which the random part will follow.
fn masked(name: &str, prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(rest) if prefix && !rest.is_empty() => {
            let mut kept: String = rest.to_owned();
            kept.pop();
            kept.push('a');
            kept
        }
        _ => name.to_owned(),
    }
}

pub fn name_is_subdomain(name: &str, prefix: bool) -> Vec<String> {
    dns1123_subdomain(&masked(name, prefix))
}

pub fn name_is_label(name: &str, prefix: bool) -> Vec<String> {
    dns1123_label(&masked(name, prefix))
}

pub fn name_is_dns1035_label(name: &str, prefix: bool) -> Vec<String> {
    dns1035_label(&masked(name, prefix))
}

pub fn name_is_path_segment(name: &str, prefix: bool) -> Vec<String> {
    if prefix {
        let parts = ["/", "%"].into_iter().filter(|part| name.contains(part));
        return parts.map(|part| format!("may not contain '{part}'")).collect();
    }
    path_segment(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_upstream_does() {
        assert!(dns1123_label("my-name").is_empty() && dns1123_subdomain("a.b-c.d1").is_empty());
        assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(
            dns1123_subdomain("Bad_Name"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert!(dns1035_label("1a")[0].contains("(e.g. 'my-name',  or 'abc-123', regex used"));
        assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        assert!(qualified_name("example.com/My.Name").is_empty());
        assert_eq!(qualified_name("/x"), ["prefix part must be non-empty"]);
        assert!(qualified_name("a/b/c")[0].starts_with("a qualified name must consist"));
        assert!(label_value("").is_empty() && label_value("a_b").is_empty() && !label_value("-a").is_empty());
        assert!(name_is_subdomain("web-", true).is_empty() && !name_is_subdomain("web-", false).is_empty());
        assert_eq!(path_segment("a/b"), ["may not contain '/'"]);
    }
}
