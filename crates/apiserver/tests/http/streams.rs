//! Streams to a kubelet: here one end of a pipe on which the test answers as a kubelet would.

use std::io;
use std::sync::Arc;

use apiserver::{ByteStream, Dialer};
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use crate::harness::{As, Harness, request, with_header};

struct Pipe(mpsc::UnboundedSender<DuplexStream>);

impl Dialer for Pipe {
    fn dial(&self, _: &str, _: &str, _: u16) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let sent = self.0.send(theirs);
        Box::pin(async move {
            sent.map_err(io::Error::other)?;
            let stream: Box<dyn ByteStream> = Box::new(ours);
            Ok(stream)
        })
    }
}

async fn with_pod() -> (Harness, mpsc::UnboundedReceiver<DuplexStream>) {
    let (sender, kubelets) = mpsc::unbounded_channel();
    let server = Harness::start_with(Some(Arc::new(Pipe(sender)))).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    server.post(&As::Admin, "/api/v1/namespaces/default/serviceaccounts", account).await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}});
    let got = server.post(&As::Admin, "/api/v1/nodes", node.clone()).await;
    assert_eq!(got.code, 201, "{}", got.message());
    let status = request("PATCH", "/api/v1/nodes/n1/status", "application/merge-patch+json", node.to_string());
    assert_eq!(server.send(&As::Admin, status).await.code, 200);
    for (name, node) in [("p", "n1"), ("waiting", "")] {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node,
            "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}});
        let got = server.post(&As::Admin, "/api/v1/namespaces/default/pods", pod).await;
        assert_eq!(got.code, 201, "{}", got.message());
    }
    (server, kubelets)
}

/// Reads the head of a request.
async fn head(stream: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

const POD: &str = "/api/v1/namespaces/default/pods/p";

#[tokio::test]
async fn logs_pass_through() {
    let (server, mut kubelets) = with_pod().await;
    let answer = tokio::spawn(async move {
        let mut kubelet = kubelets.recv().await.unwrap();
        let asked = head(&mut kubelet).await;
        kubelet.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi\n").await.unwrap();
        let mut refusing = kubelets.recv().await.unwrap();
        head(&mut refusing).await;
        refusing.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\nnope").await.unwrap();
        asked
    });
    let got = server.get(&As::Admin, &format!("{POD}/log?container=a&tailLines=5")).await;
    assert_eq!((got.code, &got.body[..]), (200, &b"hi\n"[..]));
    let got = server.get(&As::Admin, &format!("{POD}/log?container=a&previous=true")).await;
    assert_eq!((got.code, got.message().as_str()), (400, "nope"));
    assert!(answer.await.unwrap().starts_with("GET /containerLogs/default/p/a?tailLines=5 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn what_cannot_be_streamed_is_said() {
    let (server, _kubelets) = with_pod().await;
    let cases = [
        (format!("{POD}/log"), 400, "a container name must be specified for pod p, choose one of: [a b]"),
        (format!("{POD}/log?container=z"), 400, "container z is not valid for pod p"),
        (format!("{POD}/log?container=a&tailLines=-1"), 422, "PodLogOptions \"p\" is invalid: tailLines"),
        (format!("{POD}/exec?container=a&command=sh&stdout=1"), 400, "Upgrade request required"),
        ("/api/v1/namespaces/default/pods/none/log".into(), 404, "pods \"none\" not found"),
    ];
    for (path, code, message) in cases {
        let got = server.get(&As::Admin, &path).await;
        assert_eq!(got.code, code, "{path}");
        assert!(got.message().starts_with(message), "{}", got.message());
    }
    let waiting = "/api/v1/namespaces/default/pods/waiting";
    let got = server.get(&As::Admin, &format!("{waiting}/log?container=a")).await;
    assert_eq!((got.code, got.body.len()), (200, 0));
    let got = server.send(&As::Admin, upgrade(&format!("{waiting}/exec?container=a&command=sh&stdout=1"))).await;
    assert_eq!(got.message(), "pod waiting does not have a host assigned");
}

fn upgrade(path: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let asked = with_header(request("POST", path, "", ""), "connection", "Upgrade");
    with_header(asked, "upgrade", "SPDY/3.1")
}

#[tokio::test]
async fn an_upgraded_connection_is_bytes_both_ways() {
    let (server, mut kubelets) = with_pod().await;
    let kubelet = tokio::spawn(async move {
        let mut kubelet = kubelets.recv().await.unwrap();
        let asked = head(&mut kubelet).await;
        kubelet
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n")
            .await
            .unwrap();
        let mut four = [0; 4];
        kubelet.read_exact(&mut four).await.unwrap();
        kubelet.write_all(&[b"got ", &four[..]].concat()).await.unwrap();
        asked
    });
    let path = format!("{POD}/exec?container=b&command=sh&command=-c&stdin=true&stdout=true&tty=true");
    let response = server.open(&As::Admin, upgrade(&path)).await;
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["upgrade"], "SPDY/3.1");
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"got ping");
    let asked = kubelet.await.unwrap();
    assert!(
        asked.starts_with("POST /exec/default/p/b?input=1&output=1&tty=1&command=sh&command=-c HTTP/1.1\r\n"),
        "{asked}"
    );
}

#[tokio::test]
async fn a_log_over_a_websocket_is_messages() {
    let (server, mut kubelets) = with_pod().await;
    tokio::spawn(async move {
        let mut kubelet = kubelets.recv().await.unwrap();
        head(&mut kubelet).await;
        kubelet.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi\n").await.unwrap();
    });
    let asked = with_header(request("GET", &format!("{POD}/log?container=a"), "", ""), "connection", "Upgrade");
    let asked = with_header(asked, "upgrade", "websocket");
    let asked = with_header(asked, "sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let asked = with_header(asked, "sec-websocket-protocol", "binary.k8s.io");
    let response = server.open(&As::Admin, asked).await;
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut frame = [0; 5];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x82\x03hi\n");
}

#[tokio::test]
async fn a_nodes_proxy_leads_to_its_kubelet() {
    let (server, mut kubelets) = with_pod().await;
    let kubelet = tokio::spawn(async move {
        let mut kubelet = kubelets.recv().await.unwrap();
        let asked = head(&mut kubelet).await;
        let mut body = [0; 4];
        kubelet.read_exact(&mut body).await.unwrap();
        kubelet
            .write_all(
                b"HTTP/1.1 418 odd\r\nx-own: 1\r\ncontent-type: text/html\r\ncontent-length: 12\r\n\r\n<a href='/'>",
            )
            .await
            .unwrap();
        (asked, body)
    });
    let got = server.send(&As::Admin, request("POST", "/api/v1/nodes/n1/proxy/a%20b/?c=d", "text/plain", "body")).await;
    assert_eq!(
        (got.code, &got.body[..], &got.headers["x-own"]),
        (418, &b"<a href='/api/v1/nodes/n1/proxy/'>"[..], &"1".parse().unwrap())
    );
    let (asked, body) = kubelet.await.unwrap();
    assert!(asked.starts_with("POST /a%20b/?c=d HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("x-forwarded-for: 127.0.0.1"), "{asked}");
    assert_eq!(&body, b"body");
    let got = server.get(&As::Admin, "/api/v1/namespaces/default/services/none:80/proxy/").await;
    assert_eq!(got.code, 404);
    let got = server.get(&As::Admin, "/api/v1/namespaces/default/pods/p/proxy").await;
    assert_eq!(
        (got.code, &got.headers["location"]),
        (301, &"/api/v1/namespaces/default/pods/p/proxy/".parse().unwrap())
    );
    let head = request("HEAD", "/api/v1/namespaces/default/pods/p/proxy?a=b", "text/plain", "");
    let got = server.send(&As::Admin, head).await;
    assert_eq!(
        (got.code, &got.headers["location"]),
        (301, &"/api/v1/namespaces/default/pods/p/proxy/?a=b".parse().unwrap())
    );
}
