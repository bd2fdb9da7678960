//! Making, starting, stopping and removing containers. Not here: what the configuration should be ([`crate::choose`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use container::spec::{self, Device, ProcessIds};
use container::user::User;
use image::rootfs::Rootfs;
use rpc::cri;
use rpc::cri::ContainerEventType as Event;
use rpc::cri::security_profile::ProfileType;
use rustix::fs::FileType;
use tonic::Status as Refusal;

use crate::connection::{CallError, Shim};
use crate::record::{self, Phase, Status};
use crate::shim::protocol::{Answer, Call, ContainerState, Start};
use crate::state::Container;
use crate::{Runtime, blocking, choose, internal, new_id, now, sandbox_files};

/// Exit code of a container that could not be started, as containerd reports it.
const START_ERROR_CODE: i32 = 128;
/// After SIGKILL a process ends, unless the kernel holds it; then the caller must hear so.
const KILL_TIMEOUT_S: u64 = 30;

impl Runtime {
    /// Makes a container: its record, writable layer and spec. Nothing runs yet.
    pub(crate) async fn create_container(&self, request: cri::CreateContainerRequest) -> Result<String, Refusal> {
        let config = request.config.ok_or_else(|| Refusal::invalid_argument("container config is missing"))?;
        let sandbox = self.ready_sandbox(&request.pod_sandbox_id)?;
        let wanted = config.image.clone().unwrap_or_default();
        let image = self.0.images.find(&wanted.image);
        let image = image.ok_or_else(|| Refusal::not_found(format!("image {:?} not found", wanted.image)))?;
        let runtime = self.clone();
        // The container moves into its group soon, and what the sandbox did for that may be too long ago.
        tokio::task::spawn_blocking(container::cgroup::warm_up);
        let record = blocking(move || runtime.make_container(&config, &sandbox, &image)).await?;
        let (id, sandbox) = (record.id.clone(), record.sandbox.clone());
        if let Err(problem) = self.take_name(record) {
            let runtime = self.clone();
            blocking(move || runtime.remove_container_files(&id)).await?;
            return Err(problem);
        }
        self.tell(&sandbox, &id, Event::ContainerCreatedEvent);
        Ok(id)
    }

    fn ready_sandbox(&self, text: &str) -> Result<record::Sandbox, Refusal> {
        let state = self.state();
        let id = state.sandbox_id(text).ok_or_else(|| Refusal::not_found(format!("sandbox {text:?} not found")))?;
        let sandbox = &state.sandboxes[&id];
        if sandbox.record.phase == Phase::Ready && sandbox.shim.is_some() {
            return Ok(sandbox.record.clone());
        }
        Err(Refusal::failed_precondition(format!("sandbox container {id:?} is not running")))
    }

    /// Two containers of one name and attempt cannot be in a sandbox.
    fn take_name(&self, record: record::Container) -> Result<(), Refusal> {
        let mut state = self.state();
        let same = |other: &&Container| {
            (&other.record.sandbox, &other.record.name, other.record.attempt)
                == (&record.sandbox, &record.name, record.attempt)
        };
        if let Some(other) = state.containers.values().find(same) {
            return Err(Refusal::already_exists(format!(
                "the name of the container is reserved for {:?}",
                other.record.id
            )));
        }
        if !state.sandboxes.contains_key(&record.sandbox) {
            return Err(Refusal::not_found(format!("sandbox {:?} was removed", record.sandbox)));
        }
        state.containers.insert(record.id.clone(), Container::new(record));
        Ok(())
    }

    fn make_container(
        &self,
        config: &cri::ContainerConfig,
        sandbox: &record::Sandbox,
        image: &image::Image,
    ) -> Result<record::Container, Refusal> {
        let record = self.new_record(config, sandbox, image)?;
        let spec = self.spec(config, sandbox, image, &record)?;
        let failed = |problem: std::io::Error| internal("cannot make the container's files", problem);
        let bundle = self.config().bundle(&record.id);
        fs::create_dir_all(&record.rootfs.upper).map_err(failed)?;
        fs::create_dir_all(&record.rootfs.work).map_err(failed)?;
        fs::create_dir_all(&bundle).map_err(failed)?;
        let bytes = serde_json::to_vec(&spec::build(&spec)).map_err(|problem| failed(problem.into()))?;
        if let Some(profile) = &spec.seccomp {
            let filter =
                self.0.filters.of(profile).map_err(|problem| Refusal::invalid_argument(problem.to_string()))?;
            fs::write(container::filter::file(&bundle), &*filter).map_err(failed)?;
        }
        fs::write(bundle.join("config.json"), bytes).map_err(failed)?;
        // Last: a folder without a record is removed by the next start.
        record::write(&self.config().container_record(&record.id), &record).map_err(failed)?;
        Ok(record)
    }

    fn new_record(
        &self,
        config: &cri::ContainerConfig,
        sandbox: &record::Sandbox,
        image: &image::Image,
    ) -> Result<record::Container, Refusal> {
        let metadata =
            config.metadata.clone().ok_or_else(|| Refusal::invalid_argument("container config has no metadata"))?;
        let wanted = config.image.clone().unwrap_or_default();
        let linux = config.linux.clone().unwrap_or_default();
        let security = linux.security_context.unwrap_or_default();
        let id = new_id()?;
        let folder = self.config().container_dir(&id);
        let rootfs = Rootfs {
            layers_dir: self.0.images.layers_dir(),
            layers: image.layers.clone(),
            upper: folder.join("upper"),
            work: folder.join("work"),
        };
        let user = user(&security, image, &rootfs)?;
        let log_path = if config.log_path.is_empty() || sandbox.log_directory.is_empty() {
            String::new()
        } else {
            Path::new(&sandbox.log_directory).join(&config.log_path).to_string_lossy().into_owned()
        };
        let stop_signal = match config.stop_signal() {
            cri::Signal::RuntimeDefault if image.config.stop_signal.is_empty() => "SIGTERM".to_string(),
            cri::Signal::RuntimeDefault => image.config.stop_signal.clone(),
            signal => signal.as_str_name().to_string(),
        };
        let propagates = |mount: &cri::Mount| mount.propagation() == cri::MountPropagation::PropagationBidirectional;
        Ok(record::Container {
            sandbox: sandbox.id.clone(),
            name: metadata.name,
            attempt: metadata.attempt,
            image: wanted.image,
            user_specified_image: wanted.user_specified_image,
            image_id: image.id.clone(),
            image_ref: image.digests.first().unwrap_or(&image.id).clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            created_at: now(),
            mounts: config.mounts.iter().map(reported_mount).collect(),
            log_path,
            tty: config.tty,
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            cgroup: format!("{}/{id}", sandbox.cgroup_parent.trim_end_matches('/')),
            user,
            cwd: choose::cwd(config, &image.config),
            rootfs,
            shared_root: config.mounts.iter().any(propagates),
            resources: choose::resources(&linux.resources.unwrap_or_default()),
            stop_signal,
            status: Status::Created,
            id,
        })
    }

    fn spec(
        &self,
        config: &cri::ContainerConfig,
        sandbox: &record::Sandbox,
        image: &image::Image,
        record: &record::Container,
    ) -> Result<spec::Config, Refusal> {
        if !config.cdi_devices.is_empty() {
            return Err(Refusal::unimplemented("CDI devices are not supported by this runtime"));
        }
        let security = config.linux.clone().unwrap_or_default().security_context.unwrap_or_default();
        let capabilities = choose::capabilities(&security)?;
        let (masked_paths, readonly_paths) = choose::masked_paths(&security);
        Ok(spec::Config {
            args: choose::args(config, &image.config)?,
            env: choose::env(config, &image.config, &sandbox.hostname, &record.user),
            cwd: record.cwd.clone(),
            terminal: config.tty,
            user: record.user.clone(),
            no_new_privileges: security.no_new_privs,
            oom_score_adj: choose::oom_score(&record.resources),
            seccomp: seccomp(&security, &capabilities)?,
            capabilities,
            mounts: self.mounts(config, sandbox, &security)?,
            devices: devices(config, security.privileged)?,
            process_ids: self.process_ids(&security, &sandbox.id)?,
            readonly_rootfs: security.readonly_rootfs,
            shared_root: record.shared_root,
            masked_paths,
            readonly_paths,
            privileged: security.privileged,
            cgroup: record.cgroup.clone(),
            resources: choose::limits(&record.resources),
        })
    }

    fn mounts(
        &self,
        config: &cri::ContainerConfig,
        sandbox: &record::Sandbox,
        security: &cri::LinuxContainerSecurityContext,
    ) -> Result<Vec<spec::Mount>, Refusal> {
        let shm = self.config().shm(&sandbox.id).to_string_lossy().into_owned();
        let shm = if sandbox.namespaces.host_ipc() { "/dev/shm" } else { &shm };
        let has =
            |target: &str| config.mounts.iter().any(|mount| Path::new(&mount.container_path) == Path::new(target));
        let mut mounts = choose::system_mounts(security.privileged, Some(shm));
        mounts.retain(|mount| !has(&mount.target));
        let access = if security.readonly_rootfs { "ro" } else { "rw" };
        for file in ["hostname", "hosts", "resolv.conf"] {
            let target = format!("/etc/{file}");
            if !has(&target) {
                let source = self.config().sandbox_dir(&sandbox.id).join(file).to_string_lossy().into_owned();
                let options = ["rbind", "rprivate", access].map(str::to_string).to_vec();
                mounts.push(spec::Mount { source, target, kind: "bind".into(), options });
            }
        }
        // Outer mounts first, so that an inner one is not hidden by its parent.
        let mut wanted: Vec<&cri::Mount> = config.mounts.iter().collect();
        wanted.sort_by_key(|mount| Path::new(&mount.container_path).components().count());
        for mount in wanted {
            mounts.push(choose::mount(mount, source(mount)?)?);
        }
        Ok(mounts)
    }

    /// Whose processes the container sees.
    fn process_ids(&self, security: &cri::LinuxContainerSecurityContext, sandbox: &str) -> Result<ProcessIds, Refusal> {
        let options = security.namespace_options.clone().unwrap_or_default();
        let namespace_of = |pid: i32| ProcessIds::Of(PathBuf::from(format!("/proc/{pid}/ns/pid")));
        match options.pid() {
            cri::NamespaceMode::Container => Ok(ProcessIds::Own),
            cri::NamespaceMode::Node => Ok(ProcessIds::Inherited),
            cri::NamespaceMode::Pod => {
                let pause = self.state().sandboxes.get(sandbox).and_then(|sandbox| sandbox.pause);
                pause
                    .map(namespace_of)
                    .ok_or_else(|| Refusal::failed_precondition("the sandbox shares no process id namespace"))
            }
            cri::NamespaceMode::Target => {
                let state = self.state();
                let target = state.container_id(&options.target_id).map(|id| &state.containers[&id].record.status);
                match target {
                    Some(Status::Running { pid, .. }) => Ok(namespace_of(*pid)),
                    _ => Err(Refusal::failed_precondition(format!(
                        "target container {:?} is not running",
                        options.target_id
                    ))),
                }
            }
        }
    }

    /// Brings the record on disk to what is known now. A container that was forgotten stays forgotten.
    pub(crate) fn save_container(&self, id: &str) -> Result<(), Refusal> {
        let _writing = self.records();
        let Some(record) = self.state().containers.get(id).map(|container| container.record.clone()) else {
            return Ok(());
        };
        record::write(&self.config().container_record(id), &record)
            .map_err(|problem| internal("cannot write the container's record", problem))
    }

    pub(crate) fn container_id(&self, text: &str) -> Result<String, Refusal> {
        let id = self.state().container_id(text);
        id.ok_or_else(|| {
            Refusal::not_found(format!("an error occurred when try to find container {text:?}: not found"))
        })
    }

    /// The shim of a container's sandbox, with the container's record.
    pub(crate) fn shim_of(&self, id: &str) -> Result<(Shim, record::Container), Refusal> {
        let state = self.state();
        let container =
            state.containers.get(id).ok_or_else(|| Refusal::not_found(format!("container {id:?} not found")))?;
        let record = container.record.clone();
        let shim = state.sandboxes.get(&record.sandbox).and_then(|sandbox| sandbox.shim.clone());
        let shim = shim.ok_or_else(|| {
            Refusal::failed_precondition(format!("sandbox container {:?} is not running", record.sandbox))
        })?;
        Ok((shim, record))
    }

    /// Starts a container that was made and not started yet.
    pub(crate) async fn start_container(&self, text: &str) -> Result<(), Refusal> {
        let id = self.container_id(text)?;
        let (shim, record) = self.shim_of(&id)?;
        self.mark_starting(&id)?;
        let start = Start {
            container: id.clone(),
            bundle: self.config().bundle(&id),
            rootfs: record.rootfs.clone(),
            cwd: record.cwd.clone(),
            uid: record.user.uid,
            gid: record.user.gid,
            log: Some(PathBuf::from(&record.log_path)).filter(|path| !path.as_os_str().is_empty()),
            stdin: record.stdin,
            tty: record.tty,
            cgroup: record.cgroup.clone(),
            shared_root: record.shared_root,
            oom_score_adj: choose::oom_score(&record.resources),
        };
        match shim.call(Call::Start(Box::new(start))).await {
            Ok((Answer::Started(started), _)) => {
                self.apply_state(&started)?;
                self.tell(&record.sandbox, &id, Event::ContainerStartedEvent);
                Ok(())
            }
            Ok(_) => Err(Refusal::internal("the shim gave a strange answer")),
            Err(problem) => Err(self.start_failed(&id, &record.sandbox, &problem)),
        }
    }

    fn mark_starting(&self, id: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        let container =
            state.containers.get_mut(id).ok_or_else(|| Refusal::not_found(format!("container {id:?} not found")))?;
        if container.record.status != Status::Created || container.starting {
            let state = container.state().as_str_name();
            return Err(Refusal::failed_precondition(format!("container {id:?} is in {state} state")));
        }
        container.starting = true;
        Ok(())
    }

    fn start_failed(&self, id: &str, sandbox: &str, problem: &CallError) -> Refusal {
        let status = Status::Exited {
            started_at: 0,
            finished_at: now(),
            exit_code: START_ERROR_CODE,
            reason: "StartError".into(),
            message: problem.to_string(),
        };
        self.set_status(id, status);
        self.tell(sandbox, id, Event::ContainerStoppedEvent);
        Refusal::unknown(problem.to_string())
    }

    /// Takes over what a shim says of a container.
    pub(crate) fn apply_state(&self, said: &ContainerState) -> Result<(), Refusal> {
        let status = match said.end {
            None => Status::Running { pid: said.pid, started_at: said.started_at },
            Some(end) => {
                let reason = match (end.oom_killed, end.exit_code) {
                    (true, _) => "OOMKilled",
                    (false, 0) => "Completed",
                    (false, _) => "Error",
                };
                Status::Exited {
                    started_at: said.started_at,
                    finished_at: end.finished_at,
                    exit_code: end.exit_code,
                    reason: reason.into(),
                    message: String::new(),
                }
            }
        };
        self.set_status(&said.id, status);
        Ok(())
    }

    /// Changes a container's status, and its record. An end is final.
    pub(crate) fn set_status(&self, id: &str, status: Status) {
        let has_ended = matches!(status, Status::Exited { .. });
        {
            let mut state = self.state();
            let Some(container) = state.containers.get_mut(id) else { return };
            if matches!(container.record.status, Status::Exited { .. }) {
                return;
            }
            container.starting = false;
            container.record.status = status;
        }
        if let Err(problem) = self.save_container(id) {
            // The shim remembers too; only its death together with ours would lose this.
            tracing::warn!(container = id, %problem, "the container's state is not on disk");
        }
        if let Some(container) = self.state().containers.get(id).filter(|_| has_ended) {
            container.ended.send_replace(true);
        }
    }

    /// Asks a container to end, and kills it after `grace`. One that has ended, or is not there, is fine.
    pub(crate) async fn stop_container(&self, text: &str, grace: Duration) -> Result<(), Refusal> {
        let Some(id) = self.state().container_id(text) else { return Ok(()) };
        let Ok((shim, record)) = self.shim_of(&id) else { return Ok(()) };
        if !matches!(self.status_of(&id), Some(Status::Running { .. })) {
            return Ok(());
        }
        if !grace.is_zero() {
            let signal = choose::signal_number(&record.stop_signal);
            let asked = shim.call(Call::Signal { container: id.clone(), signal, all: false }).await;
            if asked.is_ok() && self.wait_for_end(&id, grace).await {
                return Ok(());
            }
        }
        self.kill_and_wait(&id, Duration::from_secs(KILL_TIMEOUT_S)).await
    }

    fn status_of(&self, id: &str) -> Option<Status> {
        self.state().containers.get(id).map(|container| container.record.status.clone())
    }

    /// Whether the container ended in time.
    async fn wait_for_end(&self, id: &str, limit: Duration) -> bool {
        let Some(mut ended) = self.state().containers.get(id).map(|container| container.ended.subscribe()) else {
            return true;
        };
        let waited = tokio::time::timeout(limit, ended.wait_for(|ended| *ended)).await;
        // A closed channel means that the container was removed.
        waited.is_ok()
    }

    /// Kills all of a container's processes and waits for its end to be known.
    pub(crate) async fn kill_and_wait(&self, id: &str, limit: Duration) -> Result<(), Refusal> {
        if !matches!(self.status_of(id), Some(Status::Running { .. })) {
            return Ok(());
        }
        let Ok((shim, _)) = self.shim_of(id) else { return Ok(()) };
        match shim.call(Call::Signal { container: id.to_string(), signal: libc::SIGKILL, all: true }).await {
            Ok(_) | Err(CallError::Gone) => {}
            Err(problem) => return Err(internal("cannot kill the container", problem)),
        }
        if self.wait_for_end(id, limit).await {
            return Ok(());
        }
        Err(Refusal::deadline_exceeded(format!("container {id:?} does not end")))
    }

    /// Ends and forgets a container with its writable layer; its log stays. One that is not there is fine.
    pub(crate) async fn remove_container(&self, text: &str) -> Result<(), Refusal> {
        let Some(id) = self.state().container_id(text) else { return Ok(()) };
        self.kill_and_wait(&id, Duration::from_secs(KILL_TIMEOUT_S)).await?;
        if let Ok((shim, _)) = self.shim_of(&id) {
            // A shim that never had it, or is gone, has forgotten it.
            let _ = shim.call(Call::Forget { container: id.clone() }).await;
        }
        let Some(record) = self.state().containers.get(&id).map(|container| container.record.clone()) else {
            return Ok(());
        };
        let runtime = self.clone();
        let (cgroup, folder) = (record.cgroup.clone(), id.clone());
        blocking(move || {
            container::cgroup::remove(&cgroup)
                .map_err(|problem| internal("cannot remove the container's cgroup", problem))?;
            runtime.forget_container(&folder)?;
            runtime.remove_container_files(&folder)
        })
        .await?;
        self.tell(&record.sandbox, &id, Event::ContainerDeletedEvent);
        Ok(())
    }

    /// Removes a container from memory and disk; its files come after, and the next start removes what is left of them.
    fn forget_container(&self, id: &str) -> Result<(), Refusal> {
        let _writing = self.records();
        self.state().containers.remove(id);
        sandbox_files::remove_file(&self.config().container_record(id))
            .map_err(|problem| internal("cannot remove the container's record", problem))
    }

    pub(crate) fn remove_container_files(&self, id: &str) -> Result<(), Refusal> {
        let failed = |problem: std::io::Error| internal("cannot remove the container's files", problem);
        let bundle = self.config().bundle(id);
        // Only a container with bidirectional mounts has its root mounted where we see it.
        sandbox_files::unmount(&bundle.join("rootfs")).map_err(failed)?;
        sandbox_files::remove_dir(&bundle).map_err(failed)?;
        sandbox_files::remove_dir(&self.config().container_dir(id)).map_err(failed)
    }
}

fn user(security: &cri::LinuxContainerSecurityContext, image: &image::Image, rootfs: &Rootfs) -> Result<User, Refusal> {
    let wish = choose::user_wish(security, &image.config)?;
    let passwd = rootfs.read("/etc/passwd").unwrap_or_default();
    let group = rootfs.read("/etc/group").unwrap_or_default();
    container::user::resolve(&wish, &passwd, &group).map_err(|problem| Refusal::invalid_argument(problem.to_string()))
}

fn reported_mount(mount: &cri::Mount) -> record::Mount {
    record::Mount {
        container_path: mount.container_path.clone(),
        host_path: mount.host_path.clone(),
        readonly: mount.readonly,
        propagation: mount.propagation,
    }
}

/// The real path of a mount's source, made as a folder if there is nothing.
fn source(mount: &cri::Mount) -> Result<String, Refusal> {
    if mount.image.is_some() {
        return Err(Refusal::unimplemented("image volumes are not supported by this runtime"));
    }
    let failed = |problem: std::io::Error| internal(format!("cannot mount {:?}", mount.host_path), problem);
    if !Path::new(&mount.host_path).exists() {
        fs::create_dir_all(&mount.host_path).map_err(failed)?;
    }
    let real = fs::canonicalize(&mount.host_path).map_err(failed)?;
    Ok(real.to_string_lossy().into_owned())
}

fn seccomp(
    security: &cri::LinuxContainerSecurityContext,
    capabilities: &container::capability::Sets,
) -> Result<Option<serde_json::Value>, Refusal> {
    if security.privileged {
        return Ok(None);
    }
    let profile = security.seccomp.clone().unwrap_or_default();
    match profile.profile_type() {
        ProfileType::RuntimeDefault => Ok(Some(container::seccomp::default_profile(&capabilities.bounding))),
        ProfileType::Unconfined => Ok(None),
        ProfileType::Localhost => container::seccomp::from_file(Path::new(&profile.localhost_ref))
            .map(Some)
            .map_err(|problem| Refusal::invalid_argument(problem.to_string())),
    }
}

/// The devices asked for; for a privileged container all of the host's.
fn devices(config: &cri::ContainerConfig, privileged: bool) -> Result<Vec<Device>, Refusal> {
    let mut found = Vec::new();
    for device in &config.devices {
        let stat = rustix::fs::stat(&device.host_path)
            .map_err(|problem| internal(format!("device {}", device.host_path), problem))?;
        let node = node(&device.container_path, &stat, &device.permissions);
        found.push(node.ok_or_else(|| Refusal::invalid_argument(format!("{} is not a device", device.host_path)))?);
    }
    if privileged {
        for entry in fs::read_dir("/dev").map_err(|problem| internal("cannot list devices", problem))?.flatten() {
            let path = entry.path().to_string_lossy().into_owned();
            let known = found.iter().any(|device: &Device| device.path == path);
            if !known && path != "/dev/console" {
                found.extend(rustix::fs::lstat(entry.path()).ok().and_then(|stat| node(&path, &stat, "rwm")));
            }
        }
    }
    Ok(found)
}

fn node(path: &str, stat: &rustix::fs::Stat, access: &str) -> Option<Device> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        _ => return None,
    };
    Some(Device {
        path: path.to_string(),
        kind,
        major: rustix::fs::major(stat.st_rdev).into(),
        minor: rustix::fs::minor(stat.st_rdev).into(),
        mode: stat.st_mode,
        access: access.to_string(),
    })
}
