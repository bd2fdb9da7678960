//! Paths as text, by Go's rules: upstream's messages and tar names show them cleaned so.

/// Without `.`, `x/..`, doubled and trailing slashes; nothing is `.`.
pub fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            other => parts.push(other),
        }
    }
    match (is_absolute, parts.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".into(),
        (false, rest) => rest,
    }
}

/// Both parts, cleaned; empty ones are left out.
pub fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(name),
        (false, true) => clean(folder),
        (false, false) => clean(&format!("{folder}/{name}")),
    }
}

/// All but the last part, cleaned.
pub fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

/// The last part.
pub fn base(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match (path.is_empty(), trimmed.rsplit('/').next().unwrap_or_default()) {
        (true, _) => ".".into(),
        (false, "") => "/".into(),
        (false, last) => last.into(),
    }
}

/// Without one slash at the end.
pub fn unslashed(path: &str) -> &str {
    if path == "/" { path } else { path.strip_suffix('/').unwrap_or(path) }
}

/// Without steps upwards at the beginning.
pub fn without_shortcuts(path: &str) -> &str {
    let mut rest = path;
    while let Some(shorter) = rest.strip_prefix("../") {
        rest = shorter;
    }
    match rest {
        "." | ".." => "",
        rest => rest.strip_prefix('/').unwrap_or(rest),
    }
}

/// Whether a path is a folder or below it.
pub fn is_inside(folder: &str, path: &str) -> bool {
    let (folder, path) = (clean(folder), clean(path));
    if folder == "." {
        return !path.starts_with('/') && path != ".." && !path.starts_with("../");
    }
    let below = folder.trim_end_matches('/');
    match path.strip_prefix(below) {
        Some(rest) => (rest.is_empty() || rest.starts_with('/')) && rest != "/.." && !rest.starts_with("/../"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, wanted) in
            [("", "."), ("a//b/./c/..", "a/b"), ("/../x", "/x"), ("../../x", "../../x"), ("a/../..", ".."), ("/", "/")]
        {
            assert_eq!(clean(path), wanted, "{path}");
        }
        assert_eq!((dir("/tmp/x").as_str(), base("/tmp/x").as_str()), ("/tmp", "x"));
        assert_eq!((dir("x").as_str(), base("").as_str(), base("/").as_str()), (".", ".", "/"));
        assert_eq!(join("a", "../../b"), "../b");
    }

    #[test]
    fn what_climbs_out_is_outside() {
        assert!(is_inside("a", "a/b") && is_inside(".", "x/y") && is_inside("/", "/x") && is_inside("..", "../x"));
        assert!(
            !is_inside("a", "b") && !is_inside("a", "ab") && !is_inside(".", "../x") && !is_inside("/a", "/a/../b")
        );
        assert!(!is_inside("..", "../../x"));
        assert_eq!(without_shortcuts("../../etc/x"), "etc/x");
        assert_eq!(without_shortcuts(".."), "");
    }
}
