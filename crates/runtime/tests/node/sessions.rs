//! Commands in containers, and sessions with them.

use futures::{SinkExt, StreamExt};
use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::{AttachRequest, ExecRequest, ExecSyncRequest, PortForwardRequest};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tonic::Request;

use crate::node::Node;

pub async fn exec_sync_answers(node: &Node) {
    let pod = node.pod("exec").await;
    let id = node.run(&pod, "sleep 1000").await;
    let begin = std::time::Instant::now();
    let answer = node.sh(&id, "echo out; echo err >&2; exit 4").await;
    eprintln!("  exec after {} ms", begin.elapsed().as_millis());
    assert_eq!(
        (answer.stdout.as_slice(), answer.stderr.as_slice(), answer.exit_code),
        (&b"out\n"[..], &b"err\n"[..], 4)
    );
    // A child that keeps the pipe open neither hides the output nor holds the answer.
    let begin = std::time::Instant::now();
    assert_eq!(node.sh(&id, "sleep 30 & echo early").await.stdout, b"early\n");
    assert!(begin.elapsed().as_secs() < 10);
    let request = |cmd: &[&str]| ExecSyncRequest {
        container_id: id.clone(),
        cmd: cmd.iter().map(|word| word.to_string()).collect(),
        timeout: 1,
    };
    let late = RuntimeService::exec_sync(&node.runtime(), Request::new(request(&["sleep", "100"]))).await.unwrap_err();
    assert_eq!(late.code(), tonic::Code::DeadlineExceeded);
    let wrong = RuntimeService::exec_sync(&node.runtime(), Request::new(request(&["nothing"]))).await.unwrap_err();
    assert!(wrong.message().contains("executable file not found"), "{wrong}");
}

async fn connect(url: &str, protocol: &str) -> WebSocketStream<TcpStream> {
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_string();
    let mut request = url.replace("http://", "ws://").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
    let socket = TcpStream::connect(address).await.unwrap();
    tokio_tungstenite::client_async(request, socket).await.unwrap().0
}

/// Everything that comes on each channel until the connection is closed.
async fn read_all(mut socket: WebSocketStream<TcpStream>) -> [String; 5] {
    let mut texts: [String; 5] = Default::default();
    while let Some(Ok(Message::Binary(bytes))) = socket.next().await {
        texts[usize::from(bytes[0])].push_str(&String::from_utf8_lossy(&bytes[1..]));
    }
    texts
}

fn exec(id: &str, script: &str, tty: bool) -> ExecRequest {
    let cmd = ["sh", "-c", script].map(str::to_string).to_vec();
    ExecRequest { container_id: id.into(), cmd, tty, stdin: true, stdout: true, stderr: !tty, ..Default::default() }
}

pub async fn exec_over_websocket(node: &Node) {
    let pod = node.pod("ws").await;
    let id = node.run(&pod, "sleep 1000").await;
    let url = node
        .runtime()
        .exec(Request::new(exec(&id, "cat; echo oops >&2; exit 3", false)))
        .await
        .unwrap()
        .into_inner()
        .url;
    let mut socket = connect(&url, "v5.channel.k8s.io").await;
    socket.send(Message::Binary(b"\x00hello".to_vec().into())).await.unwrap();
    socket.send(Message::Binary(vec![255, 0].into())).await.unwrap();
    let [_, stdout, stderr, error, _] = read_all(socket).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("hello", "oops\n"));
    assert!(error.contains(r#""reason":"NonZeroExitCode""#) && error.contains(r#""message":"3""#), "{error}");
    // A token is good once.
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_string();
    let again =
        tokio_tungstenite::client_async(url.replace("http://", "ws://"), TcpStream::connect(address).await.unwrap())
            .await;
    assert!(again.is_err());
}

pub async fn a_terminal_resizes(node: &Node) {
    let pod = node.pod("tty").await;
    let id = node.run(&pod, "sleep 1000").await;
    let script = "read x; stty size; tty; echo got $x";
    let url = node.runtime().exec(Request::new(exec(&id, script, true))).await.unwrap().into_inner().url;
    let mut socket = connect(&url, "v4.channel.k8s.io").await;
    socket.send(Message::Binary([&[4][..], br#"{"Width":99,"Height":33}"#].concat().into())).await.unwrap();
    socket.send(Message::Binary(b"\x00word\n".to_vec().into())).await.unwrap();
    let [_, stdout, _, error, _] = read_all(socket).await;
    assert!(stdout.contains("33 99") && stdout.contains("/dev/pts/") && stdout.contains("got word"), "{stdout:?}");
    assert!(error.contains("Success"), "{error}");
}

pub async fn attach_sees_output_and_gives_input(node: &Node) {
    let pod = node.pod("attach").await;
    let mut config = node.container_config("read x; echo said $x; exit 0");
    (config.stdin, config.stdin_once) = (true, true);
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    let request =
        AttachRequest { container_id: id.clone(), stdin: true, stdout: true, stderr: true, ..Default::default() };
    let url = node.runtime().attach(Request::new(request)).await.unwrap().into_inner().url;
    let mut socket = connect(&url, "v4.channel.k8s.io").await;
    socket.send(Message::Binary(b"\x00something\n".to_vec().into())).await.unwrap();
    let [_, stdout, _, error, _] = read_all(socket).await;
    assert_eq!(stdout, "said something\n");
    assert!(error.contains("Success"), "{error}");
    assert_eq!(node.ended(&id).await.exit_code, 0);
    assert_eq!(node.log(), ["stdout F said something"]);
}

pub async fn ports_are_forwarded(node: &Node) {
    let pod = node.pod("ports").await;
    let id = node.run(&pod, "while true; do echo from the pod | nc -l -p 8080; done").await;
    node.sh(&id, "until grep -q ':1F90 ' /proc/net/tcp /proc/net/tcp6; do :; done").await;
    let request = PortForwardRequest { pod_sandbox_id: pod, port: vec![8080] };
    let url = node.runtime().port_forward(Request::new(request)).await.unwrap().into_inner().url;
    let socket = connect(&url, "v4.channel.k8s.io").await;
    let [data, error, ..] = read_all(socket).await;
    assert!(data.ends_with("from the pod\n"), "{data:?} {error:?}");
}
