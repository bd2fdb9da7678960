//! The CRI's image service over the image store.

use rpc::cri::image_service_server::ImageService;
use rpc::cri::*;
use tonic::{Request, Response, Status};

use crate::{Runtime, blocking, now, report};

type Answer<T> = Result<Response<T>, Status>;

/// An image problem in the CRI's codes.
pub(crate) fn refusal(problem: image::Error) -> Status {
    match problem {
        image::Error::Invalid(text) => Status::invalid_argument(text),
        image::Error::NotFound(text) => Status::not_found(text),
        image::Error::Denied(text) => Status::permission_denied(text),
        image::Error::Registry(text) => Status::unavailable(text),
        problem @ image::Error::Io { .. } => Status::internal(problem.to_string()),
    }
}

#[tonic::async_trait]
impl ImageService for Runtime {
    async fn list_images(&self, request: Request<ListImagesRequest>) -> Answer<ListImagesResponse> {
        let wanted =
            request.into_inner().filter.and_then(|filter| filter.image).map(|spec| spec.image).unwrap_or_default();
        let images =
            if wanted.is_empty() { self.0.images.list() } else { self.0.images.find(&wanted).into_iter().collect() };
        Ok(Response::new(ListImagesResponse { images: images.iter().map(report::image).collect() }))
    }

    async fn image_status(&self, request: Request<ImageStatusRequest>) -> Answer<ImageStatusResponse> {
        let wanted = request.into_inner().image.unwrap_or_default().image;
        let image = self.0.images.find(&wanted).as_ref().map(report::image);
        Ok(Response::new(ImageStatusResponse { image, info: Default::default() }))
    }

    async fn pull_image(&self, request: Request<PullImageRequest>) -> Answer<PullImageResponse> {
        let request = request.into_inner();
        let wanted = request.image.unwrap_or_default().image;
        let credentials = request.auth.map(credentials).unwrap_or_default();
        let image = self.0.puller.pull(&wanted, credentials).await.map_err(refusal)?;
        Ok(Response::new(PullImageResponse { image_ref: image.id }))
    }

    async fn remove_image(&self, request: Request<RemoveImageRequest>) -> Answer<RemoveImageResponse> {
        let wanted = request.into_inner().image.unwrap_or_default().image;
        let (images, used) = (self.0.images.clone(), self.state().used_layers());
        blocking(move || {
            images.remove(&wanted).map_err(refusal)?;
            images.collect(&used).map(|_| ()).map_err(refusal)
        })
        .await?;
        Ok(Response::new(RemoveImageResponse {}))
    }

    async fn image_fs_info(&self, _: Request<ImageFsInfoRequest>) -> Answer<ImageFsInfoResponse> {
        let images = self.0.images.clone();
        let usage = blocking(move || Ok(images.usage())).await?;
        let mountpoint = self.0.images.root().to_string_lossy().into_owned();
        let filesystem = FilesystemUsage {
            timestamp: now(),
            fs_id: Some(FilesystemIdentifier { mountpoint }),
            used_bytes: Some(UInt64Value { value: usage.0 }),
            inodes_used: Some(UInt64Value { value: usage.1 }),
        };
        Ok(Response::new(ImageFsInfoResponse {
            image_filesystems: vec![filesystem.clone()],
            container_filesystems: vec![filesystem],
        }))
    }
}

fn credentials(auth: AuthConfig) -> image::pull::Credentials {
    use image::pull::Credentials;
    if !auth.registry_token.is_empty() {
        return Credentials::Bearer(auth.registry_token);
    }
    if !auth.username.is_empty() {
        return Credentials::Basic { username: auth.username, password: auth.password };
    }
    match Credentials::from_basic(&auth.auth) {
        Some(credentials) => credentials,
        None => Credentials::None,
    }
}
