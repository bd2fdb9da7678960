//! An HTTP request as a [`machinery::request::Request`].

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use machinery::request::{Body, PatchKind, Request, Verb};
use machinery::status::Status;
use machinery::{schema, yaml};

use super::accept::{self, Sent};
use super::path::ResourcePath;
use super::protobuf;
use super::query::{self, Query};

/// The largest body that is read, as upstream's `--max-request-bytes`.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What is read of a body that nobody wants, so that its connection stays usable; a longer one closes it.
const UNWANTED_BYTES_MAX: usize = 256 * 1024;
const UNWANTED_TIME_MAX: Duration = Duration::from_secs(5);
/// What is read in all of a body over the limit, so that its sender comes to read the answer: a connection closed
/// while bytes arrive is reset, and the answer is lost with it.
const OVERLONG_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A request as it came, until somebody takes it. Where nobody does (it was refused, or needs no body), the body is
/// read away: else the connection would be closed under the client's next request.
pub struct Came(Option<http::Request<Incoming>>);

impl Came {
    pub fn new(request: http::Request<Incoming>) -> Self {
        Self(Some(request))
    }

    /// The request.
    ///
    /// # Errors
    /// Never: it is there until it is taken.
    pub fn take(mut self) -> Result<http::Request<Incoming>, Status> {
        self.0.take().ok_or_else(|| Status::internal("the request was taken before"))
    }
}

impl Drop for Came {
    fn drop(&mut self) {
        let Some(body) = self.0.take().map(http::Request::into_body).filter(|body| !body.is_end_stream()) else {
            return;
        };
        read_away(body, UNWANTED_BYTES_MAX);
    }
}

/// Reads a body that nobody wants, beside the answer, and keeps nothing of it.
fn read_away(body: Incoming, bytes_max: usize) {
    tokio::spawn(async move {
        let mut body = Limited::new(body, bytes_max);
        let reading = async { while let Some(Ok(_)) = body.frame().await {} };
        // Too long or too slow: dropping the body closes the connection.
        let _ = tokio::time::timeout(UNWANTED_TIME_MAX, reading).await;
    });
}

/// Reads the whole body.
///
/// # Errors
/// 413 over the limit, 400 when the connection breaks.
pub async fn read_body(mut body: Incoming) -> Result<Bytes, Status> {
    let too_large = |body| {
        read_away(body, OVERLONG_BYTES_MAX);
        Status::too_large(format!("Request entity too large: limit is {BODY_BYTES_MAX}"))
    };
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large(body));
    }
    match Limited::new(&mut body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(too_large(body)),
        Err(e) => Err(Status::bad_request(format!("unable to read the body of the request: {e}"))),
    }
}

/// The verb of an HTTP method on a resource.
///
/// # Errors
/// 405 for methods that the API does not have, 415 for a PATCH of unknown sort.
pub fn verb(path: &ResourcePath, method: &Method, query: &Query, headers: &HeaderMap) -> Result<Verb, Status> {
    let item = !path.name.is_empty();
    let misplaced = match *method {
        Method::POST => item && path.subresource.is_empty(),
        Method::PUT | Method::PATCH => !item,
        _ => false,
    };
    if misplaced {
        return Err(Status::method_not_allowed());
    }
    Ok(match path.verb(method, query.flag("watch")) {
        "create" => Verb::Create,
        "update" => Verb::Update,
        "patch" => Verb::Patch(accept::patch(headers)?),
        "deletecollection" => Verb::DeleteCollection,
        "delete" => Verb::Delete,
        "watch" => Verb::Watch,
        "list" => Verb::List,
        "get" => Verb::Get,
        _ => return Err(Status::method_not_allowed()),
    })
}

/// The request without its body.
///
/// # Errors
/// 400 or 422 for wrong options.
pub fn request(path: ResourcePath, verb: Verb, query: &Query, headers: &HeaderMap) -> Result<Request, Status> {
    let mut request = Request::new(verb, &path.group, &path.version, &path.resource);
    request.options = query::options(query, verb, headers)?;
    // `/watch/…/NAME` watches one object.
    if verb == Verb::Watch && !path.name.is_empty() {
        let one = format!("metadata.name={}", path.name);
        let more = std::mem::take(&mut request.options.field_selector);
        request.options.field_selector = if more.is_empty() { one } else { format!("{one},{more}") };
    } else {
        request.name = path.name;
    }
    (request.namespace, request.subresource) = (path.namespace, path.subresource);
    Ok(request)
}

/// Puts the body into the request.
///
/// # Errors
/// 400 for malformed JSON or YAML, 415 for other formats.
pub fn put_body(request: &mut Request, bytes: Bytes, headers: &HeaderMap) -> Result<(), Status> {
    match request.verb {
        Verb::Get | Verb::List | Verb::Watch | Verb::Connect => {}
        Verb::Delete | Verb::DeleteCollection if bytes.is_empty() => {}
        Verb::Delete | Verb::DeleteCollection => {
            let tree = match accept::sent(headers)? {
                Sent::Yaml => from_yaml(&bytes).map_err(Status::bad_request)?,
                Sent::Json => from_json(&bytes)?,
                Sent::Protobuf => protobuf::decode(&bytes)?,
            };
            query::delete_body(&tree, &mut request.options)?;
        }
        Verb::Patch(PatchKind::Apply) => {
            let refused = |why| Status::bad_request(format!("error decoding YAML: {why}"));
            request.body = Body::Tree(from_yaml(&bytes).map_err(refused)?);
        }
        Verb::Patch(_) => request.body = Body::Json(bytes),
        Verb::Create | Verb::Update => {
            request.body = match accept::sent(headers)? {
                Sent::Yaml => Body::Tree(from_yaml(&bytes).map_err(|why| unrecognized(request, &why, &bytes))?),
                Sent::Json => Body::Json(bytes),
                Sent::Protobuf => Body::Tree(protobuf::decode(&bytes)?),
            };
        }
    }
    Ok(())
}

fn from_yaml(bytes: &[u8]) -> Result<serde_json::Value, String> {
    let failed = |why: &dyn std::fmt::Display| format!("error converting YAML to JSON: {why}");
    let text = std::str::from_utf8(bytes).map_err(|_| failed(&"yaml: invalid leading UTF-8 octet"))?;
    yaml::parse(text).map_err(|e| failed(&e))
}

/// 400 that names what the body should have been.
fn unrecognized(request: &Request, why: &str, bytes: &[u8]) -> Status {
    let of_kind = api::by_plural(&request.group, &request.version, &request.resource);
    let kind = match request.subresource.as_str() {
        "scale" => "Scale",
        "binding" => "Binding",
        "eviction" => "Eviction",
        "token" => "TokenRequest",
        _ => of_kind.map_or("", |kind| kind.kind),
    };
    schema::unrecognized(kind, why, bytes)
}

fn from_json(bytes: &[u8]) -> Result<serde_json::Value, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::bad_request(schema::syntax_error(bytes).unwrap_or_else(|| error.to_string())))
}
