//! A node's machine in memory: sandboxes with addresses, containers that run as their commands say, and who wants
//! to hear of it. It outlives its kubelet, as a real machine's containers do.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kubelet::drive::cri::Observed;
use kubelet::plan::seen::{Container, Sandbox, State};
use kubelet::plan::spec;
use tokio::sync::{Notify, mpsc};

use crate::program::{self, Run};
use crate::world;

/// What a killed process ends with.
const KILLED: i32 = 137;

/// A pod of this machine.
#[derive(Clone)]
pub struct Held {
    pub namespace: String,
    pub name: String,
    pub observed: Observed,
}

#[derive(Default)]
struct Inside {
    /// The first address of the node's pod range.
    range: Option<Ipv4Addr>,
    addresses: u32,
    made: u64,
    pods: BTreeMap<String, Held>,
    /// Told by uid when something of a pod changed.
    listeners: Vec<mpsc::UnboundedSender<String>>,
    /// Of the running containers, by id.
    terms: BTreeMap<String, Arc<Notify>>,
}

#[derive(Clone, Default)]
pub struct Engine(Arc<Mutex<Inside>>);

impl Engine {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `10.244.1.0/24`
    pub fn set_range(&self, range: &str) {
        self.lock().range = range.split('/').next().and_then(|address| address.parse().ok());
    }

    pub fn has_range(&self) -> bool {
        self.lock().range.is_some()
    }

    pub fn listen(&self) -> mpsc::UnboundedReceiver<String> {
        // Unbounded: what happens to the few pods of a test is bounded.
        let (sender, heard) = mpsc::unbounded_channel();
        self.lock().listeners.push(sender);
        heard
    }

    pub fn pods(&self) -> BTreeMap<String, Held> {
        self.lock().pods.clone()
    }

    pub fn observe(&self, uid: &str) -> Observed {
        self.lock().pods.get(uid).map(|held| held.observed.clone()).unwrap_or_default()
    }

    /// The machine loses its power: all that ran is gone.
    pub fn power_off(&self) {
        let mut inside = self.lock();
        inside.pods.clear();
        inside.terms.clear();
        inside.listeners.clear();
    }

    pub fn create_sandbox(&self, pod: &Pod, attempt: u32) -> Result<(), String> {
        let mut inside = self.lock();
        let host_network = spec::host_network(pod);
        let mut ips = Vec::new();
        if !host_network {
            let range = inside.range.ok_or("the node has no pod range yet")?;
            inside.addresses += 1;
            // The first address is the gateway's.
            ips.push(Ipv4Addr::from(u32::from(range) + 1 + inside.addresses).to_string());
        }
        inside.made += 1;
        let id = format!("sandbox-{}", inside.made);
        let sandbox = Sandbox { id, attempt, ready: true, created: world::now(), host_network, ips };
        let held = inside.pods.entry(spec::uid(pod).to_owned()).or_insert_with(|| Held {
            namespace: spec::namespace(pod).to_owned(),
            name: spec::name(pod).to_owned(),
            observed: Observed::default(),
        });
        held.observed.sandboxes.insert(0, sandbox);
        Ok(())
    }

    /// Starts a container; a task of its own ends it when its program is over.
    pub fn start(&self, pod: &Pod, name: &str, sandbox: &str, restarts: u32) -> Result<(), String> {
        let container = spec::find(pod, name).ok_or_else(|| format!("no container {name}"))?;
        let image = container.image.clone().unwrap_or_default();
        let words = [container.command.clone(), container.args.clone()].into_iter().flatten().flatten();
        let run = program::run(&image, &words.collect::<Vec<_>>());
        let mut inside = self.lock();
        inside.made += 1;
        let id = format!("container-{}", inside.made);
        let started = Container {
            id: id.clone(),
            name: name.to_owned(),
            sandbox: sandbox.to_owned(),
            state: State::Running,
            created: world::now(),
            started: Some(world::now()),
            finished: None,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            image_id: format!("{image}@sha256:0"),
            image,
            hash: spec::hash(&container),
            restarts,
            log_path: String::new(),
            user: None,
        };
        let uid = spec::uid(pod).to_owned();
        let held = inside.pods.get_mut(&uid).ok_or("the sandbox is gone")?;
        held.observed.containers.insert(0, started);
        let term = Arc::new(Notify::new());
        inside.terms.insert(id.clone(), term.clone());
        drop(inside);
        tokio::spawn(self.clone().live(uid, id, run, term));
        Ok(())
    }

    /// A container's life after its start.
    async fn live(self, uid: String, id: String, run: Run, term: Arc<Notify>) {
        let exit_code = tokio::select! {
            biased;
            () = tokio::time::sleep(run.lasts) => run.exit_code,
            () = term.notified(), if run.hears_term => 0,
        };
        self.end(&uid, &id, exit_code);
    }

    /// TERM, and KILL after the grace period.
    pub async fn stop(&self, uid: &str, id: &str, grace: Duration) {
        let term = self.lock().terms.get(id).cloned();
        term.iter().for_each(|term| term.notify_one());
        let mut changes = self.listen();
        let ended = async {
            while self.is_running(uid, id) {
                if changes.recv().await.is_none() {
                    return;
                }
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            self.end(uid, id, KILLED);
        }
    }

    fn is_running(&self, uid: &str, id: &str) -> bool {
        let inside = self.lock();
        let held = inside.pods.get(uid);
        held.is_some_and(|held| held.observed.containers.iter().any(|c| c.id == id && c.running()))
    }

    fn end(&self, uid: &str, id: &str, exit_code: i32) {
        let mut inside = self.lock();
        inside.terms.remove(id);
        let containers = inside.pods.get_mut(uid).map(|held| &mut held.observed.containers);
        let ended = containers.into_iter().flatten().find(|c| c.id == id && c.running());
        let Some(container) = ended else { return };
        container.state = State::Exited;
        container.exit_code = exit_code;
        container.finished = Some(world::now());
        container.reason = if exit_code == 0 { "Completed".into() } else { "Error".into() };
        inside.listeners.retain(|listener| listener.send(uid.to_owned()).is_ok());
    }

    pub fn remove_container(&self, uid: &str, id: &str) {
        if let Some(held) = self.lock().pods.get_mut(uid) {
            held.observed.containers.retain(|c| c.id != id);
        }
    }

    pub fn stop_sandbox(&self, uid: &str, id: &str) {
        let running: Vec<String> = self.observe(uid).containers.into_iter().map(|c| c.id).collect();
        running.iter().for_each(|container| self.end(uid, container, KILLED));
        if let Some(held) = self.lock().pods.get_mut(uid) {
            held.observed.sandboxes.iter_mut().filter(|s| s.id == id).for_each(|s| s.ready = false);
        }
    }

    pub fn remove_sandbox(&self, uid: &str, id: &str) {
        self.stop_sandbox(uid, id);
        let mut inside = self.lock();
        let Some(held) = inside.pods.get_mut(uid) else { return };
        held.observed.sandboxes.retain(|s| s.id != id);
        held.observed.containers.retain(|c| c.sandbox != id);
        if held.observed.sandboxes.is_empty() {
            inside.pods.remove(uid);
        }
    }
}
