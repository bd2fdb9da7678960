//! What a container may not do, and what it sees: asked from inside, of the first process and of extra ones.

use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::*;
use tonic::Request;

use crate::node::Node;

/// Asked of a container that is root and asked for nothing.
const QUESTIONS: &str = r"
grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr -s '\t ' ' '
unshare -m true 2>&1 | grep -o 'Operation not permitted'
mount -t tmpfs none /mnt 2>&1 | grep -iE 'permission denied|not permitted' | wc -l
wc -c </proc/interrupts; ls /sys/firmware | wc -l
for file in /proc/sys/kernel/hostname /sys/fs/cgroup/x; do
  (: >$file) 2>&1 | grep -c 'Read-only file system'
done
readlink /dev/ptmx; readlink /dev/fd; for name in null zero full random urandom tty; do test -c /dev/$name || echo no $name; done
rm -f /tmp/disk; mknod /tmp/disk b 254 0 && (: </tmp/disk) 2>&1 | grep -o 'Operation not permitted'
pwd; umask; readlink /proc/1/cwd; grep -c ' / / ' /proc/self/mountinfo
grep -vc ':/$' /proc/self/cgroup
";
const ANSWERS: &str = "CapEff: 00000000a80425fb
CapBnd: 00000000a80425fb
NoNewPrivs: 0
Seccomp: 2
Operation not permitted
1
0
0
1
1
pts/ptmx
/proc/self/fd
Operation not permitted
/
0022
/
1
";

pub async fn a_container_is_confined(node: &Node) {
    let pod = node.pod("confined").await;
    let config = node.container_config(&format!("mkdir -p /tmp; ({QUESTIONS}) >/answers 2>&1; sleep 1000"));
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    let first = "until grep -q '^[0-9]*$' /answers && [ $(wc -l </answers) -ge 17 ]; do :; done; cat /answers";
    let first = String::from_utf8(node.sh(&id, first).await.stdout).unwrap();
    let extra = String::from_utf8(node.sh(&id, QUESTIONS).await.stdout).unwrap();
    assert_eq!(split(&first).0, ANSWERS);
    assert_eq!(extra, first, "extra processes are held as the first one is");
    assert!(split(&first).1 <= 1, "only systemd's own hierarchy may show its path: {first}");
}

/// The lines that are the same everywhere, and how many groups are seen by another path than the root's.
fn split(answers: &str) -> (&str, u32) {
    let end = answers.trim_end().rfind('\n').map_or(0, |at| at + 1);
    (&answers[..end], answers[end..].trim().parse().unwrap())
}

pub async fn masks_go_where_that_was_asked(node: &Node) {
    let pod = node.pod("unmasked").await;
    let script = "sleep 1000";
    let mut config = node.container_config(script);
    let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
    security.masked_paths = vec!["/proc/uptime".into()];
    security.readonly_paths = vec!["/proc/sys".into()];
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    assert_eq!(
        node.sh(&id, "wc -c </proc/uptime; grep -q . /proc/interrupts && echo interrupts").await.stdout,
        b"0\ninterrupts\n"
    );
}

pub async fn nothing_is_mounted_inside_proc(node: &Node) {
    let pod = node.pod("proc").await;
    for (target, is_refused) in [("/proc/self/attr", true), ("/proc", true), ("/proc/uptime", false)] {
        let mut config = node.container_config("exit 0");
        config.metadata = Some(ContainerMetadata { name: target.replace('/', "-"), attempt: 0 });
        let host_path = node.folder().join(if is_refused { "folder" } else { "file" });
        match is_refused {
            true => std::fs::create_dir_all(&host_path).unwrap(),
            false => std::fs::write(&host_path, "1 1").unwrap(),
        }
        let host_path = host_path.to_string_lossy().into_owned();
        config.mounts = vec![Mount { container_path: target.into(), host_path, ..Default::default() }];
        let id = node.create(&pod, config).await;
        let problem = node.start(&id).await.err().map(|problem| problem.message().to_string());
        let says =
            |problem: &String| problem.contains("because it is inside /proc") || problem.contains("not of type proc");
        assert_eq!(problem.as_ref().is_some_and(says), is_refused, "{target}: {problem:?}");
    }
}

pub async fn volumes_propagate_as_asked(node: &Node) {
    let pod = node.pod("volumes").await;
    let volume = node.folder().join("volume");
    std::fs::create_dir_all(volume.join("inner")).unwrap();
    let mounted =
        |path: &std::path::Path| rustix::mount::mount("none", path, "tmpfs", rustix::mount::MountFlags::empty(), None);
    mounted(&volume).unwrap();
    rustix::mount::mount_change(&volume, rustix::mount::MountPropagationFlags::SHARED).unwrap();
    std::fs::create_dir_all(volume.join("inner")).unwrap();
    let mut config = node.container_config("sleep 1000");
    let host_path = volume.to_string_lossy().into_owned();
    let mount = |target: &str, propagation: MountPropagation, readonly| Mount {
        container_path: target.into(),
        host_path: host_path.clone(),
        readonly,
        propagation: propagation.into(),
        ..Default::default()
    };
    config.mounts = vec![
        mount("/private", MountPropagation::PropagationPrivate, true),
        mount("/slave", MountPropagation::PropagationHostToContainer, false),
    ];
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    mounted(&volume.join("inner")).unwrap();
    std::fs::write(volume.join("inner/late"), "").unwrap();
    let seen =
        node.sh(&id, "ls /private/inner /slave/inner; touch /slave/x; touch /private/y 2>/dev/null; ls /private").await;
    assert_eq!(String::from_utf8(seen.stdout).unwrap(), "/private/inner:\n\n/slave/inner:\nlate\ninner\nx\n");
    let request = StopContainerRequest { container_id: id, timeout: 0 };
    RuntimeService::stop_container(&node.runtime(), Request::new(request)).await.unwrap();
    for path in [volume.join("inner"), volume] {
        rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

pub async fn bidirectional_mounts_show_outside(node: &Node) {
    let pod = node.pod("both").await;
    let volume = node.folder().join("both");
    std::fs::create_dir_all(&volume).unwrap();
    rustix::mount::mount("none", &volume, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    rustix::mount::mount_change(&volume, rustix::mount::MountPropagationFlags::SHARED).unwrap();
    let mut config =
        node.container_config("mkdir /both/in && mount -t tmpfs none /both/in && : >/both/in/seen; sleep 1000");
    config.mounts = vec![Mount {
        container_path: "/both".into(),
        host_path: volume.to_string_lossy().into_owned(),
        propagation: MountPropagation::PropagationBidirectional.into(),
        ..Default::default()
    }];
    config.linux.as_mut().unwrap().security_context.as_mut().unwrap().privileged = true;
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    node.sh(&id, "until [ -e /both/in/seen ]; do :; done").await;
    assert!(volume.join("in/seen").exists());
    let request = RemoveContainerRequest { container_id: id };
    RuntimeService::remove_container(&node.runtime(), Request::new(request)).await.unwrap();
    for path in [volume.join("in"), volume] {
        rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

pub async fn host_ports_come_and_go(node: &Node) {
    let with_port = |name: &str, host_port: i32| {
        let mut config = node.pod_config(name);
        config.port_mappings = vec![PortMapping { host_port, container_port: 80, ..Default::default() }];
        RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() }
    };
    let run = |request| async { node.runtime().run_pod_sandbox(Request::new(request)).await };
    let first = run(with_port("first", 18080)).await.unwrap().into_inner().pod_sandbox_id;
    assert_eq!(run(with_port("second", 18080)).await.unwrap_err().code(), tonic::Code::AlreadyExists);
    node.forget();
    node.open().await;
    assert_eq!(run(with_port("third", 18080)).await.unwrap_err().code(), tonic::Code::AlreadyExists);
    run(with_port("other", 18081)).await.unwrap();
    let request = StopPodSandboxRequest { pod_sandbox_id: first };
    node.runtime().stop_pod_sandbox(Request::new(request)).await.unwrap();
    run(with_port("fourth", 18080)).await.unwrap();
}

pub async fn the_holder_of_shared_process_ids_leads_nowhere(node: &Node) {
    let mut config = node.pod_config("holder");
    let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
    let shared = NamespaceOption { pid: NamespaceMode::Pod.into(), ..Default::default() };
    security.namespace_options = Some(shared.clone());
    let request = RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
    let pod = node.runtime().run_pod_sandbox(Request::new(request)).await.unwrap().into_inner().pod_sandbox_id;
    let mut config = node.container_config("sleep 1000");
    let security = config.linux.as_mut().unwrap().security_context.as_mut().unwrap();
    security.namespace_options = Some(shared);
    // Who has this may look into every process that it sees.
    security.capabilities = Some(Capability { add_capabilities: vec!["SYS_PTRACE".into()], ..Default::default() });
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    let script = "cd /proc/1/root && ls -A | wc -l; ls /proc/1/fd | wc -l; \
        grep -E 'Uid|CapPrm|CapInh|NoNewPrivs' /proc/1/status | tr -s '\t ' ' '";
    let seen = String::from_utf8(node.sh(&id, script).await.stdout).unwrap();
    let expected =
        "0\n3\nUid: 65535 65535 65535 65535\nCapInh: 0000000000000000\nCapPrm: 0000000000000000\nNoNewPrivs: 1\n";
    assert_eq!(seen, expected);
}

pub async fn null_is_the_containers_own(node: &Node) {
    let pod = node.pod("null").await;
    let id = node.run(&pod, "sleep 1000").await;
    let device = "stat -L -c '%d %i' /proc/self/fd/0 /dev/null | uniq | wc -l; stat -L -c '%d %i' /proc/1/fd/0 /dev/null | uniq | wc -l";
    assert_eq!(String::from_utf8(node.sh(&id, device).await.stdout).unwrap(), "1\n1\n");
    // A volume at /dev says what its null is: not a file that is protected only later.
    let volume = node.folder().join("dev");
    std::fs::create_dir_all(&volume).unwrap();
    std::os::unix::fs::symlink("/proc/sys/kernel/core_pattern", volume.join("null")).unwrap();
    let mut config = node.container_config("readlink /proc/self/fd/0");
    config.metadata = Some(ContainerMetadata { name: "linked".into(), attempt: 0 });
    let host_path = volume.to_string_lossy().into_owned();
    config.mounts = vec![Mount { container_path: "/dev".into(), host_path, ..Default::default() }];
    // A mask needs the null device too, and could come when it is there again.
    config.linux.as_mut().unwrap().security_context.as_mut().unwrap().masked_paths.clear();
    let id = node.create(&pod, config).await;
    let problem = node.start(&id).await.unwrap_err();
    assert!(problem.message().contains("cannot open /dev/null"), "{problem}");
}

pub async fn a_read_only_root_has_read_only_files(node: &Node) {
    let pod = node.pod("readonly").await;
    let mut config = node.container_config("sleep 1000");
    config.linux.as_mut().unwrap().security_context.as_mut().unwrap().readonly_rootfs = true;
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    let script = "for file in hostname hosts resolv.conf x; do (: >>/etc/$file) 2>&1 | grep -c 'Read-only'; done";
    assert_eq!(String::from_utf8(node.sh(&id, script).await.stdout).unwrap(), "1\n1\n1\n1\n");
}

pub async fn extra_processes_are_as_ready_to_be_killed(node: &Node) {
    let pod = node.pod("score").await;
    let mut config = node.container_config("sleep 1000");
    let resources = LinuxContainerResources { oom_score_adj: 777, ..Default::default() };
    config.linux.as_mut().unwrap().resources = Some(resources);
    let id = node.create(&pod, config).await;
    node.start(&id).await.unwrap();
    assert_eq!(node.sh(&id, "cat /proc/1/oom_score_adj /proc/self/oom_score_adj").await.stdout, b"777\n777\n");
}
