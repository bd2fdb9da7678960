//! Image references, pull policies and the credentials for a pull.
//!
//! Source: <https://kubernetes.io/docs/concepts/containers/images/>.

use k8s_openapi::api::core::v1::{Container, Secret};
use rpc::cri::AuthConfig;
use serde_json::Value;

/// When the image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Always,
    IfNotPresent,
    Never,
}

/// The policy of a container; one that says nothing gets `Always` for `latest`.
pub fn policy(container: &Container) -> Policy {
    match container.image_pull_policy.as_deref() {
        Some("Always") => Policy::Always,
        Some("Never") => Policy::Never,
        Some("IfNotPresent") => Policy::IfNotPresent,
        _ => match parse(container.image.as_deref().unwrap_or_default()) {
            Ok(r) if r.digest.is_none() && r.tag.as_deref().is_none_or(|t| t == "latest") => Policy::Always,
            _ => Policy::IfNotPresent,
        },
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `docker.io`, `localhost:5000`.
    pub registry: String,
    /// `library/nginx`.
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

/// Reads `[registry/]repository[:tag][@digest]` with Docker's defaults.
///
/// # Errors
/// The message of an `InvalidImageName`, without its beginning.
pub fn parse(text: &str) -> Result<Reference, String> {
    let bad = |why: &str| Err(format!("couldn't parse image name {text:?}: {why}"));
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (registry, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
        Some(_) => ("docker.io", name.to_owned()),
        None => ("docker.io", format!("library/{name}")),
    };
    if name.is_empty() || path.split('/').any(|part| !component(part)) {
        let upper = path.chars().any(|c| c.is_ascii_uppercase());
        return bad(if upper {
            "invalid reference format: repository name must be lowercase"
        } else {
            "invalid reference format"
        });
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let tag_ok =
        tag.is_none_or(|t| !t.is_empty() && t.len() <= 128 && t.chars().all(word) && !t.starts_with(['.', '-']));
    let digest_ok = digest.is_none_or(|d| d.split_once(':').is_some_and(|(a, h)| !a.is_empty() && h.len() >= 32));
    if !tag_ok || !digest_ok {
        return bad("invalid reference format");
    }
    Ok(Reference {
        registry: registry.to_owned(),
        repository: path,
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

/// Lower-case letters and digits, parted by `.`, `_`, `__` or dashes.
fn component(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    part.chars().all(inner) && edge(part.chars().next()) && edge(part.chars().last())
}

/// The image with the tag that Docker would add.
///
/// # Errors
/// As [`parse`].
pub fn with_tag(text: &str) -> Result<String, String> {
    let parsed = parse(text)?;
    Ok(if parsed.tag.is_none() && parsed.digest.is_none() { format!("{text}:latest") } else { text.to_owned() })
}

/// The credentials that these pull secrets hold for the image, the most specific first.
pub fn credentials<'a>(image: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> Vec<AuthConfig> {
    let Ok(reference) = parse(image) else { return Vec::new() };
    let mut found = Vec::new();
    for secret in secrets {
        for (server, entry) in entries(secret) {
            if let Some(length) = matches(&server, &reference) {
                found.push((length, auth(&server, &entry)));
            }
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, auth)| auth).collect()
}

fn entries(secret: &Secret) -> Vec<(String, Value)> {
    let data = |key: &str| secret.data.as_ref().and_then(|d| d.get(key)).map(|v| v.0.as_slice());
    let tree = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => {
            data(".dockerconfigjson").and_then(|b| serde_json::from_slice::<Value>(b).ok().map(|t| t["auths"].clone()))
        }
        Some("kubernetes.io/dockercfg") => data(".dockercfg").and_then(|b| serde_json::from_slice(b).ok()),
        _ => None,
    };
    match tree {
        Some(Value::Object(map)) => map.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// How specific a server is for the image, when it is for it at all.
fn matches(server: &str, image: &Reference) -> Option<usize> {
    let server = server.trim_start_matches("https://").trim_start_matches("http://");
    let server = server.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    let (host, path) = server.split_once('/').unwrap_or((server, ""));
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let same_host = host == image.registry || wildcard(host, &image.registry);
    let below = path.is_empty() || image.repository == path || image.repository.starts_with(&format!("{path}/"));
    (same_host && below).then_some(server.len())
}

/// `*.example.com`: each star stands for one label.
fn wildcard(pattern: &str, host: &str) -> bool {
    let (a, b): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), host.split('.').collect());
    pattern.contains('*') && a.len() == b.len() && a.iter().zip(&b).all(|(p, h)| *p == "*" || p == h)
}

fn auth(server: &str, entry: &Value) -> AuthConfig {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    AuthConfig {
        username: text("username"),
        password: text("password"),
        auth: text("auth"),
        server_address: server.to_owned(),
        identity_token: text("identitytoken"),
        registry_token: text("registrytoken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let r = parse("localhost:5000/a/b:1").unwrap();
        assert_eq!((&*r.registry, &*r.repository, r.tag.as_deref()), ("localhost:5000", "a/b", Some("1")));
        assert_eq!(parse("nginx").unwrap().repository, "library/nginx");
        assert_eq!(with_tag("busybox").unwrap(), "busybox:latest");
        assert!(parse("Nginx").unwrap_err().ends_with("repository name must be lowercase"));
        assert!(parse("a b").is_err() && parse("").is_err() && parse("a:").is_err());
    }

    #[test]
    fn the_default_policy_depends_on_the_tag() {
        let of = |image: &str| policy(&Container { image: Some(image.into()), ..Container::default() });
        assert_eq!([of("a"), of("a:latest"), of("a:1")], [Policy::Always, Policy::Always, Policy::IfNotPresent]);
    }

    #[test]
    fn credentials_of_the_closest_server() {
        let json =
            r#"{"auths": {"localhost:5000": {"username": "a"}, "localhost:5000/x": {"username": "b"}, "other": {}}}"#;
        let secret: Secret =
            serde_json::from_value(serde_json::json!({"metadata": {}, "type": "kubernetes.io/dockerconfigjson"}))
                .unwrap();
        let data = [(".dockerconfigjson".to_owned(), k8s_openapi::ByteString(json.into()))].into();
        let secret = Secret { data: Some(data), ..secret };
        let users: Vec<_> = credentials("localhost:5000/x/y:1", [&secret]).into_iter().map(|a| a.username).collect();
        assert_eq!(users, ["b", "a"]);
    }
}
