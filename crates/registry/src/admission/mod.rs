//! Admission: what may not happen although the user is allowed to, and what is filled in on the way.
//!
//! One file per plugin, one line in [`PLUGINS`], in upstream's order. A plugin is a pure function of the request
//! and the cached state; it answers with edits or refuses. It runs before the commit and never under a lock. What
//! judges the whole object comes after the kind's own rules, with a line in [`CHECKS`].

mod attributes;
mod default_class;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod node_taint;
mod priority;
mod service_account;
mod toleration_seconds;

use std::time::Duration;

use machinery::status::Status;
use machinery::tree;
use serde_json::Value;

pub use attributes::{Asked, Awaited, Edit, Operation, Patch, Refusal, View};

use crate::Registry;
use crate::cache::{From, Lane, Tail};

type Plugin = fn(&Asked<'_>, &View<'_>) -> Result<Patch, Refusal>;

/// In the order in which they are asked.
pub const PLUGINS: &[(&str, Plugin)] = &[
    ("NamespaceLifecycle", namespace_lifecycle::admit),
    ("LimitRanger", limit_ranger::admit),
    ("ServiceAccount", service_account::admit),
    ("NodeRestriction", node_restriction::admit),
    ("TaintNodesByCondition", node_taint::admit),
    ("Priority", priority::admit),
    ("DefaultTolerationSeconds", toleration_seconds::admit),
    ("DefaultStorageClass", default_class::storage),
    ("DefaultIngressClass", default_class::ingress),
];

type Check = fn(&Asked<'_>, &View<'_>) -> Result<(), Refusal>;

/// Asked of an object that is valid.
pub const CHECKS: &[(&str, Check)] = &[("LimitRanger", limit_ranger::check)];

/// How long a request waits for an object that a controller is about to make (the default ServiceAccount).
const AWAITED: Duration = Duration::from_millis(1500);

impl Registry {
    /// Asks all plugins and applies their edits.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) async fn admit(&self, asked: &Asked<'_>, object: &mut Value) -> Result<(), Status> {
        for (_, plugin) in PLUGINS {
            let patch = self.ask(*plugin, asked, object).await?;
            for edit in patch {
                tree::set(object, edit.at, edit.value);
            }
        }
        match self.guard() {
            Some(guard) => guard.check(&Asked { object, ..*asked }),
            None => Ok(()),
        }
    }

    /// Asks those who judge a valid object.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) fn check(&self, asked: &Asked<'_>, object: &Value) -> Result<(), Status> {
        let view = View { cache: &self.cache, world: &self.world };
        let asked = Asked { object, ..*asked };
        CHECKS.iter().try_for_each(|(_, check)| check(&asked, &view).map_err(Refusal::into_status))
    }

    async fn ask(&self, plugin: Plugin, asked: &Asked<'_>, object: &Value) -> Result<Patch, Status> {
        let view = View { cache: &self.cache, world: &self.world };
        let asked = Asked { object, ..*asked };
        match plugin(&asked, &view) {
            Ok(patch) => Ok(patch),
            Err(Refusal::Denied(status)) => Err(status),
            Err(Refusal::Awaits(awaited)) => match self.appears(awaited.collection, awaited.key).await {
                true => plugin(&asked, &view).map_err(Refusal::into_status),
                false => Err(awaited.status),
            },
        }
    }

    /// Whether an object is there, or comes in time.
    async fn appears(&self, collection: &str, key: String) -> bool {
        let Ok((mut tail, state)) = Tail::open(self.cache.clone(), collection, Lane::Key(key.clone()), From::Now)
        else {
            return false;
        };
        if state.is_some_and(|(objects, _)| objects.contains_key(key.as_str())) {
            return true;
        }
        let comes = async {
            while let Ok(turn) = tail.next().await {
                if turn.after.is_some() {
                    return true;
                }
            }
            false
        };
        tokio::select! {
            biased;
            came = comes => came,
            () = (self.world.sleep)(AWAITED) => false,
        }
    }
}
