//! A [`Request`] as HTTP: method, path, query, content type, body.

use bytes::Bytes;
use http::{Method, Request as HttpRequest, header};
use machinery::request::{Body, FieldValidation, Options, PatchKind, Propagation, Request, RevisionMatch, Verb};
use machinery::status::Status;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const AGENT: &str = concat!("kybern/", env!("CARGO_PKG_VERSION"));

/// The HTTP form of a request.
///
/// # Errors
/// A name or option that makes no valid URI.
pub fn http(request: &Request) -> Result<HttpRequest<Bytes>, Status> {
    let (method, content_type) = match request.verb {
        Verb::Get | Verb::List | Verb::Watch => (Method::GET, ""),
        Verb::Create | Verb::Connect => (Method::POST, JSON),
        Verb::Update => (Method::PUT, JSON),
        Verb::Patch(kind) => (Method::PATCH, patch_type(kind)),
        Verb::Delete | Verb::DeleteCollection => (Method::DELETE, JSON),
    };
    let mut path = escape_path(&request.path());
    let query = query(request);
    if !query.is_empty() {
        path.push('?');
        path.push_str(&query);
    }
    let mut built = HttpRequest::builder().method(method).uri(path);
    built = built.header(header::ACCEPT, JSON).header(header::USER_AGENT, AGENT);
    if !content_type.is_empty() {
        built = built.header(header::CONTENT_TYPE, content_type);
    }
    built.body(body(request)?).map_err(|e| Status::bad_request(e.to_string()))
}

/// A request by path.
///
/// # Errors
/// A path that is no valid URI.
pub fn plain(method: Method, path: &str, accept: &str, body: Option<Bytes>) -> Result<HttpRequest<Bytes>, Status> {
    let mut built = HttpRequest::builder().method(method).uri(path);
    built = built.header(header::ACCEPT, accept).header(header::USER_AGENT, AGENT);
    if body.is_some() {
        built = built.header(header::CONTENT_TYPE, JSON);
    }
    built.body(body.unwrap_or_default()).map_err(|e| Status::bad_request(e.to_string()))
}

fn patch_type(kind: PatchKind) -> &'static str {
    match kind {
        PatchKind::Json => "application/json-patch+json",
        PatchKind::Merge => "application/merge-patch+json",
        PatchKind::Strategic => "application/strategic-merge-patch+json",
        PatchKind::Apply => "application/apply-patch+yaml",
    }
}

fn body(request: &Request) -> Result<Bytes, Status> {
    match (&request.verb, &request.body) {
        (Verb::Delete | Verb::DeleteCollection, Body::None) => encode(&delete_options(&request.options)),
        (_, Body::None) => Ok(Bytes::new()),
        (_, Body::Json(bytes)) => Ok(bytes.clone()),
        (_, Body::Tree(tree)) => encode(tree),
    }
}

fn encode(tree: &Value) -> Result<Bytes, Status> {
    serde_json::to_vec(tree).map(Bytes::from).map_err(Status::internal)
}

/// `meta/v1.DeleteOptions`.
fn delete_options(options: &Options) -> Value {
    let mut tree = json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
    if let Some(seconds) = options.grace_period_seconds {
        tree["gracePeriodSeconds"] = seconds.into();
    }
    if let Some(propagation) = options.propagation {
        let policy = match propagation {
            Propagation::Orphan => "Orphan",
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
        };
        tree["propagationPolicy"] = policy.into();
    }
    if let Some(uid) = &options.precondition_uid {
        tree["preconditions"]["uid"] = uid.as_str().into();
    }
    if let Some(revision) = &options.precondition_revision {
        tree["preconditions"]["resourceVersion"] = revision.as_str().into();
    }
    if options.dry_run {
        tree["dryRun"] = json!(["All"]);
    }
    if options.ignore_store_read_error {
        tree["ignoreStoreReadErrorWithClusterBreakingPotential"] = true.into();
    }
    tree
}

fn query(request: &Request) -> String {
    let options = &request.options;
    let mut query = Query::default();
    let reads = matches!(request.verb, Verb::Get | Verb::List | Verb::Watch | Verb::DeleteCollection);
    if reads {
        query.text("labelSelector", &options.label_selector);
        query.text("fieldSelector", &options.field_selector);
        query.number("limit", options.limit);
        query.text("continue", &options.continue_token);
        query.text("resourceVersion", &options.resource_version);
        query.text("resourceVersionMatch", revision_match(options));
        query.number("timeoutSeconds", options.timeout_seconds);
        query.flag("allowWatchBookmarks", options.allow_watch_bookmarks);
        query.text("sendInitialEvents", options.send_initial_events.map_or("", |on| if on { "true" } else { "false" }));
    }
    query.flag("watch", request.verb == Verb::Watch);
    if matches!(request.verb, Verb::Create | Verb::Update | Verb::Patch(_)) {
        query.text("dryRun", if options.dry_run { "All" } else { "" });
        query.text("fieldManager", &options.field_manager);
        query.text("fieldValidation", field_validation(options));
        query.flag("force", options.force);
    }
    query.0
}

fn revision_match(options: &Options) -> &'static str {
    match options.resource_version_match {
        None => "",
        Some(RevisionMatch::Exact) => "Exact",
        Some(RevisionMatch::NotOlderThan) => "NotOlderThan",
    }
}

/// `Warn` is the server's default and not sent.
fn field_validation(options: &Options) -> &'static str {
    match options.field_validation {
        FieldValidation::Ignore => "Ignore",
        FieldValidation::Warn => "",
        FieldValidation::Strict => "Strict",
    }
}

#[derive(Default)]
struct Query(String);

impl Query {
    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            let separator = if self.0.is_empty() { "" } else { "&" };
            self.0.push_str(&format!("{separator}{name}={}", escape(value, "")));
        }
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.text(name, &value.to_string());
        }
    }

    fn flag(&mut self, name: &str, on: bool) {
        self.text(name, if on { "true" } else { "" });
    }
}

/// Percent-encodes a path, keeping its slashes and what RFC 3986 allows in a segment.
pub fn escape_path(path: &str) -> String {
    escape(path, "/:@!$&'()*+,;=")
}

/// Percent-encodes all but unreserved characters and those of `keep`.
pub fn escape(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.as_bytes().contains(&byte);
        if plain { out.push(byte as char) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_carries_its_options_in_the_query() {
        let mut request = Request::new(Verb::List, "apps", "v1", "deployments").namespace("default");
        request.options.label_selector = "app in (a,b)".into();
        request.options.limit = Some(5);
        let http = http(&request).unwrap();
        let expected = "/apis/apps/v1/namespaces/default/deployments?labelSelector=app%20in%20%28a%2Cb%29&limit=5";
        assert_eq!(http.uri().to_string(), expected);
    }

    #[test]
    fn a_delete_carries_its_options_in_the_body() {
        let mut request = Request::new(Verb::Delete, "", "v1", "pods").namespace("default").name("x");
        request.options.grace_period_seconds = Some(0);
        request.options.precondition_uid = Some("u".into());
        let tree: Value = serde_json::from_slice(http(&request).unwrap().body()).unwrap();
        assert_eq!(tree["gracePeriodSeconds"], 0);
        assert_eq!(tree["preconditions"]["uid"], "u");
    }

    #[test]
    fn names_with_colons_stay_readable() {
        let mut request = Request::new(Verb::Get, "rbac.authorization.k8s.io", "v1", "clusterroles");
        request.name = "system:node x".into();
        assert!(http(&request).unwrap().uri().to_string().ends_with("/clusterroles/system:node%20x"));
    }
}
