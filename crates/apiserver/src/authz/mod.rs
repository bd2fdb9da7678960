//! May you: the chain of authorizers, first allow wins.
//!
//! ```text
//!   system:masters ─▶ node (what pods on the node refer to) ─▶ RBAC (roles and bindings, indexed by subject)
//! ```
//! What is decided here is data about one request; who the user is was decided in `authn`.

mod attributes;
pub mod bootstrap;
mod feed;
mod graph;
mod node;
mod rbac;
mod rules;

use std::sync::{Arc, RwLock};

use machinery::identity::User;
use machinery::status::Status;
use registry::Registry;
use tokio_util::sync::CancellationToken;

pub use attributes::{Attributes, Target, selected};
pub use rules::{Rule, uncovered};

use graph::Graph;
use rbac::Index;

const SUPERUSERS: &str = "system:masters";

/// What an authorizer says about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, and why (`RBAC: allowed by …`).
    Allow(String),
    /// Nobody allowed it; the reason may be empty.
    NoOpinion(String),
}

impl Decision {
    pub fn allowed(&self) -> bool {
        matches!(self, Decision::Allow(_))
    }

    pub fn reason(&self) -> &str {
        match self {
            Decision::Allow(reason) | Decision::NoOpinion(reason) => reason,
        }
    }
}

/// The authorizers with their indexes, which follow the registry's events.
pub struct Authorizer {
    registry: Arc<Registry>,
    rbac: Arc<RwLock<Index>>,
    graph: Arc<RwLock<Graph>>,
    node_rules: Vec<Rule>,
}

impl Authorizer {
    /// Lists what the indexes are made of and follows it until `stop`.
    ///
    /// # Errors
    /// The first list failed.
    pub async fn open(registry: Arc<Registry>, stop: CancellationToken) -> Result<Arc<Self>, Status> {
        let rbac = Arc::new(RwLock::new(Index::default()));
        let graph = Arc::new(RwLock::new(Graph::default()));
        let node_rules = bootstrap::policy().map_err(Status::internal)?.rules_of("system:node");
        feed::roles(&registry, &rbac, &stop).await?;
        feed::references(&registry, &graph, &stop).await?;
        Ok(Arc::new(Self { registry, rbac, graph, node_rules }))
    }

    pub async fn decide(&self, user: &User, asked: &Attributes) -> Decision {
        if user.in_group(SUPERUSERS) {
            return Decision::Allow(String::new());
        }
        let mut reasons = Vec::new();
        if user.node().is_some() {
            match self.decide_node(user, asked).await {
                Decision::NoOpinion(reason) => reasons.push(reason),
                allow => return allow,
            }
        }
        match read(&self.rbac).decide(user, asked) {
            Decision::NoOpinion(reason) => reasons.push(reason),
            allow => return allow,
        }
        reasons.retain(|r| !r.is_empty());
        Decision::NoOpinion(reasons.join("\n"))
    }

    /// What roles alone say, at once: the node authorizer, which may have to look, is not asked.
    pub fn decide_roles(&self, user: &User, asked: &Attributes) -> Decision {
        match user.in_group(SUPERUSERS) {
            true => Decision::Allow(String::new()),
            false => read(&self.rbac).decide(user, asked),
        }
    }

    /// As [`Authorizer::decide`], a refusal being the 403 that the caller gets.
    ///
    /// # Errors
    /// 403 in upstream's words.
    pub async fn check(&self, user: &User, asked: &Attributes) -> Result<(), Status> {
        match self.decide(user, asked).await {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(asked.forbidden(user, &reason)),
        }
    }

    /// The rules that hold for a user in a namespace, and whether that is not the whole truth.
    pub fn rules_for(&self, user: &User, namespace: &str) -> (Vec<Rule>, Option<String>) {
        if user.in_group(SUPERUSERS) {
            return (vec![Rule::everything(), Rule::every_path()], None);
        }
        let rules = read(&self.rbac).rules_for(user, namespace);
        let incomplete = user.node().map(|_| "node authorizer does not support user rule resolution".to_owned());
        (rules, incomplete)
    }

    /// The rules of a ClusterRole or Role as bound: for the check that nobody grants more than he has.
    pub fn role_rules(&self, kind: &str, namespace: &str, name: &str) -> Option<Vec<Rule>> {
        read(&self.rbac).role_rules(kind, namespace, name)
    }

    /// The node authorizer. A miss may only mean that the graph is behind the store by an event: it is repeated
    /// once on what the store holds now, because a kubelet asks for a pod's Secrets as soon as it sees the pod.
    async fn decide_node(&self, user: &User, asked: &Attributes) -> Decision {
        let Some(node) = user.node() else { return Decision::NoOpinion(String::new()) };
        let decision = node::decide(node, asked, &self.node_rules, &read(&self.graph));
        if decision.allowed() || !node::depends_on_graph(asked) {
            return decision;
        }
        let mut now = Graph::default();
        match feed::pods_of(&self.registry, node, asked).await {
            Ok(pods) => pods.iter().for_each(|pod| now.put_pod(pod)),
            Err(_) => return decision,
        }
        now.borrow_volumes(&read(&self.graph));
        node::decide(node, asked, &self.node_rules, &now)
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
