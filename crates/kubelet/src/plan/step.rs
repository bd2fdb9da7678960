//! The steps of a pod's plan, and what each is while it flies.

use super::backoff::Backoff;

/// Why a container is stopped: it decides which probe's grace period counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Deleted,
    Liveness,
    Startup,
    Changed,
    Unknown,
}

/// One thing to do for a pod. Steps of one plan are independent of each other and may run at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    CreateSandbox {
        attempt: u32,
    },
    PrepareVolumes,
    /// Makes the image of this container present for its start with this restart count.
    EnsureImage {
        container: String,
        attempt: u32,
        delay_s: i64,
    },
    /// Creates and starts the container and runs its postStart hook.
    StartContainer {
        container: String,
        sandbox: String,
        attempt: u32,
        backoff: Option<Backoff>,
    },
    /// preStop hook, TERM, and KILL after the grace period, in seconds.
    StopContainer {
        id: String,
        container: String,
        grace_s: i64,
        message: String,
        why: Why,
    },
    RemoveContainer {
        id: String,
        container: String,
    },
    StopSandbox {
        id: String,
    },
    /// Removes the sandbox and all its containers.
    RemoveSandbox {
        id: String,
    },
    /// Unmounts volumes, removes the pod's folders and its cgroup.
    TearDown,
    /// Deletes the object with grace 0: all is gone and the last status is written.
    Forget,
}

/// A step in flight, without what does not identify it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flight {
    Sandbox,
    Volumes,
    Image(String),
    Start(String),
    /// Id and grace: a shorter grace may overtake a longer one.
    Stop(String, i64),
    Remove(String),
    StopSandbox(String),
    RemoveSandbox(String),
    TearDown,
    Forget,
}

impl Step {
    pub fn flight(&self) -> Flight {
        match self {
            Step::CreateSandbox { .. } => Flight::Sandbox,
            Step::PrepareVolumes => Flight::Volumes,
            Step::EnsureImage { container, .. } => Flight::Image(container.clone()),
            Step::StartContainer { container, .. } => Flight::Start(container.clone()),
            Step::StopContainer { id, grace_s, .. } => Flight::Stop(id.clone(), *grace_s),
            Step::RemoveContainer { id, .. } => Flight::Remove(id.clone()),
            Step::StopSandbox { id } => Flight::StopSandbox(id.clone()),
            Step::RemoveSandbox { id } => Flight::RemoveSandbox(id.clone()),
            Step::TearDown => Flight::TearDown,
            Step::Forget => Flight::Forget,
        }
    }
}

impl Flight {
    /// The container that this step works on, by name.
    pub fn container(&self) -> Option<&str> {
        match self {
            Flight::Image(name) | Flight::Start(name) => Some(name),
            _ => None,
        }
    }
}
