//! Starting a runtime: what is on disk, what still runs, what was left half-made. And what shims tell while it runs.
//! Nothing that runs is stopped here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use network::pool::{Cidr, Pool};
use rpc::cri::ContainerEventType as Event;
use tokio::sync::{broadcast, mpsc};
use tonic::Status as Refusal;

use crate::connection::{Heard, Shim};
use crate::record::{self, Phase, Status};
use crate::shim::protocol::{Answer, Call, ContainerState};
use crate::state::{Container, Sandbox, State};
use crate::{Config, Inner, Runtime, blocking, events, filters, internal, now, sandbox_files, shim, spawn, streaming};

const FOLDER_MODE: u32 = 0o700;
/// Exit code of a container whose end nobody saw.
const KILLED_CODE: i32 = 137;

impl Runtime {
    /// Opens a runtime: reads its records, connects to the shims that live, and buries what died in the meantime.
    pub async fn open(config: Config) -> anyhow::Result<Runtime> {
        for folder in [
            config.root.join("sandboxes"),
            config.root.join("containers"),
            config.run.join("shims"),
            config.run.join("netns"),
        ] {
            fs::create_dir_all(folder)?;
        }
        // What root in a container writes, programs that run as their owner among it, is not for other users of the host.
        for folder in [&config.root, &config.run] {
            fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE))?;
        }
        let images = Arc::new(image::Store::open(config.root.join("images"))?);
        let (heard, hearing) = mpsc::unbounded_channel();
        let runtime = Runtime(Arc::new(Inner {
            puller: image::pull::Puller::new(config.pull.clone(), images.clone()),
            images,
            executable: spawn::Executable::of_this_process(),
            filters: filters::Filters::default(),
            state: Mutex::new(read_records(&config)?),
            records: Mutex::new(()),
            events: broadcast::channel(events::BEHIND_MAX).0,
            heard,
            sessions: Arc::new(streaming::Sessions::default()),
            config,
        }));
        runtime.reconnect().await?;
        tokio::spawn(hear(Arc::downgrade(&runtime.0), hearing));
        streaming::serve(&runtime).await?;
        Ok(runtime)
    }

    async fn reconnect(&self) -> Result<(), Refusal> {
        let ids: Vec<String> = self.state().sandboxes.keys().cloned().collect();
        let all = ids.iter().map(|id| self.reconnect_sandbox(id));
        futures::future::join_all(all).await.into_iter().collect::<Result<Vec<()>, _>>()?;
        self.replace_host_ports().await?;
        self.remove_strays().await
    }

    async fn reconnect_sandbox(&self, id: &str) -> Result<(), Refusal> {
        let path = self.config().socket(id);
        let connected =
            shim::connect(&path).and_then(|socket| Shim::new(id.to_string(), path, socket, self.0.heard.clone()));
        let Ok(shim) = connected else { return self.bury(id).await };
        let Ok((Answer::State { pause, containers, .. }, _)) = shim.call(Call::State).await else {
            return self.bury(id).await;
        };
        let is_half_made = {
            let mut state = self.state();
            let Some(sandbox) = state.sandboxes.get_mut(id) else { return Ok(()) };
            sandbox.shim = Some(shim);
            sandbox.pause = pause;
            sandbox.record.phase == Phase::Creating
        };
        if is_half_made {
            return self.remove_sandbox(id).await;
        }
        self.apply_states(id, &containers)
    }

    /// Takes over all that a shim says; what it does not know and should be running is dead.
    fn apply_states(&self, sandbox: &str, said: &[ContainerState]) -> Result<(), Refusal> {
        for state in said {
            self.apply_state(state)?;
        }
        let containers = self.state().containers_of(sandbox);
        for id in containers {
            if !said.iter().any(|state| state.id == id) {
                self.lost(&id);
            }
        }
        Ok(())
    }

    /// A container that ran and whose shim does not have it any more.
    fn lost(&self, id: &str) -> bool {
        let started_at = match self.state().containers.get(id).map(|container| &container.record.status) {
            Some(Status::Running { started_at, .. }) => *started_at,
            _ => return false,
        };
        self.set_status(
            id,
            Status::Exited {
                started_at,
                finished_at: now(),
                exit_code: KILLED_CODE,
                reason: "Error".into(),
                message: String::new(),
            },
        );
        true
    }

    /// A sandbox without shim: its processes are killed, its containers are reported dead, its network goes.
    pub(crate) async fn bury(&self, id: &str) -> Result<(), Refusal> {
        let (phase, cgroups) = {
            let mut state = self.state();
            let Some(sandbox) = state.sandboxes.get_mut(id) else { return Ok(()) };
            sandbox.shim = None;
            let phase = sandbox.record.phase;
            if phase == Phase::Ready {
                // Before any container is reported dead: nobody shall try to start another one in here.
                sandbox.record.phase = Phase::NotReady;
            }
            let of = state.containers.values().filter(|container| container.record.sandbox == id);
            (phase, of.map(|container| container.record.cgroup.clone()).collect::<Vec<_>>())
        };
        blocking(move || {
            for cgroup in cgroups {
                container::cgroup::kill(&cgroup)
                    .map_err(|problem| internal("cannot kill an orphaned container", problem))?;
            }
            Ok(())
        })
        .await?;
        let containers = self.state().containers_of(id);
        for container in containers {
            if self.lost(&container) {
                self.tell(id, &container, Event::ContainerStoppedEvent);
            }
        }
        match phase {
            Phase::Creating => self.remove_sandbox(id).await,
            Phase::Ready => {
                self.tell(id, id, Event::ContainerStoppedEvent);
                self.stop_sandbox(id).await
            }
            Phase::NotReady => Ok(()),
        }
    }

    /// Shims, bundles and namespaces that no record names: made by a process that died before it could write it.
    async fn remove_strays(&self) -> Result<(), Refusal> {
        let known: Vec<String> = {
            let state = self.state();
            state.sandboxes.keys().chain(state.containers.keys()).cloned().collect()
        };
        for socket in names(&self.config().run.join("shims"), ".sock") {
            if !known.contains(&socket) {
                let path = self.config().socket(&socket);
                if let Ok(shim) =
                    shim::connect(&path).and_then(|fd| Shim::new(socket, path.clone(), fd, self.0.heard.clone()))
                {
                    let _ = shim.call(Call::Shutdown).await;
                }
                sandbox_files::remove_file(&path)
                    .map_err(|problem| internal("cannot remove a stray socket", problem))?;
            }
        }
        let runtime = self.clone();
        blocking(move || runtime.remove_stray_files(&known)).await
    }

    fn remove_stray_files(&self, known: &[String]) -> Result<(), Refusal> {
        let config = self.config();
        let failed = |problem: &dyn std::fmt::Display| internal("cannot remove strays", problem);
        let strays =
            |folder: &Path| names(folder, "").into_iter().filter(|name| !known.contains(name)).collect::<Vec<_>>();
        let used = self.state().used_layers();
        self.0.images.collect(&used).map_err(|problem| failed(&problem))?;
        for id in strays(&config.run.join("netns")) {
            network::namespace::remove(&config.namespace(&id)).map_err(|problem| failed(&problem))?;
        }
        for id in strays(&config.run.join("sandboxes")) {
            sandbox_files::remove(config, &id).map_err(|problem| failed(&problem))?;
        }
        for id in strays(&config.run.join("bundles")).into_iter().chain(strays(&config.root.join("containers"))) {
            self.remove_container_files(&id)?;
        }
        for link in network::pod::links(&config.owner).map_err(|problem| failed(&problem))? {
            if !known.iter().any(|id| network::pod::link_name(&config.owner, id) == link.name) {
                network::pod::detach(&link.name).map_err(|problem| failed(&problem))?;
            }
        }
        Ok(())
    }

    /// The range of this node's pods became known. Addresses that sandboxes have are taken in it.
    pub(crate) fn set_range(&self, range: &str) -> Result<(), Refusal> {
        // For a node with two ranges the first of version 4 counts.
        let first = range.split(',').map(str::trim).find(|range| !range.contains(':')).unwrap_or_default();
        let range: Cidr =
            first.parse().map_err(|problem: network::Error| Refusal::invalid_argument(problem.to_string()))?;
        let mut state = self.state();
        if state.addresses.as_ref().is_some_and(|pool| pool.range() == range) {
            return Ok(());
        }
        let mut pool = Pool::new(range);
        for sandbox in state.sandboxes.values() {
            if let Some(address) = sandbox.record.address {
                pool.occupy(address);
            }
        }
        state.addresses = Some(pool);
        Ok(())
    }
}

/// File names in a folder, without their ending.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(|name| name.strip_suffix(ending).map(str::to_string)).collect()
}

fn read_records(config: &Config) -> std::io::Result<State> {
    let mut state = State::default();
    for id in names(&config.root.join("sandboxes"), ".json") {
        match record::read::<record::Sandbox>(&config.sandbox_record(&id)) {
            Some(record) => drop(state.sandboxes.insert(id, Sandbox { record, shim: None, pause: None })),
            None => sandbox_files::remove_file(&config.sandbox_record(&id))?,
        }
    }
    for id in names(&config.root.join("containers"), "") {
        if let Some(record) = record::read::<record::Container>(&config.container_record(&id))
            && state.sandboxes.contains_key(&record.sandbox)
        {
            state.containers.insert(id, Container::new(record));
        }
    }
    Ok(state)
}

/// Takes what shims tell, in order, until the runtime is gone.
async fn hear(runtime: Weak<Inner>, mut hearing: mpsc::UnboundedReceiver<(String, Heard)>) {
    while let Some((sandbox, heard)) = hearing.recv().await {
        let Some(runtime) = runtime.upgrade().map(Runtime) else { return };
        let taken = match heard {
            Heard::Exited(state) => runtime.apply_state(&state).map(|()| {
                runtime.tell(&sandbox, &state.id, Event::ContainerStoppedEvent);
            }),
            Heard::State(states) => runtime.apply_states(&sandbox, &states).map(|()| {
                runtime.tell(&sandbox, &sandbox, Event::ContainerStartedEvent);
            }),
            Heard::Gone => {
                // Not awaited here: burying waits for ends that are heard here.
                tokio::spawn(async move {
                    if let Err(problem) = runtime.bury(&sandbox).await {
                        tracing::warn!(sandbox, %problem, "a sandbox without shim was not wholly cleaned up");
                    }
                });
                Ok(())
            }
        };
        if let Err(problem) = taken {
            tracing::warn!(%problem, "what a shim told was not taken over");
        }
    }
}
