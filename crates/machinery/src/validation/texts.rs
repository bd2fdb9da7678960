//! Other texts: environment and configuration keys, paths, percentages, numbers in a range.

use super::regex_message;

/// Linux user and group ids that upstream allows.
const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL_MAX: usize = 253;
const KEY_MAX: usize = 253;

pub fn max_length(bytes: usize) -> String {
    format!("must be no more than {bytes} bytes")
}

fn all(text: &str, good: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(good)
}

pub fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    if (low..=high).contains(&value) {
        Vec::new()
    } else {
        vec![format!("must be between {low} and {high}, inclusive")]
    }
}

pub fn user_id(id: i64) -> Vec<String> {
    in_range(id, 0, ID_MAX)
}

pub fn group_id(id: i64) -> Vec<String> {
    in_range(id, 0, ID_MAX)
}

pub fn c_identifier(text: &str) -> Vec<String> {
    let word = all(text, |b| b.is_ascii_alphanumeric() || b == b'_');
    if word && !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Vec::new();
    }
    let what = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
    vec![regex_message(what, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])]
}

/// An environment variable's name: any printable ASCII but `=`, as pods allow since 1.34.
pub fn env_var_name(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".into()];
    }
    if all(text, |b| matches!(b, b' '..=b'~') && b != b'=') {
        return Vec::new();
    }
    let what = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    vec![regex_message(what, "^[ -<>-~]+$", &[])]
}

/// The narrower rule that was in force before, and still is for keys taken from ConfigMaps and Secrets.
pub fn env_var_name_strict(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let word = all(text, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !word || text.starts_with(|c: char| c.is_ascii_digit()) {
        let what = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit";
        wrong.push(regex_message(what, "[-._a-zA-Z][-._a-zA-Z0-9]*", &["my.env-name", "MY_ENV.NAME", "MyEnvName1"]));
    }
    wrong.extend(dots(text));
    wrong
}

pub fn config_map_key(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > KEY_MAX {
        wrong.push(max_length(KEY_MAX));
    }
    if !all(text, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        let what = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        wrong.push(regex_message(what, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    wrong.extend(dots(text));
    wrong
}

/// Keys become file names, and must not climb.
fn dots(text: &str) -> Option<String> {
    match text {
        "." | ".." => Some(format!("must not be '{text}'")),
        _ if text.starts_with("..") => Some("must not start with '..'".into()),
        _ => None,
    }
}

pub fn percent(text: &str) -> Vec<String> {
    if text.strip_suffix('%').is_some_and(|n| all(n, |b| b.is_ascii_digit())) {
        return Vec::new();
    }
    let what = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![regex_message(what, "[0-9]+%", &["1%", "93%"])]
}

pub fn http_header_name(text: &str) -> Vec<String> {
    if all(text, |b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    let what = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![regex_message(what, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// A path that starts at the root.
pub fn absolute_path(text: &str) -> Vec<String> {
    if text.starts_with('/') { Vec::new() } else { vec!["must be an absolute path".into()] }
}

/// A relative path inside a volume: no `..` step, not absolute.
pub fn qualified_path(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.starts_with('/') {
        wrong.push("must be a relative path".to_owned());
    }
    if text.split('/').any(|step| step == "..") {
        wrong.push("must not contain '..'".into());
    }
    wrong
}

/// A sysctl's name: `net.ipv4.ip_forward` or `net/ipv4/ip_forward`.
pub fn sysctl(text: &str) -> Vec<String> {
    let word = |w: &str| {
        let end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        end(w.as_bytes().first()) && end(w.as_bytes().last()) && w.bytes().all(inner)
    };
    let mut wrong = Vec::new();
    if text.len() > SYSCTL_MAX {
        wrong.push(max_length(SYSCTL_MAX));
    }
    if !text.split(['.', '/']).all(word) {
        let word = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
        wrong.push(format!("must have at most {SYSCTL_MAX} characters and match regex ^({word}[\\./])*{word}$"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_judged_as_upstream_does() {
        assert!(env_var_name("my var").is_empty() && !env_var_name("a=b").is_empty());
        assert!(config_map_key("server.conf").is_empty());
        assert_eq!(config_map_key(".."), ["must not be '..'"]);
        assert!(percent("10%").is_empty() && !percent("%").is_empty() && !percent("a%").is_empty());
        assert!(sysctl("net.ipv4.ip_local_port_range").is_empty() && !sysctl("Net").is_empty());
        assert_eq!(in_range(0, 1, 65535), ["must be between 1 and 65535, inclusive"]);
        assert!(!c_identifier("1a").is_empty() && c_identifier("a1").is_empty());
    }
}
