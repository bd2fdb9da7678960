//! exec, attach and port-forward: the runtime gives an address, and the bytes of both sides are passed through.
//!
//! Which protocol the client speaks (SPDY, WebSocket) is between it and the runtime.

use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rpc::cri::{AttachRequest, ExecRequest, ExecSyncRequest, PortForwardRequest};
use tokio::net::TcpStream;

use super::route::{Streams, Target};
use super::{Answer, pods, text};
use crate::drive::context::Context;
use crate::plan::spec;

fn failed(code: StatusCode, message: impl Into<String>) -> Answer {
    text(code, message.into())
}

pub async fn exec(cx: &Context, target: &Target, streams: &Streams, request: Request<Incoming>) -> Answer {
    let id = match pods::running_id(cx, target).await {
        Ok(id) => id,
        Err(e) => return failed(StatusCode::NOT_FOUND, e),
    };
    let ask = ExecRequest {
        container_id: id,
        cmd: streams.command.clone(),
        tty: streams.tty,
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr && !streams.tty,
        ..ExecRequest::default()
    };
    match cx.runtime.service.exec(tonic::Request::new(ask)).await {
        Ok(answer) => pass(&answer.into_inner().url, request).await,
        Err(e) => failed(StatusCode::INTERNAL_SERVER_ERROR, e.message()),
    }
}

pub async fn attach(cx: &Context, target: &Target, streams: &Streams, request: Request<Incoming>) -> Answer {
    let id = match pods::running_id(cx, target).await {
        Ok(id) => id,
        Err(e) => return failed(StatusCode::NOT_FOUND, e),
    };
    let container = pods::find(cx, target).and_then(|p| spec::find(&p, &target.container));
    let tty = container.and_then(|c| c.tty).unwrap_or(false);
    let ask = AttachRequest {
        container_id: id,
        stdin: streams.stdin,
        tty,
        stdout: streams.stdout,
        stderr: streams.stderr && !tty,
        ..AttachRequest::default()
    };
    match cx.runtime.service.attach(tonic::Request::new(ask)).await {
        Ok(answer) => pass(&answer.into_inner().url, request).await,
        Err(e) => failed(StatusCode::INTERNAL_SERVER_ERROR, e.message()),
    }
}

pub async fn port_forward(cx: &Context, target: &Target, port: Vec<i32>, request: Request<Incoming>) -> Answer {
    let Some(pod) = pods::find(cx, target) else {
        return failed(StatusCode::NOT_FOUND, format!("pod {}/{} not found", target.namespace, target.pod));
    };
    let sandbox = match cx.runtime.observe(spec::uid(&pod), &[]).await {
        Ok(observed) => observed.sandboxes.into_iter().find(|s| s.ready),
        Err(e) => return failed(StatusCode::INTERNAL_SERVER_ERROR, e.message()),
    };
    let Some(sandbox) = sandbox else {
        return failed(
            StatusCode::NOT_FOUND,
            format!("pod not found ({:?})", format!("{}_{}", target.pod, target.namespace)),
        );
    };
    let ask = PortForwardRequest { pod_sandbox_id: sandbox.id, port };
    match cx.runtime.service.port_forward(tonic::Request::new(ask)).await {
        Ok(answer) => pass(&answer.into_inner().url, request).await,
        Err(e) => failed(StatusCode::INTERNAL_SERVER_ERROR, e.message()),
    }
}

/// Runs a command to its end and answers its output.
pub async fn run(cx: &Context, target: &Target, cmd: Vec<String>) -> Answer {
    let id = match pods::running_id(cx, target).await {
        Ok(id) => id,
        Err(e) => return failed(StatusCode::NOT_FOUND, e),
    };
    let ask = ExecSyncRequest { container_id: id, cmd, timeout: 0 };
    match cx.runtime.service.exec_sync(tonic::Request::new(ask)).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            text(StatusCode::OK, [answer.stdout, answer.stderr].concat())
        }
        Err(e) => failed(StatusCode::INTERNAL_SERVER_ERROR, e.message()),
    }
}

/// Sends the request on to the runtime's address; after its 101 both connections become one.
async fn pass(url: &str, request: Request<Incoming>) -> Answer {
    match forward(url, request).await {
        Ok(answer) => answer,
        Err(e) => failed(StatusCode::BAD_GATEWAY, format!("the runtime's stream cannot be reached: {e}")),
    }
}

async fn forward(url: &str, mut request: Request<Incoming>) -> anyhow::Result<Answer> {
    let uri: Uri = url.parse()?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let stream = TcpStream::connect(&authority).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with either side of the stream.
    tokio::spawn(connection.with_upgrades());
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let mut onward = Request::builder().method(request.method().clone()).uri(path);
    for (name, value) in request.headers().iter().filter(|(n, _)| **n != HOST && *n != "authorization") {
        onward = onward.header(name, value);
    }
    let onward = onward.header(HOST, authority).body(Empty::<bytes::Bytes>::new())?;
    let mut answer = sender.send_request(onward).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (parts, body) = answer.into_parts();
        let body = body.map_err(std::io::Error::other).boxed_unsync();
        return Ok(Response::from_parts(parts, body));
    }
    let mut back = text(StatusCode::SWITCHING_PROTOCOLS, "");
    back.headers_mut().clear();
    for (name, value) in answer.headers() {
        back.headers_mut().append(name, value.clone());
    }
    debug_assert!(back.headers().contains_key(UPGRADE) && back.headers().contains_key(CONNECTION));
    let (ours, theirs) = (hyper::upgrade::on(&mut request), hyper::upgrade::on(&mut answer));
    tokio::spawn(async move {
        let (Ok(ours), Ok(theirs)) = (ours.await, theirs.await) else { return };
        let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
        // A broken connection is how such streams often end.
        let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
    });
    Ok(back)
}
