//! One document from any web server: manifests that people name by their address.
//!
//! Certificates are checked against the system's; no credentials are sent.

use bytes::Bytes;
use http::{Method, Uri, header};
use http_body_util::{BodyExt, Limited};
use kube_client::Config;
use machinery::status::Status;

use super::{connection, request};

const REDIRECTS_MAX: usize = 10;
const DOCUMENT_BYTES_MAX: usize = 64 << 20;

/// The body behind an `http` or `https` address, redirects followed.
///
/// # Errors
/// An address that is none; a server that cannot be reached or answers anything but 200; a body above 64 MiB.
pub async fn get(address: &str) -> Result<Bytes, Status> {
    let mut address: Uri = address.parse().map_err(|e| Status::bad_request(format!("{address}: {e}")))?;
    for _ in 0..=REDIRECTS_MAX {
        let client = connection::open(&Config::new(root(&address)?))?;
        let path = address.path_and_query().map_or("/", |path| path.as_str());
        let sent = client.send(request::plain(Method::GET, path, "*/*", None)?.map(Into::into)).await;
        let response = sent.map_err(|e| Status::unavailable(super::chain(&e)))?;
        let status = response.status();
        if status.is_redirection() {
            let next = response.headers().get(header::LOCATION).and_then(|next| next.to_str().ok()).unwrap_or_default();
            address = resolved(&address, next)?;
            continue;
        }
        if status != http::StatusCode::OK {
            return Err(Status::unavailable(format!(
                "unable to read URL {:?}, server reported {status}, status code={}",
                address.to_string(),
                status.as_u16()
            )));
        }
        let body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX).collect().await;
        return body.map(|body| body.to_bytes()).map_err(|e| Status::unavailable(e.to_string()));
    }
    Err(Status::unavailable(format!("unable to read URL: stopped after {REDIRECTS_MAX} redirects")))
}

/// Scheme and host alone.
fn root(address: &Uri) -> Result<Uri, Status> {
    let (Some(scheme), Some(host)) = (address.scheme_str(), address.authority()) else {
        return Err(Status::bad_request(format!("{address}: no scheme or host")));
    };
    format!("{scheme}://{host}").parse().map_err(|e| Status::bad_request(format!("{address}: {e}")))
}

/// A redirect's target: whole, or a path on the same host.
fn resolved(from: &Uri, next: &str) -> Result<Uri, Status> {
    let whole = if next.contains("://") {
        next.to_owned()
    } else {
        format!("{}{next}", root(from)?.to_string().trim_end_matches('/'))
    };
    whole.parse().map_err(|e| Status::bad_request(format!("a redirect to {next:?}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_or_leave() {
        let from: Uri = "https://a.example/x/y?z".parse().unwrap();
        assert_eq!(resolved(&from, "/q").unwrap().to_string(), "https://a.example/q");
        assert_eq!(resolved(&from, "http://b.example/q").unwrap().to_string(), "http://b.example/q");
        assert!(root(&"/x".parse().unwrap()).is_err());
    }
}
