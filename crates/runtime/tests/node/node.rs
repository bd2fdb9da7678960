//! One runtime with folders, cgroup and addresses of its own, and shorthands for the calls of a kubelet.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::*;
use runtime::{Config, Runtime};
use tonic::Request;

pub const IMAGE: &str = "docker.io/library/busybox:1.28";
const ARCHIVE: &str = "/var/tmp/kybern-images/busybox.tar";

pub struct Node {
    folder: PathBuf,
    config: Config,
    runtime: Mutex<Option<Runtime>>,
}

impl Node {
    pub async fn new(test: &str) -> Node {
        let folder = std::env::temp_dir().join(format!("kybern-runtime-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let name = test.rsplit("::").next().unwrap();
        let config = Config {
            root: folder.join("data"),
            run: folder.join("run"),
            cgroup: format!("/kybern-rt-{}", std::process::id()),
            owner: format!("rt-{}-{name}", std::process::id()),
            mtu: 1500,
            pull: Default::default(),
        };
        Node { folder, config, runtime: Mutex::new(None) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn runtime(&self) -> Runtime {
        self.runtime.lock().unwrap().clone().unwrap()
    }

    /// Opens the runtime, again if it was dropped.
    pub async fn open(&self) {
        let runtime = Runtime::open(self.config.clone()).await.unwrap();
        let images = runtime.images();
        if images.find(IMAGE).is_none() {
            image::archive::load(&images, Path::new(ARCHIVE)).unwrap();
        }
        let network = NetworkConfig { pod_cidr: "10.249.7.0/24".into() };
        let config = RuntimeConfig { network_config: Some(network) };
        let request = UpdateRuntimeConfigRequest { runtime_config: Some(config) };
        runtime.update_runtime_config(Request::new(request)).await.unwrap();
        *self.runtime.lock().unwrap() = Some(runtime);
    }

    /// Forgets the runtime as a killed agent would: nothing is told to shims.
    pub fn forget(&self) {
        self.runtime.lock().unwrap().take();
    }

    pub async fn close(&mut self) {
        let runtime = self.runtime();
        let pods = runtime.list_pod_sandbox(Request::new(ListPodSandboxRequest::default())).await.unwrap().into_inner();
        for pod in pods.items {
            runtime.remove_pod_sandbox(Request::new(RemovePodSandboxRequest { pod_sandbox_id: pod.id })).await.unwrap();
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.folder.to_str().unwrap()), "mounts are left");
        let links = network::pod::links(&self.config.owner).unwrap();
        assert!(links.is_empty(), "links are left: {links:?}");
        network::ports::close(&network::ports::table(&self.config.owner)).unwrap();
        self.shims_end();
        container::cgroup::remove(&self.config.cgroup).unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// A shim says that it will end before it does.
    fn shims_end(&self) {
        let begin = std::time::Instant::now();
        let ours = |entry: &std::fs::DirEntry| {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(&format!("shim\0{}", self.folder.display()))
        };
        while std::fs::read_dir("/proc").unwrap().flatten().any(|entry| ours(&entry)) {
            assert!(begin.elapsed().as_secs() < 20, "shims are left");
            std::thread::yield_now();
        }
    }

    pub fn pod_config(&self, name: &str) -> PodSandboxConfig {
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.into(),
                uid: format!("uid-{name}"),
                namespace: "test".into(),
                attempt: 0,
            }),
            hostname: name.into(),
            log_directory: self.folder.join("logs").to_string_lossy().into_owned(),
            labels: [("app".to_string(), name.to_string())].into(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("{}/pod{name}", self.config.cgroup),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(NamespaceOption {
                        pid: NamespaceMode::Container.into(),
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub async fn pod(&self, name: &str) -> String {
        let request = RunPodSandboxRequest { config: Some(self.pod_config(name)), runtime_handler: String::new() };
        self.runtime().run_pod_sandbox(Request::new(request)).await.unwrap().into_inner().pod_sandbox_id
    }

    pub fn container_config(&self, script: &str) -> ContainerConfig {
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: "main".into(), attempt: 0 }),
            image: Some(ImageSpec { image: IMAGE.into(), ..Default::default() }),
            command: vec!["sh".into(), "-c".into(), script.into()],
            log_path: "main/0.log".into(),
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(NamespaceOption {
                        pid: NamespaceMode::Container.into(),
                        ..Default::default()
                    }),
                    masked_paths: ["/proc/interrupts", "/sys/firmware"].map(str::to_string).to_vec(),
                    readonly_paths: vec!["/proc/sys".into()],
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub async fn create(&self, pod: &str, config: ContainerConfig) -> String {
        let request = CreateContainerRequest { pod_sandbox_id: pod.into(), config: Some(config), sandbox_config: None };
        RuntimeService::create_container(&self.runtime(), Request::new(request))
            .await
            .unwrap()
            .into_inner()
            .container_id
    }

    pub async fn start(&self, id: &str) -> Result<(), tonic::Status> {
        let request = StartContainerRequest { container_id: id.into() };
        RuntimeService::start_container(&self.runtime(), Request::new(request)).await.map(|_| ())
    }

    /// Creates and starts a container that runs a shell script.
    pub async fn run(&self, pod: &str, script: &str) -> String {
        let id = self.create(pod, self.container_config(script)).await;
        self.start(&id).await.unwrap();
        id
    }

    pub async fn run_named(&self, pod: &str, name: &str, script: &str) -> String {
        let mut config = self.container_config(script);
        config.metadata = Some(ContainerMetadata { name: name.into(), attempt: 0 });
        config.log_path = format!("{name}/0.log");
        let id = self.create(pod, config).await;
        self.start(&id).await.unwrap();
        id
    }

    /// The process id of a container's first process, on the host.
    pub async fn pid(&self, id: &str) -> i32 {
        let request = ContainerStatusRequest { container_id: id.into(), verbose: true };
        let answer = self.runtime().container_status(Request::new(request)).await.unwrap().into_inner();
        let info: serde_json::Value = serde_json::from_str(&answer.info["info"]).unwrap();
        i32::try_from(info["pid"].as_i64().unwrap()).unwrap()
    }

    pub async fn status(&self, id: &str) -> ContainerStatus {
        let request = ContainerStatusRequest { container_id: id.into(), verbose: true };
        self.runtime().container_status(Request::new(request)).await.unwrap().into_inner().status.unwrap()
    }

    /// Waits, by events, until the container has ended.
    pub async fn ended(&self, id: &str) -> ContainerStatus {
        use futures::StreamExt;
        let mut events =
            self.runtime().get_container_events(Request::new(GetEventsRequest {})).await.unwrap().into_inner();
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let status = self.status(id).await;
                if status.state() == ContainerState::ContainerExited {
                    return status;
                }
                events.next().await.unwrap().unwrap();
            }
        });
        waited.await.expect("the container does not end")
    }

    pub async fn sh(&self, id: &str, script: &str) -> ExecSyncResponse {
        let cmd = ["sh", "-c", script].map(str::to_string).to_vec();
        let request = ExecSyncRequest { container_id: id.into(), cmd, timeout: 20 };
        RuntimeService::exec_sync(&self.runtime(), Request::new(request)).await.unwrap().into_inner()
    }

    /// The texts of the container's log, without times.
    pub fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("logs/main/0.log")).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_string()).collect()
    }
}
