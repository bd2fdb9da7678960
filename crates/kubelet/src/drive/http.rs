//! One HTTP request of a probe or hook, with a deadline. Certificates are not verified, as upstream says.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

const BODY_BYTES_MAX: usize = 10 << 10;
const REDIRECTS_MAX: usize = 10;

/// A port by number, or by its name in the container.
pub fn port(reference: &IntOrString, container: &Container) -> Result<u16, String> {
    let named = |name: &String| {
        let found = container.ports.iter().flatten().find(|p| p.name.as_ref() == Some(name));
        found.map(|p| p.container_port).or_else(|| name.parse().ok())
    };
    let number = match reference {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => named(name),
    };
    let number = number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    number.ok_or_else(|| format!("couldn't find port: {reference:?} in {}", container.name))
}

/// `[::1]:80`, `10.0.0.1:80`.
pub fn host_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

/// Connects, in Go's words when it fails.
///
/// # Errors
/// `dial tcp …`.
pub async fn dial(address: &str, timeout: Duration) -> Result<TcpStream, String> {
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(format!("dial tcp {address}: connect: connection refused"))
        }
        Ok(Err(e)) => Err(format!("dial tcp {address}: connect: {e}")),
    }
}

/// An answer's code, the beginning of its body, and where it sends the asker.
pub struct Got {
    pub code: u16,
    pub body: String,
    pub location: Option<String>,
}

/// GETs what the action says, and follows where it is sent as long as that is on the same host.
///
/// # Errors
/// As [`get`], or there are too many redirections.
pub async fn get_followed(
    action: &HTTPGetAction,
    container: &Container,
    pod_ip: &str,
    timeout: Duration,
) -> Result<Got, String> {
    let mut action = action.clone();
    for _ in 0..REDIRECTS_MAX {
        let got = get(&action, container, pod_ip, timeout).await?;
        let next = got.location.as_deref().filter(|_| (300..400).contains(&got.code));
        match next.and_then(|location| here(location, &action, pod_ip)) {
            Some(path) => action.path = Some(path),
            // Elsewhere is not for the probe to judge.
            None => return Ok(got),
        }
    }
    Err("stopped after 10 redirects".into())
}

/// The path of a location on the same host.
fn here(location: &str, action: &HTTPGetAction, pod_ip: &str) -> Option<String> {
    let uri: http::Uri = location.parse().ok()?;
    let host = action.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(pod_ip);
    let same = uri.host().is_none_or(|h| h.trim_matches(['[', ']']) == host);
    uri.path_and_query().filter(|_| same).map(ToString::to_string)
}

/// GETs what the action says once.
///
/// # Errors
/// The request did not get an answer.
pub async fn get(
    action: &HTTPGetAction,
    container: &Container,
    pod_ip: &str,
    timeout: Duration,
) -> Result<Got, String> {
    let https = action.scheme.as_deref() == Some("HTTPS");
    let host = action.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(pod_ip);
    let address = host_port(host, port(&action.port, container)?);
    let path = action.path.as_deref().filter(|p| !p.is_empty()).unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("{}://{address}{slash}{path}", if https { "https" } else { "http" });
    let request = request(action, &address, &format!("{slash}{path}"))?;
    let work = async {
        let stream = dial(&address, timeout).await?;
        if https {
            let name = ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
            let stream = tokio_rustls::TlsConnector::from(client::anybody::config().map_err(|e| e.to_string())?)
                .connect(name, stream)
                .await;
            send(TokioIo::new(stream.map_err(|e| e.to_string())?), request).await
        } else {
            send(TokioIo::new(stream), request).await
        }
    };
    match tokio::time::timeout(timeout, work).await {
        Ok(answer) => answer.map_err(|e| format!("Get {url:?}: {e}")),
        Err(_) => {
            Err(format!("Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"))
        }
    }
}

fn request(action: &HTTPGetAction, address: &str, path: &str) -> Result<Request<Empty<Bytes>>, String> {
    let own = action.http_headers.as_deref().unwrap_or_default();
    let given = |name: &str| own.iter().any(|h| h.name.eq_ignore_ascii_case(name));
    let mut request = Request::get(path);
    for (name, value) in [("host", address), ("user-agent", "kube-probe/1.36"), ("accept", "*/*")] {
        if !given(name) {
            request = request.header(name, value);
        }
    }
    for header in own {
        request = request.header(&header.name, &header.value);
    }
    request.header("connection", "close").body(Empty::new()).map_err(|e| e.to_string())
}

async fn send<S>(stream: TokioIo<S>, request: Request<Empty<Bytes>>) -> Result<Got, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(|e| e.to_string())?;
    // Ends with the request: the sender is dropped with this function.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let code = answer.status().as_u16();
    let location = answer.headers().get("location").and_then(|l| l.to_str().ok()).map(str::to_owned);
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
    let text = body.map(|b| String::from_utf8_lossy(&b.to_bytes()).into_owned()).unwrap_or_default();
    Ok(Got { code, body: text, location })
}
