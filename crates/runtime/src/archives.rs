//! Images from files, and their single names, beside the CRI. Not here: how an archive is read (`image::archive`).

use std::path::PathBuf;

use rpc::archives::archives_server::Archives;
use rpc::archives::{LoadRequest, LoadResponse, UntagRequest, UntagResponse};
use tonic::{Request, Response, Status};

use crate::image_service::refusal;
use crate::{Runtime, blocking};

#[tonic::async_trait]
impl Archives for Runtime {
    async fn load(&self, request: Request<LoadRequest>) -> Result<Response<LoadResponse>, Status> {
        let path = PathBuf::from(request.into_inner().path);
        if !path.is_absolute() {
            return Err(Status::invalid_argument(format!("{} is not an absolute path", path.display())));
        }
        let store = self.images();
        let loaded = blocking(move || {
            image::archive::load(&store, &path).map_err(|problem| Status::invalid_argument(problem.to_string()))
        });
        let named = |image: image::Image| if image.tags.is_empty() { vec![image.id] } else { image.tags };
        let references = loaded.await?.into_iter().flat_map(named).collect();
        Ok(Response::new(LoadResponse { references }))
    }

    async fn untag(&self, request: Request<UntagRequest>) -> Result<Response<UntagResponse>, Status> {
        let reference = request.into_inner().reference;
        let (images, used) = (self.images(), self.state().used_layers());
        let removed = blocking(move || {
            let removed = images.untag(&reference).map_err(refusal)?;
            images.collect(&used).map_err(refusal)?;
            Ok(removed)
        });
        Ok(Response::new(UntagResponse { removed: removed.await? }))
    }
}
