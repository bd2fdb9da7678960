//! What happened to sandboxes and containers, for whoever listens. Not here: deciding what happened.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use rpc::cri::{ContainerEventResponse, ContainerEventType};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::Status;

use crate::{Runtime, now};

/// Events that a slow listener may be behind before its stream is ended and it must list again.
pub const BEHIND_MAX: usize = 4096;

pub type EventStream = BoxStream<'static, Result<ContainerEventResponse, Status>>;

impl Runtime {
    /// Tells of a container, or of a sandbox by its own id, with the statuses of now.
    pub(crate) fn tell(&self, sandbox: &str, container: &str, kind: ContainerEventType) {
        let state = self.state();
        let status = state.sandboxes.get(sandbox).map(crate::report::sandbox_status);
        let of = state.containers.values().filter(|container| container.record.sandbox == sandbox);
        let event = ContainerEventResponse {
            container_id: container.to_string(),
            container_event_type: kind.into(),
            created_at: now(),
            pod_sandbox_status: status,
            containers_statuses: of.map(crate::report::container_status).collect(),
        };
        drop(state);
        // Nobody listening is fine.
        let _ = self.0.events.send(Arc::new(event));
    }

    pub(crate) fn listen(&self) -> EventStream {
        stream(self.0.events.subscribe())
    }
}

fn stream(receiver: broadcast::Receiver<Arc<ContainerEventResponse>>) -> EventStream {
    let events = BroadcastStream::new(receiver).map(|event| match event {
        Ok(event) => Ok(Arc::unwrap_or_clone(event)),
        Err(BroadcastStreamRecvError::Lagged(count)) => {
            Err(Status::data_loss(format!("{count} events were missed: list again")))
        }
    });
    // A gap ends the stream: a listener that went on would never know.
    events
        .scan(false, |ended, event| {
            let last = *ended;
            *ended = event.is_err();
            futures::future::ready(if last { None } else { Some(event) })
        })
        .boxed()
}
