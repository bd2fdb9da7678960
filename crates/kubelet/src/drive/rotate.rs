//! Rotation of container logs: a file that grew too large is put aside and the runtime opens a new one.
//!
//! Sizes are looked at now and then, as the kernel would tell of every single line otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rpc::cri::{ContainerFilter, ContainerState, ContainerStateValue, ContainerStatusRequest};
use rpc::cri::{ListContainersRequest, ReopenContainerLogRequest};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::context::Context;

const LOG_BYTES_MAX: u64 = 10 << 20;
/// Files of one container's log, the one that is written included.
const LOG_FILES_MAX: usize = 5;
const LOOK: Duration = Duration::from_secs(10);

/// Rotates until `stop`.
pub async fn run(cx: Arc<Context>, stop: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        if let Err(e) = look(&cx).await {
            tracing::warn!("logs were not looked at: {}", e.message());
        }
    }
}

async fn look(cx: &Context) -> Result<(), Status> {
    let running = Some(ContainerStateValue { state: ContainerState::ContainerRunning as i32 });
    let filter = Some(ContainerFilter { state: running, ..ContainerFilter::default() });
    let listed = cx.runtime.service.list_containers(Request::new(ListContainersRequest { filter })).await?;
    for container in listed.into_inner().containers {
        let request = ContainerStatusRequest { container_id: container.id.clone(), verbose: false };
        let Ok(answer) = cx.runtime.service.container_status(Request::new(request)).await else { continue };
        let path = PathBuf::from(answer.into_inner().status.unwrap_or_default().log_path);
        if fs::metadata(&path).is_ok_and(|m| m.len() > LOG_BYTES_MAX)
            && let Err(e) = rotate(cx, &container.id, &path).await
        {
            tracing::warn!("{} was not rotated: {e}", path.display());
        }
    }
    Ok(())
}

async fn rotate(cx: &Context, id: &str, path: &Path) -> Result<(), String> {
    for old in superfluous(path) {
        fs::remove_file(&old).map_err(|e| format!("{} stays: {e}", old.display()))?;
    }
    let stamp = jiff::fmt::strtime::format("%Y%m%d-%H%M%S", cx.now()).map_err(|e| e.to_string())?;
    let aside = PathBuf::from(format!("{}.{stamp}", path.display()));
    fs::rename(path, &aside).map_err(|e| e.to_string())?;
    let request = ReopenContainerLogRequest { container_id: id.to_owned() };
    if let Err(e) = cx.runtime.service.reopen_container_log(Request::new(request)).await {
        // The runtime goes on writing the old file: it gets its name back.
        fs::rename(&aside, path).map_err(|e| e.to_string())?;
        return Err(e.message().to_owned());
    }
    Ok(())
}

/// The files put aside earlier that must go before another one comes, the oldest first.
fn superfluous(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().map(|n| format!("{}.", n.to_string_lossy())).unwrap_or_default();
    let folder = path.parent().and_then(|p| fs::read_dir(p).ok());
    let entries = folder.into_iter().flatten().flatten();
    let mut aside: Vec<_> =
        entries.filter(|e| e.file_name().to_string_lossy().starts_with(&name)).map(|e| e.path()).collect();
    aside.sort();
    let kept = LOG_FILES_MAX - 2;
    aside.truncate(aside.len().saturating_sub(kept));
    aside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_files_stay() {
        let dir = std::env::temp_dir().join(format!("kubelet-rotate-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for name in ["0.log", "0.log.1", "0.log.2", "0.log.3", "0.log.4", "1.log.1"] {
            fs::write(dir.join(name), "").unwrap();
        }
        assert_eq!(superfluous(&dir.join("0.log")), [dir.join("0.log.1")]);
        fs::remove_dir_all(dir).unwrap();
    }
}
