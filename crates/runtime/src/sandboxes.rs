//! Making, stopping and removing pod sandboxes. Each step may be repeated; a step that fails undoes the ones before it.
//! Not here: containers, and the CRI's messages.

use std::net::Ipv4Addr;
use std::time::Duration;

use network::pod::Attachment;
use rpc::cri;
use rpc::cri::ContainerEventType as Event;
use tonic::Status;

use crate::connection::Shim;
use crate::record::{self, Namespaces, Phase};
use crate::shim::protocol::{Answer, Call, Setup};
use crate::state::Sandbox;
use crate::{Runtime, blocking, choose, host_ports, internal, new_id, now, sandbox_files};

/// How long killed containers may take to be reported dead when their sandbox is stopped.
const KILL_TIMEOUT_S: u64 = 10;

impl Runtime {
    /// Makes a sandbox. Its id.
    pub(crate) async fn run_sandbox(&self, request: cri::RunPodSandboxRequest) -> Result<String, Status> {
        let config = request.config.ok_or_else(|| Status::invalid_argument("sandbox config is missing"))?;
        if !request.runtime_handler.is_empty() {
            return Err(Status::not_found(format!("no runtime for {:?} is configured", request.runtime_handler)));
        }
        let record = self.reserve_sandbox(&config)?;
        let id = record.id.clone();
        match self.make_sandbox(record, &config).await {
            Ok(()) => {
                self.tell(&id, &id, Event::ContainerCreatedEvent);
                self.tell(&id, &id, Event::ContainerStartedEvent);
                Ok(id)
            }
            Err(problem) => {
                let cleaned = self.clean_sandbox(&id).await;
                self.forget_sandbox(&id).await;
                if let Err(second) = cleaned {
                    tracing::warn!(sandbox = id, problem = %second, "a failed sandbox was not wholly removed");
                }
                Err(problem)
            }
        }
    }

    /// Takes the sandbox's name and address. Two sandboxes of one name and attempt cannot be.
    fn reserve_sandbox(&self, config: &cri::PodSandboxConfig) -> Result<record::Sandbox, Status> {
        let metadata =
            config.metadata.clone().ok_or_else(|| Status::invalid_argument("sandbox config has no metadata"))?;
        let linux = config.linux.clone().unwrap_or_default();
        let security = linux.security_context.unwrap_or_default();
        let options = security.namespace_options.unwrap_or_default();
        if options.userns_options.is_some_and(|userns| userns.mode() == cri::NamespaceMode::Pod) {
            return Err(Status::unimplemented("user namespaces are not supported by this runtime"));
        }
        let ports = host_ports::wanted(&config.port_mappings)?;
        let namespaces = Namespaces { network: options.network, pid: options.pid, ipc: options.ipc };
        let mut record = record::Sandbox {
            id: new_id()?,
            name: metadata.name,
            uid: metadata.uid,
            namespace: metadata.namespace,
            attempt: metadata.attempt,
            hostname: config.hostname.clone(),
            log_directory: config.log_directory.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            created_at: now(),
            namespaces,
            address: None,
            cgroup_parent: if linux.cgroup_parent.is_empty() {
                self.config().cgroup.clone()
            } else {
                linux.cgroup_parent
            },
            phase: Phase::Creating,
            ports,
        };
        let mut state = self.state();
        let key = |record: &record::Sandbox| {
            (record.namespace.clone(), record.name.clone(), record.uid.clone(), record.attempt)
        };
        if let Some(other) = state.sandboxes.values().find(|other| key(&other.record) == key(&record)) {
            return Err(Status::already_exists(format!(
                "the name of the sandbox is reserved for {:?}",
                other.record.id
            )));
        }
        if !record.namespaces.host_network() {
            let pool = state.addresses.as_mut();
            let pool = pool
                .ok_or_else(|| Status::unavailable("network is not ready: the pods' address range is not known yet"))?;
            record.address =
                Some(pool.take().ok_or_else(|| Status::resource_exhausted("no pod address is free on this node"))?);
        }
        state.sandboxes.insert(record.id.clone(), Sandbox { record: record.clone(), shim: None, pause: None });
        Ok(record)
    }

    async fn make_sandbox(&self, record: record::Sandbox, config: &cri::PodSandboxConfig) -> Result<(), Status> {
        let id = record.id.clone();
        let linux = config.linux.clone().unwrap_or_default();
        let limits = choose::limits(&choose::resources(&linux.resources.clone().unwrap_or_default()));
        // A container follows soon.
        tokio::task::spawn_blocking(container::cgroup::warm_up);
        let runtime = self.clone();
        let (files, dns) = (record.clone(), config.dns_config.clone());
        let prepared = blocking(move || runtime.prepare_sandbox(&files, dns.as_ref(), &limits));
        let spawned = self.spawn_shim(&id);
        let (prepared, shim) = tokio::join!(prepared, spawned);
        if let (Ok(shim), Some(sandbox)) = (&shim, self.state().sandboxes.get_mut(&id)) {
            // Known at once, so that it ends with a sandbox of which something else failed.
            sandbox.shim = Some(shim.clone());
        }
        prepared?;
        let shim = shim?;
        let setup = self.setup(&record, &linux);
        let (answer, _) =
            shim.call(Call::Setup(setup)).await.map_err(|problem| internal("cannot set the sandbox up", problem))?;
        let pause = match answer {
            Answer::Setup { pause } => pause,
            _ => None,
        };
        let mut state = self.state();
        let sandbox =
            state.sandboxes.get_mut(&id).ok_or_else(|| Status::aborted("the sandbox was removed while it was made"))?;
        sandbox.pause = pause;
        sandbox.record.phase = Phase::Ready;
        drop(state);
        self.save_sandbox(&id)
    }

    /// Everything that blocks: record, cgroup, files, network. The record is first, so that a restart finds the rest.
    fn prepare_sandbox(
        &self,
        record: &record::Sandbox,
        dns: Option<&cri::DnsConfig>,
        limits: &container::cgroup::Resources,
    ) -> Result<(), Status> {
        self.save_sandbox(&record.id)?;
        container::cgroup::create(&record.cgroup_parent, limits)
            .map_err(|problem| internal("cannot make the pod's cgroup", problem))?;
        sandbox_files::make(self.config(), record, dns)
            .map_err(|problem| internal("cannot make the sandbox's files", problem))?;
        match record.address {
            Some(address) => {
                self.attach(record, address).map_err(|problem| internal("cannot make the pod's network", problem))?;
                self.add_host_ports(record)
            }
            None => Ok(()),
        }
    }

    fn attach(&self, record: &record::Sandbox, address: Ipv4Addr) -> network::Result<()> {
        let gateway = match &self.state().addresses {
            Some(pool) => pool.range().gateway(),
            None => return Err(network::Error::Invalid("the pods' address range is not known".into())),
        };
        let namespace = self.config().namespace(&record.id);
        network::namespace::create(&namespace)?;
        network::pod::attach(&Attachment {
            namespace: &namespace,
            host_link: &network::pod::link_name(&self.config().owner, &record.id),
            address,
            gateway,
            mtu: self.config().mtu,
            alias: &format!("{}/{}", record.namespace, record.name),
        })
    }

    async fn spawn_shim(&self, id: &str) -> Result<Shim, Status> {
        let path = self.config().socket(id);
        let (socket, pid) =
            self.0.executable.spawn(&path).await.map_err(|problem| internal("cannot start a shim", problem))?;
        tracing::debug!(sandbox = id, pid, "shim started");
        Shim::new(id.to_string(), path, socket, self.0.heard.clone())
            .map_err(|problem| internal("cannot talk to the shim", problem))
    }

    fn setup(&self, record: &record::Sandbox, linux: &cri::LinuxPodSandboxConfig) -> Setup {
        let host_network = record.namespaces.host_network();
        let mut sysctls = linux.sysctls.clone();
        if !host_network {
            // Low ports and ping need no capability inside a network of one's own.
            sysctls.entry("net.ipv4.ip_unprivileged_port_start".into()).or_insert_with(|| "0".into());
            sysctls.entry("net.ipv4.ping_group_range".into()).or_insert_with(|| "0 2147483647".into());
        }
        Setup {
            network: (!host_network).then(|| self.config().namespace(&record.id)),
            own_ipc: !record.namespaces.host_ipc(),
            hostname: (!host_network).then(|| record.hostname.clone()),
            sysctls,
            shared_pids: record.namespaces.pid == cri::NamespaceMode::Pod as i32,
        }
    }

    /// Brings the record on disk to what is known now. A sandbox that was forgotten stays forgotten.
    pub(crate) fn save_sandbox(&self, id: &str) -> Result<(), Status> {
        let _writing = self.records();
        let Some(record) = self.state().sandboxes.get(id).map(|sandbox| sandbox.record.clone()) else { return Ok(()) };
        record::write(&self.config().sandbox_record(id), &record)
            .map_err(|problem| internal("cannot write the sandbox's record", problem))
    }

    /// Ends everything in a sandbox and gives its network back. Twice is fine; a sandbox that is not there is fine.
    pub(crate) async fn stop_sandbox(&self, text: &str) -> Result<(), Status> {
        let Some(id) = self.state().sandbox_id(text) else { return Ok(()) };
        self.kill_containers(&id).await;
        self.clean_sandbox(&id).await?;
        let mut state = self.state();
        let Some(sandbox) = state.sandboxes.get_mut(&id) else { return Ok(()) };
        let was_ready = sandbox.record.phase == Phase::Ready;
        sandbox.record.phase = Phase::NotReady;
        drop(state);
        self.save_sandbox(&id)?;
        if was_ready {
            self.tell(&id, &id, Event::ContainerStoppedEvent);
        }
        Ok(())
    }

    /// Kills what runs and waits until each end is known, so that exit codes are reported and not guessed.
    async fn kill_containers(&self, sandbox: &str) {
        let ids = self.state().containers_of(sandbox);
        let kills = ids.iter().map(|id| async move {
            let killed = self.kill_and_wait(id, Duration::from_secs(KILL_TIMEOUT_S)).await;
            if let Err(problem) = killed {
                tracing::warn!(container = id, %problem, "a container did not end with its sandbox");
            }
        });
        futures::future::join_all(kills).await;
    }

    /// Takes away shim, network, files; in this order, since the shim holds the namespaces.
    pub(crate) async fn clean_sandbox(&self, id: &str) -> Result<(), Status> {
        let (shim, address, record) = {
            let mut state = self.state();
            let Some(sandbox) = state.sandboxes.get_mut(id) else { return Ok(()) };
            (sandbox.shim.take(), sandbox.record.address.take(), sandbox.record.clone())
        };
        if let Some(shim) = shim {
            // A shim that is gone already is shut down.
            let _ = shim.call(Call::Shutdown).await;
        }
        let runtime = self.clone();
        blocking(move || runtime.clean_sandbox_files(&record, address)).await?;
        if let (Some(address), Some(pool)) = (address, self.state().addresses.as_mut()) {
            pool.release(address);
        }
        Ok(())
    }

    fn clean_sandbox_files(&self, record: &record::Sandbox, address: Option<Ipv4Addr>) -> Result<(), Status> {
        let config = self.config();
        let failed = |problem: &dyn std::fmt::Display| internal("cannot clean the sandbox up", problem);
        self.remove_host_ports(&host_ports::mappings(record, address)).map_err(|problem| failed(&problem))?;
        network::pod::detach(&network::pod::link_name(&config.owner, &record.id))
            .map_err(|problem| failed(&problem))?;
        network::namespace::remove(&config.namespace(&record.id)).map_err(|problem| failed(&problem))?;
        sandbox_files::remove(config, &record.id).map_err(|problem| failed(&problem))?;
        for file in [config.socket(&record.id), config.socket(&record.id).with_extension("log")] {
            sandbox_files::remove_file(&file).map_err(|problem| failed(&problem))?;
        }
        Ok(())
    }

    /// Stops and forgets a sandbox with its containers.
    pub(crate) async fn remove_sandbox(&self, text: &str) -> Result<(), Status> {
        let Some(id) = self.state().sandbox_id(text) else { return Ok(()) };
        self.stop_sandbox(&id).await?;
        let containers = self.state().containers_of(&id);
        for container in containers {
            self.remove_container(&container).await?;
        }
        self.tell(&id, &id, Event::ContainerDeletedEvent);
        self.forget_sandbox(&id).await;
        Ok(())
    }

    async fn forget_sandbox(&self, id: &str) {
        let Some(parent) = self.forget_record(id) else { return };
        let shared = self.state().sandboxes.values().any(|other| other.record.cgroup_parent == parent);
        let own_parent = !shared && parent != self.config().cgroup;
        if !own_parent {
            return;
        }
        let removed = blocking(move || {
            container::cgroup::remove(&parent).map_err(|problem| internal("cannot remove the pod's cgroup", problem))
        });
        if let Err(problem) = removed.await {
            tracing::warn!(sandbox = id, %problem, "something of a removed sandbox is left");
        }
    }

    /// Removes a sandbox from memory and disk. Its cgroup.
    fn forget_record(&self, id: &str) -> Option<String> {
        let _writing = self.records();
        let sandbox = self.state().sandboxes.remove(id)?;
        if let Err(problem) = sandbox_files::remove_file(&self.config().sandbox_record(id)) {
            // The next start finds a record without anything behind it, and removes it.
            tracing::warn!(sandbox = id, %problem, "the record of a removed sandbox is left");
        }
        Some(sandbox.record.cgroup_parent)
    }
}
