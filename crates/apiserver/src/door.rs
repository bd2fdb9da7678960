//! One HTTP request from its first line to its answer: who, may he, what, and how it is sent back.
//!
//! ```text
//!   authenticate ─▶ impersonate ─┬─ resource path ─▶ authorize ─▶ body ─▶ front / stream ─▶ response
//!                                └─ other path ───▶ authorize ─▶ discovery, health, OpenAPI, version
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use machinery::identity::User;
use machinery::status::Status;

use crate::authn::impersonate;
use crate::front::Front;
use crate::line::Line;
use crate::listen::Connection;
use crate::metrics::{Labels, Metrics};
use crate::openapi::OpenApi;
use crate::streams::Streams;
use crate::wire::Body;
use crate::wire::accept::{self, Encoding, Shape, Wanted};
use crate::wire::answer::{self, Style};
use crate::wire::intake::Came;
use crate::wire::path::ResourcePath;
use crate::wire::query::Query;
use crate::{paths, resources, uuid};

/// What a request may take when it is not a stream; `?timeout=` shortens it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const AUDIT_ID_CHARS_MAX: usize = 256;
/// Browsers cannot set headers on WebSockets: the token comes as a subprotocol.
pub const PROTOCOL_TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// Everything that handlers need.
pub struct Door {
    pub front: Arc<Front>,
    pub metrics: Metrics,
    pub openapi: OpenApi,
    pub streams: Streams,
    /// `host:port` in `/api`.
    pub address: String,
    pub line: Line,
}

/// One request with what is known about it, without its body.
pub struct Call {
    pub method: http::Method,
    pub path: String,
    pub query: Query,
    pub headers: http::HeaderMap,
    pub connection: Connection,
    pub style: Style,
    pub warnings: Vec<String>,
}

impl Door {
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>, connection: Connection) -> Response<Body> {
        let started = Instant::now();
        self.metrics.begin();
        let audit = audit_id(request.headers());
        let mut labels = Labels::default();
        let mut response = self.routed(request, connection, &mut labels).await;
        labels.code = response.status().as_u16();
        self.metrics.end(labels, u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        response.headers_mut().insert(AUDIT_ID, audit);
        response
    }

    async fn routed(
        self: &Arc<Self>,
        request: Request<Incoming>,
        connection: Connection,
        labels: &mut Labels,
    ) -> Response<Body> {
        let mut call = call(&request, connection);
        let request = Came::new(request);
        labels.verb = call.method.as_str().to_owned();
        let user = match self.identify(&mut call).await {
            Ok(user) => user,
            Err(status) => return answer::failure(&status, call.style),
        };
        let timeout = match timeout(&call.query) {
            Ok(timeout) => timeout,
            Err(status) => return answer::failure(&status, call.style),
        };
        let style = call.style;
        let warnings = std::mem::take(&mut call.warnings);
        let work = async {
            match ResourcePath::parse(&call.path) {
                Some(path) => {
                    let _place = self.line.place().await?;
                    resources::answer(self, call, path, user, request, labels).await
                }
                None => paths::answer(self, call, user).await,
            }
        };
        // Streams begin within the time too; what they send afterwards is not bounded by it.
        let mut response = match tokio::time::timeout(timeout, work).await {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => answer::failure(&status, style),
            Err(_) => {
                let status = Status::timeout("request did not complete within the allotted timeout");
                answer::failure(&status, style)
            }
        };
        answer::warn(&mut response, &warnings);
        response
    }

    async fn identify(&self, call: &mut Call) -> Result<User, Status> {
        let from_protocol = protocol_token(&call.headers);
        let header = from_protocol.as_deref().or_else(|| call.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes));
        let found = self
            .front
            .authenticator
            .identify(&call.connection.peer, header, self.front.registry().world().now())
            .await?;
        call.warnings.extend(found.warnings);
        impersonate::apply(&call.headers, found.user, &self.front.authorizer).await
    }
}

fn call(request: &Request<Incoming>, connection: Connection) -> Call {
    let query = Query::parse(request.uri().query());
    let plain = Wanted { encoding: Encoding::Json, shape: Shape::Whole };
    // Errors are sent as the client can read them; what it accepts for objects is judged where objects are sent.
    let wanted = accept::wanted(request.headers()).map_or(plain, |w| Wanted { shape: Shape::Whole, ..w });
    let style = Style::of(wanted, &query, request.headers());
    Call {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query,
        headers: request.headers().clone(),
        connection,
        style,
        warnings: Vec::new(),
    }
}

fn timeout(query: &Query) -> Result<Duration, Status> {
    let Some(text) = query.get("timeout").filter(|t| !t.is_empty()) else { return Ok(REQUEST_TIMEOUT) };
    let bad = |why: String| Status::bad_request(format!("invalid timeout specified in the request URL - {why}"));
    let nanos = machinery::duration::parse(text).map_err(bad)?;
    match u64::try_from(nanos) {
        Ok(0) | Err(_) => Ok(REQUEST_TIMEOUT),
        Ok(nanos) => Ok(Duration::from_nanos(nanos).min(REQUEST_TIMEOUT)),
    }
}

/// The client's own id when it sends one, a fresh one otherwise.
fn audit_id(headers: &http::HeaderMap) -> HeaderValue {
    match headers.get(AUDIT_ID) {
        Some(id) if !id.is_empty() && id.len() <= AUDIT_ID_CHARS_MAX => id.clone(),
        _ => HeaderValue::from_str(&uuid::random()).unwrap_or(HeaderValue::from_static("")),
    }
}

fn protocol_token(headers: &http::HeaderMap) -> Option<Vec<u8>> {
    use base64::Engine;
    let protocols = headers.get("sec-websocket-protocol")?.to_str().ok()?;
    let encoded = protocols.split(',').find_map(|p| p.trim().strip_prefix(PROTOCOL_TOKEN))?;
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).ok()?;
    Some([b"Bearer ", token.as_slice()].concat())
}
