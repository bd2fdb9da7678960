//! A runtime behind a socket: containerd, CRI-O, or one of ours in another process.

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use hyper_util::rt::TokioIo;
use rpc::cri::image_service_client::ImageServiceClient;
use rpc::cri::image_service_server::ImageService;
use rpc::cri::runtime_service_client::RuntimeServiceClient;
use rpc::cri::runtime_service_server::RuntimeService;
use rpc::cri::*;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::cri::{EventStream, Runtime};

/// Lists of many containers are larger than tonic's default.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Passes every call on over the socket.
struct Remote {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

/// The runtime that listens on a unix socket. It connects with the first call, and again after the runtime died.
pub fn connect(socket: PathBuf) -> Runtime {
    // The address is not used: the connector knows where to go.
    let endpoint = Endpoint::from_static("http://runtime");
    let channel = endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    }));
    let remote = Arc::new(Remote {
        runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
        images: ImageServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX),
    });
    Runtime { service: remote.clone(), images: remote }
}

macro_rules! runtime_calls {
    ($($name:ident($request:ident) -> $answer:ident;)*) => {
        #[tonic::async_trait]
        impl RuntimeService for Remote {
            type GetContainerEventsStream = EventStream;

            async fn get_container_events(
                &self,
                request: Request<GetEventsRequest>,
            ) -> Result<Response<EventStream>, Status> {
                let answer = self.runtime.clone().get_container_events(request).await?;
                Ok(answer.map(|events| events.boxed()))
            }

            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                self.runtime.clone().$name(request).await
            })*
        }
    };
}

macro_rules! image_calls {
    ($($name:ident($request:ident) -> $answer:ident;)*) => {
        #[tonic::async_trait]
        impl ImageService for Remote {
            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                self.images.clone().$name(request).await
            })*
        }
    };
}

runtime_calls! {
    version(VersionRequest) -> VersionResponse;
    run_pod_sandbox(RunPodSandboxRequest) -> RunPodSandboxResponse;
    stop_pod_sandbox(StopPodSandboxRequest) -> StopPodSandboxResponse;
    remove_pod_sandbox(RemovePodSandboxRequest) -> RemovePodSandboxResponse;
    pod_sandbox_status(PodSandboxStatusRequest) -> PodSandboxStatusResponse;
    list_pod_sandbox(ListPodSandboxRequest) -> ListPodSandboxResponse;
    create_container(CreateContainerRequest) -> CreateContainerResponse;
    start_container(StartContainerRequest) -> StartContainerResponse;
    stop_container(StopContainerRequest) -> StopContainerResponse;
    remove_container(RemoveContainerRequest) -> RemoveContainerResponse;
    list_containers(ListContainersRequest) -> ListContainersResponse;
    container_status(ContainerStatusRequest) -> ContainerStatusResponse;
    update_container_resources(UpdateContainerResourcesRequest) -> UpdateContainerResourcesResponse;
    reopen_container_log(ReopenContainerLogRequest) -> ReopenContainerLogResponse;
    exec_sync(ExecSyncRequest) -> ExecSyncResponse;
    exec(ExecRequest) -> ExecResponse;
    attach(AttachRequest) -> AttachResponse;
    port_forward(PortForwardRequest) -> PortForwardResponse;
    container_stats(ContainerStatsRequest) -> ContainerStatsResponse;
    list_container_stats(ListContainerStatsRequest) -> ListContainerStatsResponse;
    pod_sandbox_stats(PodSandboxStatsRequest) -> PodSandboxStatsResponse;
    list_pod_sandbox_stats(ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse;
    update_runtime_config(UpdateRuntimeConfigRequest) -> UpdateRuntimeConfigResponse;
    status(StatusRequest) -> StatusResponse;
    checkpoint_container(CheckpointContainerRequest) -> CheckpointContainerResponse;
    list_metric_descriptors(ListMetricDescriptorsRequest) -> ListMetricDescriptorsResponse;
    list_pod_sandbox_metrics(ListPodSandboxMetricsRequest) -> ListPodSandboxMetricsResponse;
    runtime_config(RuntimeConfigRequest) -> RuntimeConfigResponse;
    update_pod_sandbox_resources(UpdatePodSandboxResourcesRequest) -> UpdatePodSandboxResourcesResponse;
}

image_calls! {
    list_images(ListImagesRequest) -> ListImagesResponse;
    image_status(ImageStatusRequest) -> ImageStatusResponse;
    pull_image(PullImageRequest) -> PullImageResponse;
    remove_image(RemoveImageRequest) -> RemoveImageResponse;
    image_fs_info(ImageFsInfoRequest) -> ImageFsInfoResponse;
}
