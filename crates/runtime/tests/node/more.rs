//! Memory limits, shared namespaces, rotation, and many at once.

use std::time::Instant;

use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::*;
use tonic::Request;

use crate::node::Node;

pub async fn too_much_memory_is_reported(node: &Node) {
    let pod = node.pod("oom").await;
    let mut config = node.container_config("x=abcdefgh; while true; do x=$x$x; done");
    let linux = config.linux.as_mut().unwrap();
    linux.resources = Some(LinuxContainerResources { memory_limit_in_bytes: 16 << 20, ..Default::default() });
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    let status = node.ended(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
}

pub async fn processes_and_memory_are_shared_in_a_pod(node: &Node) {
    let mut config = node.pod_config("shared");
    let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
    security.namespace_options = Some(NamespaceOption { pid: NamespaceMode::Pod.into(), ..Default::default() });
    let request = RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
    let pod = node.runtime().run_pod_sandbox(Request::new(request)).await.unwrap().into_inner().pod_sandbox_id;
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let mut config = node.container_config("");
        config.command = ["sh", "-c", "sleep 1000 & wait"].map(str::to_string).to_vec();
        config.metadata = Some(ContainerMetadata { name: name.into(), attempt: 0 });
        config.log_path = format!("{name}/0.log");
        let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
        security.namespace_options = Some(NamespaceOption { pid: NamespaceMode::Pod.into(), ..Default::default() });
        let id = node.create(&pod, config).await;
        node.start(&id).await.unwrap();
        ids.push(id);
    }
    node.sh(&ids[0], "echo shared > /dev/shm/x").await;
    assert_eq!(node.sh(&ids[1], "cat /dev/shm/x").await.stdout, b"shared\n");
    let both = "until [ $(cat /proc/[0-9]*/comm | grep -c '^sleep$') -ge 2 ]; do :; done; set -- /proc/[0-9]*; echo $#";
    let seen = node.sh(&ids[1], both).await.stdout;
    let seen: u32 = String::from_utf8(seen).unwrap().trim().parse().unwrap();
    assert!(seen >= 5, "{seen} processes are seen");
    // Its child does not outlive a container's first process.
    let request = StopContainerRequest { container_id: ids[0].clone(), timeout: 0 };
    RuntimeService::stop_container(&node.runtime(), Request::new(request)).await.unwrap();
    let left = node.sh(&ids[1], "set -- /proc/[0-9]*; echo $#").await.stdout;
    let left: u32 = String::from_utf8(left).unwrap().trim().parse().unwrap();
    assert!(left + 2 <= seen, "{left} of {seen} processes are left");
}

pub async fn traffic_is_counted(node: &Node) {
    let pod = node.pod("traffic").await;
    let id = node.run(&pod, "sleep 1000").await;
    let request = PodSandboxStatsRequest { pod_sandbox_id: pod };
    let sent = async || {
        let answer = node.runtime().pod_sandbox_stats(Request::new(request.clone())).await.unwrap().into_inner();
        let network = answer.stats.unwrap().linux.unwrap().network.unwrap().default_interface.unwrap();
        assert_eq!(network.name, "eth0");
        network.tx_bytes.unwrap().value
    };
    let before = sent().await;
    // Nobody needs to answer.
    node.sh(&id, "ping -c 1 -W 1 -s 1000 10.249.7.1 || true").await;
    assert!(sent().await >= before + 1000);
}

pub async fn logs_are_reopened(node: &Node) {
    let pod = node.pod("rotate").await;
    let id = node.run(&pod, "echo before; read x < /fifo; echo after; sleep 1000").await;
    node.sh(&id, "until [ -e /fifo ]; do mkfifo /fifo; done").await;
    let log = node.folder().join("logs/main/0.log");
    std::fs::rename(&log, log.with_extension("old")).unwrap();
    let request = ReopenContainerLogRequest { container_id: id.clone() };
    node.runtime().reopen_container_log(Request::new(request)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "");
}

pub async fn many_pods_at_once(node: &Node) {
    let begin = Instant::now();
    let pods = (0..20).map(|number| async move {
        let name = format!("many{number}");
        let pod = node.pod(&name).await;
        node.run_named(&pod, &name, "echo $(ip -4 addr show eth0 | grep -o 'inet [0-9.]*'); exit 0").await
    });
    let ids = futures::future::join_all(pods).await;
    eprintln!("  20 pods started after {} ms", begin.elapsed().as_millis());
    let mut said = std::collections::BTreeSet::new();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(node.ended(id).await.exit_code, 0);
        let log = node.folder().join(format!("logs/many{number}/0.log"));
        said.insert(std::fs::read_to_string(log).unwrap().split_once("stdout").unwrap().1.to_string());
    }
    assert_eq!(said.len(), 20, "addresses are not unique: {said:?}");
}

pub async fn one_after_the_other(node: &Node) {
    const COUNT: u32 = 20;
    let pod = node.pod("serial").await;
    let mut micros = [0; 3];
    for number in 0..COUNT {
        let mut config = node.container_config("exit 0");
        config.metadata = Some(ContainerMetadata { name: format!("c{number}"), attempt: 0 });
        let begin = Instant::now();
        let id = node.create(&pod, config).await;
        let created = Instant::now();
        node.start(&id).await.unwrap();
        let started = Instant::now();
        let request = RemoveContainerRequest { container_id: id };
        RuntimeService::remove_container(&node.runtime(), Request::new(request)).await.unwrap();
        micros[0] += (created - begin).as_micros();
        micros[1] += (started - created).as_micros();
        micros[2] += started.elapsed().as_micros();
    }
    let [create, start, remove] = micros.map(|sum| sum / u128::from(COUNT));
    eprintln!("  create {create} µs, start {start} µs, remove {remove} µs");
}
