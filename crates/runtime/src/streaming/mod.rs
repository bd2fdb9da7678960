//! Streaming sessions.
use crate::Runtime;
use rpc::cri;
use tonic::Status;

#[derive(Default)]
pub struct Sessions {}

pub async fn serve(_runtime: &Runtime) -> anyhow::Result<()> {
    Ok(())
}

impl Runtime {
    pub(crate) fn prepare_exec(&self, _request: cri::ExecRequest) -> Result<String, Status> {
        Err(Status::unimplemented("not yet"))
    }
    pub(crate) fn prepare_attach(&self, _request: cri::AttachRequest) -> Result<String, Status> {
        Err(Status::unimplemented("not yet"))
    }
    pub(crate) fn prepare_port_forward(&self, _request: cri::PortForwardRequest) -> Result<String, Status> {
        Err(Status::unimplemented("not yet"))
    }
}
