//! The mounts of one container: its volumes, `/etc/hosts`, the file of its termination message.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};
use rpc::cri::{Mount, MountPropagation};
use volume::beneath;

use super::context::Context;
use super::volumes;
use crate::plan::config::expand::expand;
use crate::plan::config::hosts;
use crate::plan::spec;

const TERMINATION_PATH: &str = "/dev/termination-log";
const TERMINATION_MODE: u32 = 0o666;
const HOSTS_MODE: u32 = 0o644;

/// Prepares and lists the mounts for the container's instance with this restart count.
///
/// # Errors
/// The message of a `CreateContainerConfigError`.
pub fn of_container(
    cx: &Context,
    pod: &Pod,
    container: &Container,
    restarts: u32,
    environment: &BTreeMap<String, String>,
    ips: &[String],
) -> Result<Vec<Mount>, String> {
    let mut out = Vec::new();
    for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
        out.push(of_volume(cx, pod, container, i, mount, environment)?);
    }
    let taken = |path: &str, out: &[Mount]| out.iter().any(|m| m.container_path == path);
    if !taken("/etc/hosts", &out) && (!ips.is_empty() || spec::host_network(pod)) {
        let path = cx.config.folders.etc_hosts(spec::uid(pod));
        write(&path, &hosts::file(pod, &cx.facts, ips), HOSTS_MODE)?;
        let own = container.security_context.as_ref().and_then(|c| c.read_only_root_filesystem);
        out.push(plain("/etc/hosts", path, own.unwrap_or(false)));
    }
    let told = container.termination_message_path.as_deref().filter(|p| !p.is_empty()).unwrap_or(TERMINATION_PATH);
    if !taken(told, &out) {
        let path = format!("{}/containers/{}/{restarts}", cx.config.folders.pod(spec::uid(pod)), container.name);
        write(&path, "", TERMINATION_MODE)?;
        out.push(plain(told, path, false));
    }
    Ok(out)
}

fn plain(container_path: &str, host_path: String, readonly: bool) -> Mount {
    Mount { container_path: container_path.to_owned(), host_path, readonly, ..Mount::default() }
}

fn write(path: &str, content: &str, mode: u32) -> Result<(), String> {
    let path = Path::new(path);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, content));
    let set = made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    set.map_err(|e| format!("{} could not be written: {e}", path.display()))
}

fn of_volume(
    cx: &Context,
    pod: &Pod,
    container: &Container,
    index: usize,
    mount: &VolumeMount,
    environment: &BTreeMap<String, String>,
) -> Result<Mount, String> {
    let all = spec::spec(pod).volumes.as_deref().unwrap_or_default();
    let missing = || format!("cannot find volume {:?} to mount into container {:?}", mount.name, container.name);
    let volume = all.iter().find(|v| v.name == mount.name).ok_or_else(missing)?;
    if mount.recursive_read_only.as_deref() == Some("Enabled") {
        return Err(format!("recursiveReadOnly of volume mount {:?} is not supported by this node", mount.name));
    }
    let root = volumes::path(&cx.config.folders, pod, volume);
    let host_path = match sub_path(mount, environment)? {
        None => root,
        Some(sub) => {
            let folder = cx.config.folders.pod(spec::uid(pod));
            let target = format!("{folder}/volume-subpaths/{}/{}/{index}", volume.name, container.name);
            let told = |e: volume::Error| {
                format!(
                    "failed to prepare subPath for volumeMount {:?} of container {:?}: {e}",
                    mount.name, container.name
                )
            };
            beneath::bind(Path::new(&root), &sub, Path::new(&target)).map_err(told)?;
            target
        }
    };
    let propagation = match mount.mount_propagation.as_deref() {
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        _ => MountPropagation::PropagationPrivate,
    };
    let path =
        if mount.mount_path.starts_with('/') { mount.mount_path.clone() } else { format!("/{}", mount.mount_path) };
    Ok(Mount {
        container_path: path,
        host_path,
        readonly: mount.read_only.unwrap_or(false),
        propagation: propagation as i32,
        ..Mount::default()
    })
}

/// The path inside the volume, with references replaced where they may be.
fn sub_path(mount: &VolumeMount, environment: &BTreeMap<String, String>) -> Result<Option<String>, String> {
    if let Some(text) = mount.sub_path_expr.as_deref().filter(|t| !t.is_empty()) {
        let unknown = std::cell::Cell::new(false);
        let lookup = |name: &str| {
            let found = environment.get(name).cloned();
            unknown.set(unknown.get() || found.is_none());
            found
        };
        let expanded = expand(text, &lookup);
        if unknown.get() {
            return Err(format!("failed to expand subPathExpr {text:?}: a variable is not set"));
        }
        return Ok(Some(expanded));
    }
    Ok(mount.sub_path.clone().filter(|t| !t.is_empty()))
}
