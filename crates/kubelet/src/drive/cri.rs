//! The runtime through the CRI, and what it shows turned into what plans read.
//!
//! In one process the calls stay in it: the runtime implements tonic's server traits and is called through them.

use std::cmp::Reverse;
use std::sync::Arc;

use futures::stream::BoxStream;
use jiff::Timestamp;
use rpc::cri::image_service_server::ImageService;
use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::{
    Container as Listed, ContainerEventResponse, ContainerFilter, ContainerState, ContainerStatus,
    ContainerStatusRequest, ListContainersRequest, ListPodSandboxRequest, NamespaceMode, PodSandbox, PodSandboxFilter,
    PodSandboxState, PodSandboxStatus, PodSandboxStatusRequest,
};
use tonic::{Request, Status};

use super::termination;
use crate::plan::config::labels;
use crate::plan::seen::{Container, Sandbox, State};

pub type EventStream = BoxStream<'static, Result<ContainerEventResponse, Status>>;
pub type Service = Arc<dyn RuntimeService<GetContainerEventsStream = EventStream>>;
pub type Images = Arc<dyn ImageService>;

/// Both services of a runtime. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub service: Service,
    pub images: Images,
}

/// What the runtime has of one pod, newest first.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub sandboxes: Vec<Sandbox>,
    pub containers: Vec<Container>,
}

fn selector(uid: &str) -> impl Iterator<Item = (String, String)> {
    [(labels::POD_UID.to_owned(), uid.to_owned())].into_iter()
}

fn time(nanos: i64) -> Option<Timestamp> {
    (nanos > 0).then(|| Timestamp::from_nanosecond(nanos.into()).ok())?
}

impl Runtime {
    /// All sandboxes, or those of one pod.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn sandboxes(&self, uid: Option<&str>) -> Result<Vec<PodSandbox>, Status> {
        let label_selector = uid.into_iter().flat_map(selector).collect();
        let filter = Some(PodSandboxFilter { label_selector, ..PodSandboxFilter::default() });
        let listed = self.service.list_pod_sandbox(Request::new(ListPodSandboxRequest { filter })).await?;
        Ok(listed.into_inner().items)
    }

    async fn containers(&self, uid: &str) -> Result<Vec<Listed>, Status> {
        let filter = Some(ContainerFilter { label_selector: selector(uid).collect(), ..ContainerFilter::default() });
        let listed = self.service.list_containers(Request::new(ListContainersRequest { filter })).await?;
        Ok(listed.into_inner().containers)
    }

    /// Everything of one pod. What was known as ended is not asked for again: it cannot change.
    ///
    /// # Errors
    /// The runtime's; what vanished between two questions is left out.
    pub async fn observe(&self, uid: &str, known: &[Container]) -> Result<Observed, Status> {
        let mut out = Observed::default();
        for listed in self.sandboxes(Some(uid)).await? {
            let request = PodSandboxStatusRequest { pod_sandbox_id: listed.id.clone(), verbose: false };
            match self.service.pod_sandbox_status(Request::new(request)).await {
                Ok(answer) => out.sandboxes.extend(answer.into_inner().status.as_ref().map(sandbox)),
                Err(e) if e.code() == tonic::Code::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        for listed in self.containers(uid).await? {
            if let Some(ended) = known.iter().find(|c| c.id == listed.id && c.exited()) {
                out.containers.push(ended.clone());
                continue;
            }
            let request = ContainerStatusRequest { container_id: listed.id.clone(), verbose: false };
            match self.service.container_status(Request::new(request)).await {
                Ok(answer) => {
                    let status = answer.into_inner().status;
                    out.containers.extend(status.map(|s| container(&s, &listed.pod_sandbox_id)));
                }
                Err(e) if e.code() == tonic::Code::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        out.sandboxes.sort_by_key(|s| Reverse((s.attempt, s.created)));
        out.containers.sort_by_key(|c| Reverse((c.created, c.restarts)));
        Ok(out)
    }
}

fn sandbox(status: &PodSandboxStatus) -> Sandbox {
    let network = status.network.clone().unwrap_or_default();
    let options = status.linux.as_ref().and_then(|l| l.namespaces.as_ref()).and_then(|n| n.options.as_ref());
    let more = network.additional_ips.into_iter().map(|ip| ip.ip);
    Sandbox {
        id: status.id.clone(),
        attempt: status.metadata.as_ref().map_or(0, |m| m.attempt),
        ready: status.state() == PodSandboxState::SandboxReady,
        created: time(status.created_at).unwrap_or_default(),
        host_network: options.is_some_and(|o| o.network() == NamespaceMode::Node),
        ips: [network.ip].into_iter().chain(more).filter(|ip| !ip.is_empty()).collect(),
    }
}

fn container(status: &ContainerStatus, sandbox: &str) -> Container {
    let annotation = |key: &str| status.annotations.get(key).cloned().unwrap_or_default();
    let state = match status.state() {
        ContainerState::ContainerCreated => State::Created,
        ContainerState::ContainerRunning => State::Running,
        ContainerState::ContainerExited => State::Exited,
        ContainerState::ContainerUnknown => State::Unknown,
    };
    let attempt = status.metadata.as_ref().map_or(0, |m| m.attempt);
    let named = status
        .image
        .as_ref()
        .map(|i| if i.user_specified_image.is_empty() { &i.image } else { &i.user_specified_image });
    let linux = status.user.as_ref().and_then(|u| u.linux.clone());
    let mut out = Container {
        id: status.id.clone(),
        name: status.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default(),
        sandbox: sandbox.to_owned(),
        state,
        created: time(status.created_at).unwrap_or_default(),
        started: time(status.started_at),
        finished: time(status.finished_at),
        exit_code: status.exit_code,
        reason: reason(status),
        message: status.message.clone(),
        image: named.cloned().unwrap_or_default(),
        image_id: if status.image_ref.is_empty() { status.image_id.clone() } else { status.image_ref.clone() },
        hash: annotation(labels::HASH),
        restarts: annotation(labels::RESTART_COUNT).parse().unwrap_or(attempt),
        log_path: status.log_path.clone(),
        user: linux.map(|u| (u.uid, u.gid, u.supplemental_groups)),
    };
    if out.exited()
        && let Some(told) = termination::message(status)
    {
        out.message = told;
    }
    out
}

/// The runtime's reason, or what the exit code says when it gives none.
fn reason(status: &ContainerStatus) -> String {
    match (status.state(), status.reason.as_str(), status.exit_code) {
        (ContainerState::ContainerExited, "", 0) => "Completed".into(),
        (ContainerState::ContainerExited, "", _) => "Error".into(),
        (_, given, _) => given.into(),
    }
}
