//! Life and death of sandboxes and containers.

use std::time::Instant;

use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::*;
use tonic::Request;

use crate::node::Node;

pub async fn a_container_prints_and_ends(node: &Node) {
    let begin = Instant::now();
    let pod = node.pod("hello").await;
    eprintln!("  sandbox after {} ms", begin.elapsed().as_millis());
    let created = Instant::now();
    let id = node.run(&pod, "echo hello from $(hostname); echo oops >&2; exit 3").await;
    eprintln!("  container started after {} ms", created.elapsed().as_millis());
    let status = node.ended(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (3, "Error"));
    assert!(status.started_at > 0 && status.finished_at >= status.started_at);
    let mut log = node.log();
    log.sort();
    assert_eq!(log, ["stderr F oops", "stdout F hello from hello"]);
}

pub async fn a_container_is_stopped_and_removed(node: &Node) {
    let pod = node.pod("stop").await;
    let id = node.run(&pod, "trap 'echo bye; exit 0' TERM; echo up; while true; do sleep 0.1; done").await;
    node.sh(&id, "until grep -q up /proc/1/cmdline; do :; done").await;
    let begin = Instant::now();
    let request = StopContainerRequest { container_id: id.clone(), timeout: 10 };
    RuntimeService::stop_container(&node.runtime(), Request::new(request.clone())).await.unwrap();
    assert!(begin.elapsed().as_secs() < 5);
    let status = node.status(&id).await;
    assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, 0), "{:?}", node.log());
    RuntimeService::stop_container(&node.runtime(), Request::new(request)).await.unwrap();
    let second = node.run_named(&pod, "second", "sleep 1000").await;
    for _ in 0..2 {
        let request = RemoveContainerRequest { container_id: second.clone() };
        RuntimeService::remove_container(&node.runtime(), Request::new(request)).await.unwrap();
    }
    let list =
        node.runtime().list_containers(Request::new(ListContainersRequest::default())).await.unwrap().into_inner();
    assert_eq!(list.containers.len(), 1);
    let request = StopPodSandboxRequest { pod_sandbox_id: pod.clone() };
    node.runtime().stop_pod_sandbox(Request::new(request.clone())).await.unwrap();
    node.runtime().stop_pod_sandbox(Request::new(request)).await.unwrap();
}

pub async fn a_wrong_command_is_reported(node: &Node) {
    let pod = node.pod("wrong").await;
    let mut config = node.container_config("");
    config.command = vec!["no-such-program".into()];
    let id = node.create(&pod, config).await;
    let problem = node.start(&id).await.unwrap_err();
    assert!(problem.message().contains("executable file not found in $PATH"), "{problem}");
    let status = node.status(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
}

pub async fn containers_outlive_the_runtime(node: &Node) {
    let pod = node.pod("outlive").await;
    let id = node.run(&pod, "echo one; sleep 1000").await;
    let short = node.run_named(&pod, "short", "sleep 0.3; exit 7").await;
    let before = node.status(&id).await;
    node.forget();
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    node.open().await;
    let after = node.status(&id).await;
    assert_eq!(after.state(), ContainerState::ContainerRunning);
    assert_eq!((before.id, before.started_at), (after.id, after.started_at));
    assert_eq!(node.ended(&short).await.exit_code, 7);
    assert_eq!(node.sh(&id, "echo again").await.stdout, b"again\n");
}

pub async fn a_killed_shim_is_buried(node: &Node) {
    let pod = node.pod("bury").await;
    let id = node.run(&pod, "sleep 1000").await;
    let pid = node.pid(&id).await;
    let shim = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let shim: i32 = shim.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{shim}/status")).unwrap();
    eprintln!("  shim {}", status.lines().filter(|line| line.contains("Rss")).collect::<Vec<_>>().join(" "));
    rustix::process::kill_process(rustix::process::Pid::from_raw(shim).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    let status = node.ended(&id).await;
    // As containerd reports it.
    assert_eq!((status.exit_code, &*status.reason, &*status.message), (137, "Error", ""));
    let request = PodSandboxStatusRequest { pod_sandbox_id: pod.clone(), verbose: false };
    let begin = Instant::now();
    while begin.elapsed().as_secs() < 5 {
        let sandbox = node.runtime().pod_sandbox_status(Request::new(request.clone())).await.unwrap().into_inner();
        if sandbox.status.unwrap().state() == PodSandboxState::SandboxNotready {
            return assert!(!std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
        }
        tokio::task::yield_now().await;
    }
    panic!("the sandbox stays ready");
}

pub async fn limits_and_users_hold(node: &Node) {
    let pod = node.pod("limits").await;
    let mut config = node.container_config("sleep 1000");
    let linux = config.linux.as_mut().unwrap();
    linux.resources =
        Some(LinuxContainerResources { memory_limit_in_bytes: 64 << 20, cpu_shares: 512, ..Default::default() });
    let security = linux.security_context.as_mut().unwrap();
    security.run_as_username = "www".into();
    security.no_new_privs = true;
    security.readonly_rootfs = true;
    security.capabilities = Some(Capability { drop_capabilities: vec!["ALL".into()], ..Default::default() });
    config.working_dir = "/srv/deep".into();
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    let said = |script: &'static str| {
        let id = id.clone();
        async move { String::from_utf8(node.sh(&id, script).await.stdout).unwrap().trim().to_string() }
    };
    assert_eq!(said("id -u; id -g").await, "33\n33");
    assert_eq!(said("pwd").await, "/srv/deep");
    assert_eq!(said("touch /x 2>/dev/null && echo wrote || echo refused").await, "refused");
    let status = said("grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr -s '\\t ' ' '").await;
    assert_eq!(status, "CapEff: 0000000000000000\nCapBnd: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2");
    let init = said("grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/1/status | tr -s '\\t ' ' '").await;
    assert_eq!(init, status);
    let stats =
        node.runtime().container_stats(Request::new(ContainerStatsRequest { container_id: id.clone() })).await.unwrap();
    let memory = stats.into_inner().stats.unwrap().memory.unwrap();
    assert!(memory.available_bytes.unwrap().value < 64 << 20);
    assert_eq!(said("ls /sys/class/net | tr '\\n' ' '").await, "eth0 lo");
}

pub async fn other_users_of_the_host_see_no_files(node: &Node) {
    use std::os::unix::fs::PermissionsExt;
    for folder in ["data", "run"] {
        let folder = node.folder().join(folder);
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o700);
        // A cluster of an older version has wider ones.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    node.forget();
    node.open().await;
    for folder in ["data", "run"] {
        assert_eq!(std::fs::metadata(node.folder().join(folder)).unwrap().permissions().mode() & 0o7777, 0o700);
    }
}
