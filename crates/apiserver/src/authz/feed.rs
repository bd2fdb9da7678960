//! Keeps the authorizers' indexes in step with the registry: one list, then its watch.
//!
//! A watch that ends is begun again where it stopped; when history is too short for that, the collection is
//! listed again and what vanished meanwhile is taken out.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures::StreamExt;
use machinery::object::Object;
use machinery::request::{Change, Content, List, Request, Verb};
use machinery::status::Status;
use registry::Registry;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::attributes::{Attributes, Target};
use super::graph::Graph;
use super::rbac::Index;
use super::write;
use crate::identity;

/// After a failed list; failures of an in-process registry are rare and short.
const RETRY: Duration = Duration::from_millis(200);

type Apply = Box<dyn Fn(Change, &Value) + Send + Sync>;

/// Roles and bindings into the RBAC index.
pub async fn roles(
    registry: &Arc<Registry>,
    index: &Arc<RwLock<Index>>,
    stop: &CancellationToken,
) -> Result<(), Status> {
    for resource in ["clusterroles", "roles", "clusterrolebindings", "rolebindings"] {
        let index = index.clone();
        let is_role = !resource.ends_with("bindings");
        let apply: Apply = Box::new(move |change, tree| {
            let mut index = write(&index);
            match (change, is_role) {
                (Change::Bookmark, _) => {}
                (Change::Deleted, true) => index.delete_role(tree),
                (Change::Deleted, false) => index.delete_binding(tree),
                (_, true) => index.put_role(tree),
                (_, false) => index.put_binding(tree),
            }
        });
        follow(registry, "rbac.authorization.k8s.io", resource, apply, stop).await?;
    }
    Ok(())
}

/// Pods, volumes and attachments into the node graph.
pub async fn references(
    registry: &Arc<Registry>,
    graph: &Arc<RwLock<Graph>>,
    stop: &CancellationToken,
) -> Result<(), Status> {
    for (group, resource) in [("", "pods"), ("", "persistentvolumes"), ("storage.k8s.io", "volumeattachments")] {
        let graph = graph.clone();
        let apply: Apply = Box::new(move |change, tree| {
            let mut graph = write(&graph);
            match (change, resource) {
                (Change::Bookmark, _) => {}
                (Change::Deleted, "pods") => graph.delete_pod(tree),
                (Change::Deleted, "persistentvolumes") => graph.delete_volume(tree),
                (Change::Deleted, _) => graph.delete_attachment(tree),
                (_, "pods") => graph.put_pod(tree),
                (_, "persistentvolumes") => graph.put_volume(tree),
                (_, _) => graph.put_attachment(tree),
            }
        });
        match follow(registry, group, resource, apply, stop).await {
            // A kind that is not served has no objects to follow.
            Err(status) if status.code == 404 => {}
            other => other?,
        }
    }
    Ok(())
}

/// The pods on a node now, in the namespace asked about.
pub async fn pods_of(registry: &Registry, node: &str, asked: &Attributes) -> Result<Vec<Arc<Value>>, Status> {
    let namespace = match &asked.target {
        Target::Resource { namespace, .. } => namespace.as_str(),
        Target::Path(_) => "",
    };
    let mut request = Request::new(Verb::List, "", "v1", "pods").namespace(namespace);
    request.options.field_selector = format!("spec.nodeName={node}");
    let list = list(registry, request).await?;
    Ok(list.items.iter().map(|pod| pod.tree()).collect())
}

async fn list(registry: &Registry, request: Request) -> Result<List, Status> {
    match registry.call(&identity::apiserver(), request).await?.content {
        Content::List(list) => Ok(list),
        _ => Err(Status::internal("a list was answered with something else")),
    }
}

struct Feed {
    registry: Arc<Registry>,
    group: &'static str,
    resource: &'static str,
    apply: Apply,
    /// What was applied and not deleted; the decoded forms are not kept.
    present: BTreeMap<(String, String), Arc<Object>>,
    revision: u64,
}

async fn follow(
    registry: &Arc<Registry>,
    group: &'static str,
    resource: &'static str,
    apply: Apply,
    stop: &CancellationToken,
) -> Result<(), Status> {
    let mut feed = Feed { registry: registry.clone(), group, resource, apply, present: BTreeMap::new(), revision: 0 };
    feed.relist().await?;
    let stop = stop.clone();
    let spawn = registry.world().spawn.clone();
    spawn(Box::pin(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = feed.run() => {}
        }
    }));
    Ok(())
}

impl Feed {
    async fn run(mut self) {
        loop {
            match self.watch().await {
                // Its time was over: it goes on where it stopped.
                Ok(true) => continue,
                Ok(false) => (self.registry.world().sleep)(RETRY).await,
                Err(status) => {
                    tracing::debug!(resource = self.resource, %status, "the authorizer's watch broke; listing again");
                }
            }
            while let Err(status) = self.relist().await {
                tracing::warn!(resource = self.resource, %status, "the authorizer cannot list");
                (self.registry.world().sleep)(RETRY).await;
            }
        }
    }

    async fn relist(&mut self) -> Result<(), Status> {
        let request = Request::new(Verb::List, self.group, "v1", self.resource);
        let list = list(&self.registry, request).await?;
        let mut gone = std::mem::take(&mut self.present);
        for object in list.items {
            let tree = object.tree();
            let key = key_of(&tree);
            gone.remove(&key);
            (self.apply)(Change::Modified, &tree);
            self.present.insert(key, object);
        }
        for object in gone.into_values() {
            (self.apply)(Change::Deleted, &object.tree());
        }
        self.revision = list.revision;
        Ok(())
    }

    /// Follows the events from the revision reached; whether there were any.
    async fn watch(&mut self) -> Result<bool, Status> {
        let before = self.revision;
        let mut request = Request::new(Verb::Watch, self.group, "v1", self.resource);
        request.options.resource_version = self.revision.to_string();
        request.options.allow_watch_bookmarks = true;
        let mut events = self.registry.watch(&identity::apiserver(), request).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            self.revision = event.object.revision();
            if event.change == Change::Bookmark {
                continue;
            }
            let tree = event.object.tree();
            (self.apply)(event.change, &tree);
            let key = key_of(&tree);
            match event.change {
                Change::Deleted => self.present.remove(&key),
                _ => self.present.insert(key, event.object),
            };
        }
        Ok(self.revision != before)
    }
}

fn key_of(tree: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&tree["metadata"]["namespace"]), text(&tree["metadata"]["name"]))
}
