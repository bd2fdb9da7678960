//! The CRI's runtime service: each call unpacked, carried out elsewhere, and packed again.

use std::time::Duration;

use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::*;
use tonic::{Request, Response, Status};

use crate::shim::protocol::Call;
use crate::{Runtime, blocking, choose, events, internal, now, report, state};

/// What kubelets want to hear for the CRI's version 1.
const KUBELET_API_VERSION: &str = "0.1.0";
const API_VERSION: &str = "v1";

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl RuntimeService for Runtime {
    type GetContainerEventsStream = events::EventStream;

    async fn version(&self, _: Request<VersionRequest>) -> Answer<VersionResponse> {
        Ok(Response::new(VersionResponse {
            version: KUBELET_API_VERSION.into(),
            runtime_name: "kybern".into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            runtime_api_version: API_VERSION.into(),
        }))
    }

    async fn run_pod_sandbox(&self, request: Request<RunPodSandboxRequest>) -> Answer<RunPodSandboxResponse> {
        let pod_sandbox_id = self.run_sandbox(request.into_inner()).await?;
        Ok(Response::new(RunPodSandboxResponse { pod_sandbox_id }))
    }

    async fn stop_pod_sandbox(&self, request: Request<StopPodSandboxRequest>) -> Answer<StopPodSandboxResponse> {
        self.stop_sandbox(&request.into_inner().pod_sandbox_id).await?;
        Ok(Response::new(StopPodSandboxResponse {}))
    }

    async fn remove_pod_sandbox(&self, request: Request<RemovePodSandboxRequest>) -> Answer<RemovePodSandboxResponse> {
        self.remove_sandbox(&request.into_inner().pod_sandbox_id).await?;
        Ok(Response::new(RemovePodSandboxResponse {}))
    }

    async fn pod_sandbox_status(&self, request: Request<PodSandboxStatusRequest>) -> Answer<PodSandboxStatusResponse> {
        let text = request.into_inner().pod_sandbox_id;
        let state = self.state();
        let id = state.sandbox_id(&text).ok_or_else(|| no_sandbox(&text))?;
        let of = state.containers.values().filter(|container| container.record.sandbox == id);
        Ok(Response::new(PodSandboxStatusResponse {
            status: Some(report::sandbox_status(&state.sandboxes[&id])),
            info: Default::default(),
            containers_statuses: of.map(report::container_status).collect(),
            timestamp: now(),
        }))
    }

    async fn list_pod_sandbox(&self, request: Request<ListPodSandboxRequest>) -> Answer<ListPodSandboxResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let state = self.state();
        let wanted = |sandbox: &&state::Sandbox| {
            sandbox.record.id.starts_with(&filter.id)
                && filter.state.is_none_or(|wanted| wanted.state() == sandbox.state())
                && state::selected(&sandbox.record.labels, &filter.label_selector)
        };
        let items = state.sandboxes.values().filter(wanted).map(report::sandbox_item).collect();
        Ok(Response::new(ListPodSandboxResponse { items }))
    }

    async fn create_container(&self, request: Request<CreateContainerRequest>) -> Answer<CreateContainerResponse> {
        let container_id = Runtime::create_container(self, request.into_inner()).await?;
        Ok(Response::new(CreateContainerResponse { container_id }))
    }

    async fn start_container(&self, request: Request<StartContainerRequest>) -> Answer<StartContainerResponse> {
        Runtime::start_container(self, &request.into_inner().container_id).await?;
        Ok(Response::new(StartContainerResponse {}))
    }

    async fn stop_container(&self, request: Request<StopContainerRequest>) -> Answer<StopContainerResponse> {
        let request = request.into_inner();
        let grace = Duration::from_secs(u64::try_from(request.timeout).unwrap_or(0));
        Runtime::stop_container(self, &request.container_id, grace).await?;
        Ok(Response::new(StopContainerResponse {}))
    }

    async fn remove_container(&self, request: Request<RemoveContainerRequest>) -> Answer<RemoveContainerResponse> {
        Runtime::remove_container(self, &request.into_inner().container_id).await?;
        Ok(Response::new(RemoveContainerResponse {}))
    }

    async fn list_containers(&self, request: Request<ListContainersRequest>) -> Answer<ListContainersResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let state = self.state();
        let wanted = |container: &&state::Container| {
            container.record.id.starts_with(&filter.id)
                && container.record.sandbox.starts_with(&filter.pod_sandbox_id)
                && filter.state.is_none_or(|wanted| wanted.state() == container.state())
                && state::selected(&container.record.labels, &filter.label_selector)
        };
        let containers = state.containers.values().filter(wanted).map(report::container_item).collect();
        Ok(Response::new(ListContainersResponse { containers }))
    }

    async fn container_status(&self, request: Request<ContainerStatusRequest>) -> Answer<ContainerStatusResponse> {
        let request = request.into_inner();
        let id = self.container_id(&request.container_id)?;
        let state = self.state();
        let container = state.containers.get(&id).ok_or_else(|| no_container(&id))?;
        let mut info = std::collections::BTreeMap::new();
        if let (true, crate::record::Status::Running { pid, .. }) = (request.verbose, &container.record.status) {
            info.insert("info".to_string(), serde_json::json!({ "pid": pid }).to_string());
        }
        Ok(Response::new(ContainerStatusResponse { status: Some(report::container_status(container)), info }))
    }

    async fn update_container_resources(
        &self,
        request: Request<UpdateContainerResourcesRequest>,
    ) -> Answer<UpdateContainerResourcesResponse> {
        let request = request.into_inner();
        let id = self.container_id(&request.container_id)?;
        let wanted = choose::resources(&request.linux.unwrap_or_default());
        let (limits, cgroup) = {
            let state = self.state();
            let container = state.containers.get(&id).ok_or_else(|| no_container(&id))?;
            (choose::limits(&wanted), container.record.cgroup.clone())
        };
        let is_running = matches!(
            self.state().containers.get(&id).map(|container| container.state()),
            Some(ContainerState::ContainerRunning)
        );
        if is_running {
            blocking(move || {
                container::cgroup::update(&cgroup, &limits)
                    .map_err(|problem| internal("cannot change the container's limits", problem))
            })
            .await?;
        }
        if let Some(container) = self.state().containers.get_mut(&id) {
            container.record.resources = choose::merged(&container.record.resources, wanted);
        }
        self.save_container(&id)?;
        Ok(Response::new(UpdateContainerResourcesResponse {}))
    }

    async fn reopen_container_log(
        &self,
        request: Request<ReopenContainerLogRequest>,
    ) -> Answer<ReopenContainerLogResponse> {
        let container = self.container_id(&request.into_inner().container_id)?;
        let (shim, _) = self.shim_of(&container)?;
        let reopened = shim.call(Call::ReopenLog { container }).await;
        reopened.map_err(|problem| internal("cannot open the container's log again", problem))?;
        Ok(Response::new(ReopenContainerLogResponse {}))
    }

    async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Answer<ExecSyncResponse> {
        self.run_exec_sync(request.into_inner()).await.map(Response::new)
    }

    async fn exec(&self, request: Request<ExecRequest>) -> Answer<ExecResponse> {
        let url = self.prepare_exec(request.into_inner())?;
        Ok(Response::new(ExecResponse { url }))
    }

    async fn attach(&self, request: Request<AttachRequest>) -> Answer<AttachResponse> {
        let url = self.prepare_attach(request.into_inner())?;
        Ok(Response::new(AttachResponse { url }))
    }

    async fn port_forward(&self, request: Request<PortForwardRequest>) -> Answer<PortForwardResponse> {
        let url = self.prepare_port_forward(request.into_inner())?;
        Ok(Response::new(PortForwardResponse { url }))
    }

    async fn container_stats(&self, request: Request<ContainerStatsRequest>) -> Answer<ContainerStatsResponse> {
        let id = self.container_id(&request.into_inner().container_id)?;
        let stats = self.stats_of_containers(move |container| container.record.id == id).await?.into_iter().next();
        Ok(Response::new(ContainerStatsResponse { stats }))
    }

    async fn list_container_stats(
        &self,
        request: Request<ListContainerStatsRequest>,
    ) -> Answer<ListContainerStatsResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let wanted = move |container: &state::Container| {
            container.record.id.starts_with(&filter.id)
                && container.record.sandbox.starts_with(&filter.pod_sandbox_id)
                && state::selected(&container.record.labels, &filter.label_selector)
        };
        Ok(Response::new(ListContainerStatsResponse { stats: self.stats_of_containers(wanted).await? }))
    }

    async fn pod_sandbox_stats(&self, request: Request<PodSandboxStatsRequest>) -> Answer<PodSandboxStatsResponse> {
        let text = request.into_inner().pod_sandbox_id;
        let id = self.state().sandbox_id(&text).ok_or_else(|| no_sandbox(&text))?;
        let stats = self.stats_of_sandboxes(move |sandbox| sandbox.record.id == id).await?.into_iter().next();
        Ok(Response::new(PodSandboxStatsResponse { stats }))
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<ListPodSandboxStatsRequest>,
    ) -> Answer<ListPodSandboxStatsResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let wanted = move |sandbox: &state::Sandbox| {
            sandbox.record.id.starts_with(&filter.id) && state::selected(&sandbox.record.labels, &filter.label_selector)
        };
        Ok(Response::new(ListPodSandboxStatsResponse { stats: self.stats_of_sandboxes(wanted).await? }))
    }

    async fn update_runtime_config(
        &self,
        request: Request<UpdateRuntimeConfigRequest>,
    ) -> Answer<UpdateRuntimeConfigResponse> {
        let config = request.into_inner().runtime_config.unwrap_or_default();
        let range = config.network_config.unwrap_or_default().pod_cidr;
        if !range.is_empty() {
            self.set_range(&range)?;
        }
        Ok(Response::new(UpdateRuntimeConfigResponse {}))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusResponse> {
        let condition = |kind: &str, status: bool, reason: &str, message: &str| RuntimeCondition {
            r#type: kind.into(),
            status,
            reason: if status { String::new() } else { reason.into() },
            message: if status { String::new() } else { message.into() },
        };
        let network = self.state().addresses.is_some();
        let message = "the pods' address range of this node is not known yet";
        let conditions = vec![
            condition("RuntimeReady", true, "", ""),
            condition("NetworkReady", network, "NetworkPluginNotReady", message),
        ];
        let features = RuntimeHandlerFeatures { recursive_read_only_mounts: true, user_namespaces: false };
        Ok(Response::new(StatusResponse {
            status: Some(RuntimeStatus { conditions }),
            info: Default::default(),
            runtime_handlers: vec![RuntimeHandler { name: String::new(), features: Some(features) }],
            features: Some(RuntimeFeatures { supplemental_groups_policy: true, user_namespaces_host_network: false }),
        }))
    }

    async fn checkpoint_container(
        &self,
        _: Request<CheckpointContainerRequest>,
    ) -> Answer<CheckpointContainerResponse> {
        Err(Status::unimplemented("this runtime does not checkpoint containers"))
    }

    async fn get_container_events(&self, _: Request<GetEventsRequest>) -> Answer<Self::GetContainerEventsStream> {
        Ok(Response::new(self.listen()))
    }

    async fn list_metric_descriptors(
        &self,
        _: Request<ListMetricDescriptorsRequest>,
    ) -> Answer<ListMetricDescriptorsResponse> {
        Err(Status::unimplemented("this runtime has no metrics of its own"))
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _: Request<ListPodSandboxMetricsRequest>,
    ) -> Answer<ListPodSandboxMetricsResponse> {
        Err(Status::unimplemented("this runtime has no metrics of its own"))
    }

    async fn runtime_config(&self, _: Request<RuntimeConfigRequest>) -> Answer<RuntimeConfigResponse> {
        let linux = LinuxRuntimeConfiguration { cgroup_driver: CgroupDriver::Cgroupfs.into() };
        Ok(Response::new(RuntimeConfigResponse { linux: Some(linux) }))
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: Request<UpdatePodSandboxResourcesRequest>,
    ) -> Answer<UpdatePodSandboxResourcesResponse> {
        let request = request.into_inner();
        let text = request.pod_sandbox_id;
        let cgroup = {
            let state = self.state();
            let id = state.sandbox_id(&text).ok_or_else(|| no_sandbox(&text))?;
            state.sandboxes[&id].record.cgroup_parent.clone()
        };
        let limits = choose::limits(&choose::resources(&request.resources.unwrap_or_default()));
        blocking(move || {
            container::cgroup::update(&cgroup, &limits)
                .map_err(|problem| internal("cannot change the pod's limits", problem))
        })
        .await?;
        Ok(Response::new(UpdatePodSandboxResourcesResponse {}))
    }
}

fn no_sandbox(text: &str) -> Status {
    Status::not_found(format!("an error occurred when try to find sandbox {text:?}: not found"))
}

fn no_container(text: &str) -> Status {
    Status::not_found(format!("an error occurred when try to find container {text:?}: not found"))
}
