//! What a kubelet asks its runtime for besides what its hands do: readiness, the sandboxes that are there, events,
//! and probes that execute a command. All else is refused: in a simulation nobody asks.

use futures::StreamExt;
use kubelet::EventStream;
use kubelet::plan::config::labels;
use rpc::cri::image_service_server::ImageService;
use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::*;
use tonic::{Request, Response, Status};

use crate::engine::Engine;
use crate::program;

type Answer<T> = Result<Response<T>, Status>;

/// Writes the methods of a service: those of the first part do something, those of the second are refused.
macro_rules! service {
    ($trait:ident { $($item:tt)* } refused { $($name:ident($request:ty) -> $answer:ty;)* }) => {
        #[tonic::async_trait]
        impl $trait for Engine {
            $($item)*
            $(async fn $name(&self, _: Request<$request>) -> Answer<$answer> {
                Err(Status::unimplemented(concat!("a simulated runtime has no ", stringify!($name))))
            })*
        }
    };
}

fn ready(name: &str, status: bool) -> RuntimeCondition {
    RuntimeCondition { r#type: name.to_owned(), status, ..RuntimeCondition::default() }
}

fn listed(engine: &Engine) -> Vec<PodSandbox> {
    let of_pod = |(uid, held): (String, crate::engine::Held)| {
        let labels = [(labels::POD_UID, uid), (labels::POD_NAME, held.name), (labels::POD_NAMESPACE, held.namespace)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value));
        let sandbox = move |s: &kubelet::plan::seen::Sandbox| PodSandbox {
            id: s.id.clone(),
            labels: labels.clone().into(),
            ..PodSandbox::default()
        };
        held.observed.sandboxes.iter().map(sandbox).collect::<Vec<_>>()
    };
    engine.pods().into_iter().flat_map(of_pod).collect()
}

fn event(uid: String) -> ContainerEventResponse {
    let metadata = Some(PodSandboxMetadata { uid, ..PodSandboxMetadata::default() });
    let pod_sandbox_status = Some(PodSandboxStatus { metadata, ..PodSandboxStatus::default() });
    ContainerEventResponse { pod_sandbox_status, ..ContainerEventResponse::default() }
}

service! {
    RuntimeService {
        type GetContainerEventsStream = EventStream;

        async fn version(&self, _: Request<VersionRequest>) -> Answer<VersionResponse> {
            let (name, version) = ("sim".to_owned(), "1".to_owned());
            let answer = VersionResponse { runtime_name: name, runtime_version: version, ..VersionResponse::default() };
            Ok(Response::new(answer))
        }

        async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusResponse> {
            let conditions = vec![ready("RuntimeReady", true), ready("NetworkReady", self.has_range())];
            let status = Some(RuntimeStatus { conditions });
            Ok(Response::new(StatusResponse { status, ..StatusResponse::default() }))
        }

        async fn update_runtime_config(
            &self,
            request: Request<UpdateRuntimeConfigRequest>,
        ) -> Answer<UpdateRuntimeConfigResponse> {
            let network = request.into_inner().runtime_config.and_then(|config| config.network_config);
            network.iter().for_each(|network| self.set_range(&network.pod_cidr));
            Ok(Response::new(UpdateRuntimeConfigResponse {}))
        }

        async fn list_pod_sandbox(&self, _: Request<ListPodSandboxRequest>) -> Answer<ListPodSandboxResponse> {
            Ok(Response::new(ListPodSandboxResponse { items: listed(self) }))
        }

        /// Logs are all that is asked for by this list, and there are none.
        async fn list_containers(&self, _: Request<ListContainersRequest>) -> Answer<ListContainersResponse> {
            Ok(Response::new(ListContainersResponse::default()))
        }

        async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Answer<ExecSyncResponse> {
            let run = program::run("", &request.into_inner().cmd);
            tokio::time::sleep(run.lasts).await;
            Ok(Response::new(ExecSyncResponse { exit_code: run.exit_code, ..ExecSyncResponse::default() }))
        }

        async fn get_container_events(&self, _: Request<GetEventsRequest>) -> Answer<EventStream> {
            let heard = futures::stream::unfold(self.listen(), async |mut changes| {
                changes.recv().await.map(|uid| (Ok(event(uid)), changes))
            });
            Ok(Response::new(heard.boxed()))
        }
    } refused {
        run_pod_sandbox(RunPodSandboxRequest) -> RunPodSandboxResponse;
        stop_pod_sandbox(StopPodSandboxRequest) -> StopPodSandboxResponse;
        remove_pod_sandbox(RemovePodSandboxRequest) -> RemovePodSandboxResponse;
        pod_sandbox_status(PodSandboxStatusRequest) -> PodSandboxStatusResponse;
        create_container(CreateContainerRequest) -> CreateContainerResponse;
        start_container(StartContainerRequest) -> StartContainerResponse;
        stop_container(StopContainerRequest) -> StopContainerResponse;
        remove_container(RemoveContainerRequest) -> RemoveContainerResponse;
        container_status(ContainerStatusRequest) -> ContainerStatusResponse;
        update_container_resources(UpdateContainerResourcesRequest) -> UpdateContainerResourcesResponse;
        reopen_container_log(ReopenContainerLogRequest) -> ReopenContainerLogResponse;
        exec(ExecRequest) -> ExecResponse;
        attach(AttachRequest) -> AttachResponse;
        port_forward(PortForwardRequest) -> PortForwardResponse;
        container_stats(ContainerStatsRequest) -> ContainerStatsResponse;
        list_container_stats(ListContainerStatsRequest) -> ListContainerStatsResponse;
        pod_sandbox_stats(PodSandboxStatsRequest) -> PodSandboxStatsResponse;
        list_pod_sandbox_stats(ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse;
        checkpoint_container(CheckpointContainerRequest) -> CheckpointContainerResponse;
        list_metric_descriptors(ListMetricDescriptorsRequest) -> ListMetricDescriptorsResponse;
        list_pod_sandbox_metrics(ListPodSandboxMetricsRequest) -> ListPodSandboxMetricsResponse;
        runtime_config(RuntimeConfigRequest) -> RuntimeConfigResponse;
        update_pod_sandbox_resources(UpdatePodSandboxResourcesRequest) -> UpdatePodSandboxResourcesResponse;
    }
}

service! {
    ImageService {
        async fn list_images(&self, _: Request<ListImagesRequest>) -> Answer<ListImagesResponse> {
            Ok(Response::new(ListImagesResponse::default()))
        }
    } refused {
        image_status(ImageStatusRequest) -> ImageStatusResponse;
        pull_image(PullImageRequest) -> PullImageResponse;
        remove_image(RemoveImageRequest) -> RemoveImageResponse;
        image_fs_info(ImageFsInfoRequest) -> ImageFsInfoResponse;
    }
}
