//! Paths of the API conventions.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>.

use http::Method;

/// `/api/v1/…` and `/apis/GROUP/VERSION/…` taken apart; anything else is no resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourcePath {
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub name: String,
    pub subresource: String,
    /// What follows the subresource of a proxy, with its leading slash.
    pub rest: String,
    /// The deprecated `/watch/` prefix.
    pub watch: bool,
}

/// Subresources of namespaces, which look like resources in a namespace.
const OF_NAMESPACES: &[&str] = &["status", "finalize"];

impl ResourcePath {
    /// `None` when the path names no resource.
    pub fn parse(path: &str) -> Option<Self> {
        // Decoded before it is split, as Go does: an escaped slash separates like any other.
        let decoded = percent_decoded(path);
        let path = decoded.as_str();
        let mut parts = path.trim_matches('/').split('/').peekable();
        let mut found = Self::default();
        match parts.next()? {
            "api" => {}
            "apis" => found.group = parts.next()?.to_owned(),
            _ => return None,
        }
        found.version = parts.next()?.to_owned();
        parts.peek()?;
        found.watch = parts.next_if_eq(&"watch").is_some();
        let mut parts: Vec<&str> = parts.collect();
        if let ["namespaces", namespace, third, ..] = parts.as_slice()
            && !OF_NAMESPACES.contains(third)
        {
            found.namespace = (*namespace).to_owned();
            parts.drain(..2);
        }
        let mut parts = parts.into_iter();
        found.resource = parts.next()?.to_owned();
        found.name = parts.next().unwrap_or_default().to_owned();
        found.subresource = parts.next().unwrap_or_default().to_owned();
        let rest: Vec<&str> = parts.collect();
        if !rest.is_empty() || (!found.subresource.is_empty() && path.ends_with('/')) {
            found.rest = format!("/{}", rest.join("/"));
            if path.ends_with('/') && !rest.is_empty() {
                found.rest.push('/');
            }
        }
        Some(found)
    }

    /// The verb of the method on this path, as authorization names it.
    pub fn verb(&self, method: &Method, watch: bool) -> &'static str {
        let collection = self.name.is_empty();
        match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if collection => "deletecollection",
            Method::DELETE => "delete",
            Method::GET | Method::HEAD if self.watch || (collection && watch) => "watch",
            Method::GET | Method::HEAD if collection => "list",
            Method::GET | Method::HEAD => "get",
            _ => "",
        }
    }
}

/// A segment or query value with `%XX` resolved; broken escapes stay as they are.
pub fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        match pair.filter(|_| bytes[at] == b'%').and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str) -> Option<String> {
        let p = ResourcePath::parse(path)?;
        let [g, v, ns, r, n, s, rest] = [p.group, p.version, p.namespace, p.resource, p.name, p.subresource, p.rest];
        Some(format!("{g}|{v}|{ns}|{r}|{n}|{s}|{rest}{}", if p.watch { "|watch" } else { "" }))
    }

    #[test]
    fn paths_are_taken_apart() {
        let cases = [
            ("/api/v1/pods", "|v1||pods|||"),
            ("/api/v1/namespaces", "|v1||namespaces|||"),
            ("/api/v1/namespaces/a", "|v1||namespaces|a||"),
            ("/api/v1/namespaces/a/finalize", "|v1||namespaces|a|finalize|"),
            ("/api/v1/namespaces/a/pods/x/log", "|v1|a|pods|x|log|"),
            ("/apis/apps/v1/namespaces/a/deployments/", "apps|v1|a|deployments|||"),
            ("/api/v1/namespaces/a/services/x:80/proxy/y/z/", "|v1|a|services|x:80|proxy|/y/z/"),
            ("/api/v1/namespaces/a/services/x/proxy/", "|v1|a|services|x|proxy|/"),
            ("/api/v1/watch/namespaces/a/pods", "|v1|a|pods||||watch"),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "rbac.authorization.k8s.io|v1||clusterroles|system:node||",
            ),
        ];
        for (path, want) in cases {
            assert_eq!(shown(path).as_deref(), Some(want), "{path}");
        }
        for path in ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/healthz", "/version"] {
            assert_eq!(shown(path), None, "{path}");
        }
    }
}
