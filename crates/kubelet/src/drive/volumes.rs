//! Volumes made real with the hands of crate `volume`, and taken away again.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use volume::{folder, mounts, owner};

use super::context::Context;
use crate::plan::config::facts::Folders;
use crate::plan::spec;
use crate::plan::volumes::{self, Files, Wanted};

const EMPTY_DIR_MODE: u32 = 0o777;
const HOST_FOLDER_MODE: u32 = 0o755;
const HOST_FILE_MODE: u32 = 0o644;

/// The host's folder of a volume.
pub fn path(folders: &Folders, pod: &Pod, volume: &Volume) -> String {
    let uid = spec::uid(pod);
    let plugin = if let Some(host) = &volume.host_path {
        return host.path.clone();
    } else if volume.empty_dir.is_some() {
        "empty-dir"
    } else if volume.config_map.is_some() {
        "configmap"
    } else if volume.secret.is_some() {
        "secret"
    } else if volume.downward_api.is_some() {
        "downward-api"
    } else {
        "projected"
    };
    folders.volume(uid, plugin, &volume.name)
}

/// Brings all volumes of the pod to what they should hold now; answers when a token is next due.
///
/// # Errors
/// The messages of `FailedMount` events.
pub async fn prepare(cx: &Context, pod: &Pod) -> Result<Option<Timestamp>, Vec<String>> {
    let names = volumes::names(pod);
    let refs = cx.refs(spec::namespace(pod), &names).await;
    let all = spec::spec(pod).volumes.as_deref().unwrap_or_default();
    let failed = |v: &str, e: String| format!("MountVolume.SetUp failed for volume {v:?} : {e}");
    let projected = all.iter().find(|v| v.projected.is_some()).map_or("", |v| v.name.as_str());
    let (tokens, due) = cx.tokens.tokens(&cx.client, pod, cx.now()).await.map_err(|e| vec![failed(projected, e)])?;
    let (mut work, mut problems) = (Vec::new(), Vec::new());
    for volume in all {
        match volumes::wanted(pod, volume, &refs, &cx.facts, &tokens) {
            Ok(wanted) => work.push((volume.name.clone(), path(&cx.config.folders, pod, volume), wanted)),
            Err(e) => problems.push(failed(&volume.name, e)),
        }
    }
    let group = Group { gid: volumes::fs_group(pod), on_mismatch: volumes::fs_group_on_mismatch(pod) };
    let done = tokio::task::spawn_blocking(move || {
        let one = |(name, path, wanted): (String, String, Wanted)| {
            make(Path::new(&path), wanted, &group).err().map(|e| failed(&name, e))
        };
        work.into_iter().filter_map(one).collect::<Vec<_>>()
    });
    problems.extend(done.await.unwrap_or_else(|e| vec![e.to_string()]));
    if problems.is_empty() { Ok(due) } else { Err(problems) }
}

/// Who owns the volumes of a pod.
struct Group {
    gid: Option<u32>,
    on_mismatch: bool,
}

fn make(path: &Path, wanted: Wanted, group: &Group) -> Result<(), String> {
    match wanted {
        Wanted::Empty { memory, limit_bytes } => empty(path, memory, limit_bytes, group).map_err(|e| e.to_string()),
        Wanted::Host { kind, .. } => host(path, &kind),
        Wanted::Files { plugin, files } => filled(path, plugin, files, group).map_err(|e| e.to_string()),
    }
}

fn empty(path: &Path, memory: bool, limit: Option<u64>, group: &Group) -> volume::Result<()> {
    let fresh = !path.exists();
    let io = |source| volume::Error::Io { operation: "create", path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(io)?;
    if memory {
        mounts::tmpfs(path, limit, EMPTY_DIR_MODE)?;
    }
    if fresh {
        fs::set_permissions(path, fs::Permissions::from_mode(EMPTY_DIR_MODE)).map_err(io)?;
    }
    // Only at first: later the files are the containers' own.
    match group.gid {
        Some(gid) if fresh => owner::give(path, gid, false, group.on_mismatch),
        _ => Ok(()),
    }
}

fn filled(path: &Path, plugin: &str, mut files: Files, group: &Group) -> volume::Result<()> {
    if plugin != "configmap" {
        mounts::tmpfs(path, None, EMPTY_DIR_MODE)?;
    }
    if let Some(gid) = group.gid {
        for file in files.values_mut() {
            file.gid = Some(gid);
            file.mode |= 0o440;
        }
    }
    folder::replace(path, &files).map(drop)
}

/// Checks what the host's path is, or makes it, by its type.
fn host(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(meta) => Some(meta.file_type()),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(format!("hostPath type check failed: {shown}: {e}")),
    };
    let is = |ok: bool, what: &str| {
        if ok { Ok(()) } else { Err(format!("hostPath type check failed: {shown} is not {what}")) }
    };
    let told = |r: std::io::Result<()>| r.map_err(|e| format!("hostPath {shown} could not be made: {e}"));
    match (kind, found) {
        ("" | "DirectoryOrCreate", None) => told(
            fs::create_dir_all(path)
                .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(HOST_FOLDER_MODE))),
        ),
        ("FileOrCreate", None) => {
            told(fs::File::create(path).and_then(|f| f.set_permissions(fs::Permissions::from_mode(HOST_FILE_MODE))))
        }
        ("", Some(_)) => Ok(()),
        ("Directory" | "DirectoryOrCreate", f) => is(f.is_some_and(|f| f.is_dir()), "a directory"),
        ("File" | "FileOrCreate", f) => is(f.is_some_and(|f| f.is_file()), "a file"),
        ("Socket", f) => is(f.is_some_and(|f| f.is_socket()), "a socket file"),
        ("CharDevice", f) => is(f.is_some_and(|f| f.is_char_device()), "a character device"),
        ("BlockDevice", f) => is(f.is_some_and(|f| f.is_block_device()), "a block device"),
        (other, _) => Err(format!("hostPath type {other:?} is not known")),
    }
}

/// Unmounts and removes everything of a pod.
///
/// # Errors
/// Something stayed; trying again may help.
pub async fn tear_down(cx: &Context, uid: &str) -> Result<(), String> {
    let folder = cx.config.folders.pod(uid);
    let done = tokio::task::spawn_blocking(move || mounts::remove_tree(Path::new(&folder)));
    cx.tokens.forget(uid);
    done.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}
