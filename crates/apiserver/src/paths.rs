//! Everything that is no resource: discovery, health, version, OpenAPI, keys, metrics, the index.

use std::sync::Arc;

use http::header::{ALLOW, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Method, Response};
use machinery::identity::User;
use machinery::status::Status;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::authz::Attributes;
use crate::door::{Call, Door};
use crate::wire::accept;
use crate::wire::{Body, answer};
use crate::{discovery, health, version};

/// Prometheus' text form.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Authorizes and answers.
///
/// # Errors
/// 403, 405.
pub async fn answer(door: &Arc<Door>, call: Call, user: User) -> Result<Response<Body>, Status> {
    let asked = Attributes::path(call.method.as_str(), &call.path);
    door.front.authorizer.check(&user, &asked).await?;
    let path = call.path.trim_end_matches('/');
    if let Some(found) = health::answer(&door.front, path, &call.query, &call.connection.stop).await {
        return Ok(found);
    }
    if !matches!(call.method, Method::GET | Method::HEAD) {
        let mut refused = answer::failure(&Status::method_not_allowed(), call.style);
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    if let Some(found) = door.openapi.answer(path, &call) {
        return Ok(found);
    }
    let tree = |tree: &Value| answer::tree(200, tree, call.style);
    let issuer = door.front.authenticator.issuer();
    Ok(match path {
        "" => tree(&json!({"paths": index()})),
        "/version" => tree(&version::info()),
        "/metrics" => answer::response(200, METRICS, Body::from(door.metrics.text())),
        "/metrics/slis" => {
            let gauges = health::gauges(&door.front, &call.connection.stop).await;
            answer::response(200, METRICS, Body::from(gauges))
        }
        "/api" | "/apis" => discovered(door, &call, path == "/api"),
        "/.well-known/openid-configuration" => {
            tree(&issuer.discovery(&format!("https://{}/openid/v1/jwks", door.address)))
        }
        "/openid/v1/jwks" => {
            let mut bytes = issuer.jwks().to_string();
            bytes.push('\n');
            answer::response(200, "application/jwk-set+json", Body::from(bytes))
        }
        other => match listed(other) {
            Some(found) => tree(&found),
            None => not_found(),
        },
    })
}

/// `/api/v1`, `/apis/GROUP`, `/apis/GROUP/VERSION`.
fn listed(path: &str) -> Option<Value> {
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", version] => discovery::resources("", version),
        ["apis", group] => discovery::group(group),
        ["apis", group, version] => discovery::resources(group, version),
        _ => None,
    }
}

/// `/api` and `/apis`, aggregated for who asks for that, with an ETag.
fn discovered(door: &Door, call: &Call, core: bool) -> Response<Body> {
    let form = accept::clauses(&call.headers).iter().find_map(|clause| {
        let aggregated = discovery::Form::asked(clause).map(Some);
        aggregated.or_else(|| (clause.parameter("as").is_none()).then_some(None))
    });
    let mut response = match form.flatten() {
        Some(form) => {
            let mut bytes = discovery::aggregated(core, form).to_string();
            let tag = format!("\"{}\"", hex(&Sha256::digest(bytes.as_bytes())));
            let known = call.headers.get(IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
            bytes.push('\n');
            let body = if known { Body::empty() } else { Body::from(bytes) };
            let mut response = answer::response(if known { 304 } else { 200 }, form.media_type(), body);
            if let Ok(tag) = HeaderValue::from_str(&tag) {
                response.headers_mut().insert(ETAG, tag);
            }
            response
        }
        None if core => answer::tree(200, &discovery::versions(&door.address), call.style),
        None => answer::tree(200, &discovery::groups(), call.style),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

/// The paths that `/` names.
fn index() -> Vec<String> {
    let fixed = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/",
        "/healthz",
        "/livez",
        "/metrics",
        "/metrics/slis",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ];
    let mut paths: Vec<String> = fixed.iter().map(|p| (*p).to_owned()).collect();
    for group in discovery::catalog().iter().filter(|g| !g.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(group.versions.iter().map(|v| format!("/apis/{}/{}", group.name, v.name)));
    }
    paths.sort();
    paths
}

/// A path that nobody serves, as Go's HTTP server words it.
pub fn not_found() -> Response<Body> {
    answer::text(404, "404 page not found\n")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}
