//! HTTP answers as [`Content`] and [`Status`].

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube_client::client::Body;
use machinery::object::Object;
use machinery::request::{Content, List};
use machinery::status::Status;
use serde_json::Value;

/// An error body longer than this is cut; a `Status` is far shorter.
const ERROR_BODY_BYTES_MAX: usize = 1 << 20;

/// Seconds to wait, when the server asks for it with an answer that is worth repeating.
pub fn retry_after<B>(response: &Response<B>) -> Option<u64> {
    let status = response.status();
    let again = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    again.then_some(seconds)
}

/// The texts of `Warning: 299 - "…"` headers.
pub fn warnings(headers: &HeaderMap) -> Vec<String> {
    headers.get_all(header::WARNING).iter().filter_map(|value| warning(value.to_str().ok()?)).collect()
}

/// The quoted text after code and agent, with its backslashes resolved (RFC 7234, 5.5).
fn warning(value: &str) -> Option<String> {
    let quoted = value.splitn(3, ' ').nth(2)?.trim();
    let inner = quoted.strip_prefix('"')?;
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(text),
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    None
}

/// The error that a response with a code of 400 or more is.
pub async fn failure(response: Response<Body>) -> Status {
    let (parts, body) = response.into_parts();
    let bytes = Limited::new(body, ERROR_BODY_BYTES_MAX).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let code = parts.status.as_u16();
    match serde_json::from_slice::<Status>(&bytes) {
        Ok(mut status) if status.status == "Failure" => {
            status.code = code;
            status
        }
        _ => generic(code, String::from_utf8_lossy(&bytes).trim()),
    }
}

/// An error of something that is not a Kubernetes API server (a proxy in between).
fn generic(code: u16, text: &str) -> Status {
    let (reason, message) = match code {
        401 => ("Unauthorized", "the server has asked for the client to provide credentials"),
        403 => ("Forbidden", text),
        404 => ("NotFound", "the server could not find the requested resource"),
        405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
        409 => ("Conflict", "the server reported a conflict"),
        410 => ("Expired", text),
        413 => ("RequestEntityTooLarge", text),
        429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        500.. => ("InternalError", text),
        _ => ("Unknown", text),
    };
    let message = if message.is_empty() { "the server rejected our request for an unknown reason" } else { message };
    Status::failure(code, reason, message)
}

/// What a body holds. `is_object` says that the address is one of stored objects.
///
/// # Errors
/// The body is not JSON.
pub fn content(body: &[u8], is_object: bool) -> Result<Content, Status> {
    let tree: Value =
        serde_json::from_slice(body).map_err(|e| Status::internal(format!("an answer was no JSON: {e}")))?;
    let kind = tree["kind"].as_str().unwrap_or_default();
    match kind {
        "Status" => serde_json::from_value(tree).map(Content::Status).map_err(Status::internal),
        _ if kind.ends_with("List") && tree["metadata"]["uid"].is_null() => Ok(Content::List(list(tree))),
        _ if is_object && tree["metadata"]["uid"].is_string() => Ok(Content::Object(Object::from_tree(&tree))),
        _ => Ok(Content::Tree(Arc::new(tree))),
    }
}

fn list(mut tree: Value) -> List {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, api_version) = (text(&tree["kind"]), text(&tree["apiVersion"]));
    let items = match tree["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let item_kind = kind.strip_suffix("List").unwrap_or(&kind);
    let meta = &tree["metadata"];
    List {
        revision: meta["resourceVersion"].as_str().and_then(|s| s.parse().ok()).unwrap_or(0),
        continue_token: text(&meta["continue"]),
        remaining: meta["remainingItemCount"].as_u64(),
        items: items.into_iter().map(|item| listed(item, item_kind, &api_version)).collect(),
        kind,
        api_version,
    }
}

/// Items of upstream's lists do not name their kind; an [`Object`] must.
fn listed(mut item: Value, kind: &str, api_version: &str) -> Arc<Object> {
    if let Some(map) = item.as_object_mut() {
        map.entry("kind").or_insert_with(|| kind.into());
        map.entry("apiVersion").or_insert_with(|| api_version.into());
    }
    Object::from_tree(&item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_unquoted() {
        assert_eq!(warning(r#"299 - "unknown field \"spec.x\"""#).unwrap(), r#"unknown field "spec.x""#);
        assert_eq!(warning("nothing"), None);
    }

    #[test]
    fn listed_items_get_the_kind_of_their_list() {
        let body = br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},
            "items":[{"metadata":{"name":"a","resourceVersion":"5"}}]}"#;
        let Content::List(list) = content(body, true).unwrap() else { panic!("no list") };
        assert_eq!((list.revision, list.items[0].revision()), (7, 5));
        assert_eq!(list.items[0].tree()["kind"], "Pod");
    }
}
