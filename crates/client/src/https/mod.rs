//! The API over HTTPS: client certificates, bearer tokens and credential plugins as a kubeconfig names them.
//!
//! kube-client makes the connections and the credentials; requests, answers, watches and errors are ours, so
//! that nothing above sees that crate.

mod answer;
mod connection;
pub mod download;
mod pipe;
mod request;
pub mod socket;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use kube_client::client::Body;
use machinery::request::{Answer, Request, Verb};
use machinery::status::Status;
use tower::BoxError;

use crate::kubeconfig::Access;
use crate::{Client, Events, Transport};

pub use pipe::Dial;

/// How often a server that says "later" (429, or 5xx with `Retry-After`) is asked again, as client-go does.
const RETRIES_MAX: usize = 10;

/// Percent-encodes a value for a query.
pub fn escape(value: &str) -> String {
    request::escape(value, "")
}

/// An answer as it came in, for who watches a connection (`kubectl -v`, warnings).
pub struct Exchange<'a> {
    pub method: &'a Method,
    /// The whole address.
    pub url: String,
    pub status: StatusCode,
    pub milliseconds: i64,
    /// The texts of `Warning` headers.
    pub warnings: Vec<String>,
}

pub type Observer = Arc<dyn Fn(&Exchange<'_>) + Send + Sync>;

/// A body that is not read yet, for callers that pass it on.
pub type Stream = UnsyncBoxBody<Bytes, BoxError>;

/// An API server over HTTPS as one identity. Cheap to clone.
#[derive(Clone)]
pub struct Https {
    inner: kube_client::Client,
    /// `https://host:port` without a slash at its end.
    server: Arc<str>,
    observer: Option<Observer>,
    patience: Option<Duration>,
}

/// A whole answer as it came, for callers with an `Accept` of their own (tables, OpenAPI, logs).
#[derive(Clone, Debug)]
pub struct Raw {
    pub code: u16,
    pub headers: HeaderMap,
    pub warnings: Vec<String>,
    pub body: Bytes,
}

impl Https {
    /// Makes the connection's credentials ready; nothing is sent yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// Certificates or keys that cannot be read, a credential plugin that cannot be started.
    pub fn new(access: Access) -> Result<Self, Status> {
        let inner = connection::open(&access.config)?;
        let server = Arc::from(access.server().trim_end_matches('/'));
        Ok(Self { inner, server, observer: None, patience: None })
    }

    /// The same connection, every answer of which is told.
    pub fn observed(self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// The same connection, whose requests are given up when they take longer, bodies included.
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// [`Https::new`] over pipes of this process instead of sockets: a simulated cluster's server.
    ///
    /// # Errors
    /// As [`Https::new`].
    pub fn through(access: Access, dial: Dial) -> Result<Self, Status> {
        let inner = connection::over(&access.config, pipe::Connector(dial))?;
        let server = Arc::from(access.server().trim_end_matches('/'));
        Ok(Self { inner, server, observer: None, patience: None })
    }

    /// This connection as a [`Client`].
    pub fn client(&self) -> Client {
        Client::new(Arc::new(self.clone()))
    }

    /// Sends a request and answers when the headers are there; the body streams. Errors are decoded.
    ///
    /// # Errors
    /// The server's `Status`; 503 when it cannot be reached.
    pub async fn send(&self, request: HttpRequest<Bytes>) -> Result<Response<Body>, Status> {
        let mut left = RETRIES_MAX;
        loop {
            let response = self.send_once(request.clone()).await?;
            match answer::retry_after(&response).filter(|_| left > 0) {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None if response.status().as_u16() < 400 => return Ok(response),
                None => return Err(answer::failure(response).await),
            }
            left -= 1;
        }
    }

    async fn send_once(&self, request: HttpRequest<Bytes>) -> Result<Response<Body>, Status> {
        self.exchange(request.map(Body::from)).await
    }

    async fn exchange(&self, request: HttpRequest<Body>) -> Result<Response<Body>, Status> {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let clock = crate::World::real().now;
        let begun = clock();
        let sent = self.in_time(self.inner.send(request)).await?;
        let response = sent.map_err(|error| self.unreached(&error))?;
        if let Some(observer) = &self.observer {
            observer(&Exchange {
                method: &method,
                url: format!("{}{path}", self.server),
                status: response.status(),
                milliseconds: clock().duration_since(begun).as_millis().try_into().unwrap_or(i64::MAX),
                warnings: answer::warnings(response.headers()),
            });
        }
        Ok(response)
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Status> {
        const LATE: &str = "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)";
        match self.patience {
            None => Ok(work.await),
            Some(patience) => tokio::time::timeout(patience, work).await.map_err(|_| Status::timeout(LATE)),
        }
    }

    /// No answer at all, in the words that people know.
    fn unreached(&self, error: &kube_client::Error) -> Status {
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(inner) = cause {
            let refused = inner.downcast_ref::<std::io::Error>();
            if refused.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
                let host = self.server.split("://").last().unwrap_or_default();
                return Status::unavailable(format!(
                    "The connection to the server {host} was refused - did you specify the right host or port?"
                ));
            }
            cause = inner.source();
        }
        Status::unavailable(format!("Unable to connect to the server: {}", chain(error)))
    }

    /// Passes a request on as it is, and its answer back, whatever it says: for proxies. The answer to an upgrade
    /// can be upgraded.
    ///
    /// # Errors
    /// 503 when the server cannot be reached.
    pub async fn forward(&self, request: HttpRequest<Bytes>) -> Result<Response<Stream>, Status> {
        let response = self.exchange(request.map(Body::from)).await?;
        Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }

    /// A request with any path (with query) and headers; the whole answer.
    ///
    /// # Errors
    /// As [`Https::send`].
    pub async fn raw(&self, method: Method, path: &str, accept: &str, body: Option<Bytes>) -> Result<Raw, Status> {
        let response = self.send(request::plain(method, path, accept, body)?).await?;
        let (parts, body) = response.into_parts();
        let body = self.in_time(body.collect()).await?.map_err(|e| Status::timeout(chain(&e)))?.to_bytes();
        let warnings = answer::warnings(&parts.headers);
        Ok(Raw { code: parts.status.as_u16(), headers: parts.headers, warnings, body })
    }

    /// A GET whose body is read while it comes: logs, raw watches.
    ///
    /// # Errors
    /// As [`Https::send`]; an `Err` item when the connection breaks.
    pub async fn stream(
        &self,
        path: &str,
        accept: &str,
    ) -> Result<impl futures::Stream<Item = Result<Bytes, Status>> + Send + use<>, Status> {
        let response = self.send(request::plain(Method::GET, path, accept, None)?).await?;
        let body = response.into_body().into_data_stream().map_err(|e| Status::unavailable(chain(&e)));
        Ok(body.take_until(self.end()).boxed())
    }

    /// When a stream that begins now ends, if it has to.
    fn end(&self) -> impl Future<Output = ()> + Send + use<> {
        let patience = self.patience;
        async move {
            match patience {
                Some(patience) => tokio::time::sleep(patience).await,
                None => std::future::pending().await,
            }
        }
    }
}

impl Transport for Https {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Answer, Status>> {
        Box::pin(async move {
            let is_object = matches!(request.subresource.as_str(), "" | "status" | "finalize" | "approval");
            let response = self.send(request::http(&request)?).await?;
            let (parts, body) = response.into_parts();
            // The request was sent and accepted: a body that breaks off leaves the outcome unknown.
            let body = self.in_time(body.collect()).await?.map_err(|e| Status::timeout(chain(&e)))?.to_bytes();
            let warnings = answer::warnings(&parts.headers);
            Ok(Answer { code: parts.status.as_u16(), warnings, content: answer::content(&body, is_object)? })
        })
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<Events, Status>> {
        Box::pin(async move {
            let request = Request { verb: Verb::Watch, ..request };
            let response = self.send(request::http(&request)?).await?;
            if response.status() != StatusCode::OK {
                return Err(Status::internal(format!("a watch was answered with {}", response.status())));
            }
            Ok(watch::events(response.into_body()).take_until(self.end()).boxed())
        })
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
