//! `$(VAR)` in commands, arguments, values and sub-paths.
//!
//! Source: <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>.

/// Replaces `$(NAME)` by its value; `$$` is a dollar sign; what is not known stays as it is.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let name = after.strip_prefix('(').and_then(|inner| inner.find(')').map(|end| &inner[..end]));
        match name {
            _ if after.starts_with('$') => {
                out.push('$');
                rest = &after[1..];
            }
            Some(name) => {
                out.push_str(&lookup(name).unwrap_or_else(|| format!("$({name})")));
                rest = &after[name.len() + 2..];
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_escapes_and_unknown_names() {
        let lookup = |name: &str| (name == "A").then(|| "1".to_owned());
        let cases = [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$$(A)", "$(A)"),
            ("$(B)", "$(B)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("$$$(A)", "$1"),
        ];
        for (text, wanted) in cases {
            assert_eq!(expand(text, &lookup), wanted, "{text}");
        }
    }
}
