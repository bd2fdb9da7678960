//! An answer as an HTTP response: encoding, shape, headers.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT, VARY, WARNING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use machinery::request::{Answer, Content, List};
use machinery::status::Status;
use machinery::yaml;
use serde_json::Value;

use super::accept::{Encoding, JSON, Wanted, YAML};
use super::query::Query;
use super::{Body, ListBody};

/// Smaller answers are not worth compressing; upstream's limit.
const GZIP_BYTES_MIN: u64 = 128 * 1024;

/// How the client wants its answers encoded, from its headers and query.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub wanted: Wanted,
    pub pretty: bool,
    pub gzip: bool,
}

impl Style {
    pub fn of(wanted: Wanted, query: &Query, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or_default();
        let agent = text(USER_AGENT);
        let human = ["curl/", "Wget/", "Mozilla/"].iter().any(|a| agent.starts_with(a));
        let pretty = if query.get("pretty").is_some() { query.flag("pretty") } else { human };
        let gzip = text(ACCEPT_ENCODING).split(',').any(|e| e.trim().split(';').next() == Some("gzip"));
        Self { wanted, pretty, gzip }
    }
}

/// A tree as a response.
pub fn tree(code: u16, tree: &Value, style: Style) -> Response<Body> {
    let (body, media) = match style.wanted.encoding {
        Encoding::Yaml => (yaml::emit(tree).into_bytes(), YAML),
        Encoding::Json => {
            let mut text = if style.pretty { serde_json::to_vec_pretty(tree) } else { serde_json::to_vec(tree) };
            if let (Ok(text), false) = (&mut text, style.pretty) {
                text.push(b'\n');
            }
            (text.unwrap_or_default(), JSON)
        }
    };
    packed(code, body, media, style.gzip)
}

/// An answer whose objects go out as they are stored.
pub fn answer(answer: Answer, style: Style, typed: bool) -> Response<Body> {
    let code = answer.code;
    let plain = style.wanted.encoding == Encoding::Json && !style.pretty;
    let mut response = match answer.content {
        Content::Object(object) if plain => {
            let mut bytes = Vec::with_capacity(object.written(true) + 1);
            object.write(true, &mut bytes);
            bytes.push(b'\n');
            packed(code, bytes, JSON, style.gzip)
        }
        Content::Object(object) => tree(code, &object.tree(), style),
        Content::List(list) if plain => rope(code, list, style.gzip, typed),
        Content::List(list) => tree(code, &list_tree(list, typed), style),
        Content::Tree(value) => tree(code, &value, style),
        Content::Status(status) => tree(code, &status.to_tree(), style),
    };
    warn(&mut response, &answer.warnings);
    response
}

/// A failure as a response.
pub fn failure(status: &Status, style: Style) -> Response<Body> {
    let mut response = tree(status.code, &status.to_tree(), style);
    let retry = status.details.as_ref().and_then(|d| d.retry_after_seconds);
    if let Some(seconds) = retry {
        response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status.code == 401 {
        response.headers_mut().remove(WARNING);
    }
    response
}

/// A short text that is no object: health checks.
pub fn text(code: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = response(code, "text/plain; charset=utf-8", Body::from(text.into()));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// A whole list as one tree.
pub fn list_tree(list: List, typed: bool) -> Value {
    let mut body = ListBody::new(list, typed);
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next_chunk() {
        bytes.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn rope(code: u16, list: List, gzip: bool, typed: bool) -> Response<Body> {
    let mut body = ListBody::new(list, typed);
    let gzip = gzip && body.len() >= GZIP_BYTES_MIN;
    if gzip {
        body = body.gzip();
    }
    let mut response = response(code, JSON, Body::List(Box::new(body)));
    if gzip {
        mark_gzip(&mut response);
    }
    response
}

fn packed(code: u16, bytes: Vec<u8>, media: &'static str, gzip: bool) -> Response<Body> {
    if !gzip || (bytes.len() as u64) < GZIP_BYTES_MIN {
        return response(code, media, Body::from(bytes));
    }
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    match encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
        Ok(small) => {
            let mut response = response(code, media, Body::from(small));
            mark_gzip(&mut response);
            response
        }
        Err(_) => response(code, media, Body::from(bytes)),
    }
}

fn mark_gzip(response: &mut Response<Body>) {
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// A response with its media type; API answers are never cached.
pub fn response(code: u16, media: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// One `Warning: 299 - "…"` header per warning (RFC 7234), each once.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for (at, text) in warnings.iter().enumerate() {
        if warnings[..at].contains(text) {
            continue;
        }
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let quoted = plain.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}
