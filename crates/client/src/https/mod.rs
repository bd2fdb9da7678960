//! The API over HTTPS: client certificates, bearer tokens and credential plugins as a kubeconfig names them.
//!
//! kube-client makes the connections and the credentials; requests, answers, watches and errors are ours, so
//! that nothing above sees that crate.

mod answer;
mod connection;
mod pipe;
mod request;
pub mod socket;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode};
use http_body_util::BodyExt;
use kube_client::client::Body;
use machinery::request::{Answer, Request, Verb};
use machinery::status::Status;

use crate::kubeconfig::Access;
use crate::{Client, Events, Transport};

pub use pipe::Dial;

/// How often a server that says "later" (429, or 5xx with `Retry-After`) is asked again, as client-go does.
const RETRIES_MAX: usize = 10;

/// Percent-encodes a value for a query.
pub fn escape(value: &str) -> String {
    request::escape(value, "")
}

/// An API server over HTTPS as one identity. Cheap to clone.
#[derive(Clone)]
pub struct Https {
    inner: kube_client::Client,
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
        Ok(Self { inner: connection::open(&access.config)? })
    }

    /// [`Https::new`] over pipes of this process instead of sockets: a simulated cluster's server.
    ///
    /// # Errors
    /// As [`Https::new`].
    pub fn through(access: Access, dial: Dial) -> Result<Self, Status> {
        Ok(Self { inner: connection::over(&access.config, pipe::Connector(dial))? })
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
        let sent = self.inner.send(request.map(Body::from)).await;
        sent.map_err(|error| Status::unavailable(chain(&error)))
    }

    /// A request with any path (with query) and headers; the whole answer.
    ///
    /// # Errors
    /// As [`Https::send`].
    pub async fn raw(&self, method: Method, path: &str, accept: &str, body: Option<Bytes>) -> Result<Raw, Status> {
        let response = self.send(request::plain(method, path, accept, body)?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| Status::timeout(chain(&e)))?.to_bytes();
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
    ) -> Result<impl Stream<Item = Result<Bytes, Status>> + Send + use<>, Status> {
        let response = self.send(request::plain(Method::GET, path, accept, None)?).await?;
        Ok(response.into_body().into_data_stream().map_err(|e| Status::unavailable(chain(&e))).boxed())
    }
}

impl Transport for Https {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Answer, Status>> {
        Box::pin(async move {
            let is_object = matches!(request.subresource.as_str(), "" | "status" | "finalize" | "approval");
            let response = self.send(request::http(&request)?).await?;
            let (parts, body) = response.into_parts();
            // The request was sent and accepted: a body that breaks off leaves the outcome unknown.
            let body = body.collect().await.map_err(|e| Status::timeout(chain(&e)))?.to_bytes();
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
            Ok(watch::events(response.into_body()).boxed())
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
