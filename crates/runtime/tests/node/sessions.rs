//! Commands in containers, and sessions with them.

use rpc::cri::ExecSyncRequest;
use rpc::cri::runtime_service_server::RuntimeService;
use tonic::Request;

use crate::node::Node;

pub async fn exec_sync_answers(node: &Node) {
    let pod = node.pod("exec").await;
    let id = node.run(&pod, "sleep 1000").await;
    let begin = std::time::Instant::now();
    let answer = node.sh(&id, "echo out; echo err >&2; exit 4").await;
    eprintln!("  exec after {} ms", begin.elapsed().as_millis());
    assert_eq!((answer.stdout.as_slice(), answer.stderr.as_slice(), answer.exit_code), (&b"out\n"[..], &b"err\n"[..], 4));
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
