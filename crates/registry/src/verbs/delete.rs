//! DELETE of one object and of a selection.

use std::sync::Arc;

use api::Kind;
use machinery::identity::User;
use machinery::meta;
use machinery::object::Object;
use machinery::request::{Answer, Content, List, Request};
use machinery::status::Status;
use serde_json::Value;

use super::get::{answer, presented};
use crate::admission::{Asked, Operation};
use crate::commit::{Committed, Write};
use crate::generic::deletion::{self, Deletion};
use crate::{Registry, allocate, keys};

const ATTEMPTS_MAX: usize = 16;

/// Kinds whose delete answers with the object instead of a Status, as upstream's `ReturnDeletedObject`.
const ANSWER_OBJECT: &[(&str, &str)] = &[
    ("", "namespaces"),
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "pods"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
];

/// What a delete left behind.
enum Left {
    /// The object is gone; its last state.
    Nothing(Arc<Object>),
    /// It waits for its grace or its finalizers.
    Marked(Arc<Object>),
}

impl Registry {
    pub(crate) async fn delete(&self, user: &User, kind: &'static Kind, request: &Request) -> Result<Answer, Status> {
        let content = match self.remove(user, kind, request, &request.namespace, &request.name).await? {
            Left::Marked(object) => Content::Object(presented(kind, &object)),
            Left::Nothing(object) if ANSWER_OBJECT.contains(&(kind.group, kind.plural)) => {
                Content::Object(presented(kind, &object))
            }
            Left::Nothing(object) => Content::Status(deletion::done(kind, &object.tree())),
        };
        Ok(answer(200, content))
    }

    /// Deletes what a list with the same options shows, one by one; answers with that list.
    pub(crate) async fn delete_collection(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
    ) -> Result<Answer, Status> {
        let mut listing = request.clone();
        listing.options.resource_version_match = None;
        listing.options.send_initial_events = None;
        let Content::List(list) = self.list(kind, &listing).await?.content else {
            return Err(Status::internal("a list was expected"));
        };
        let mut removals = Vec::new();
        for object in &list.items {
            let tree = object.tree();
            let (namespace, name) = (meta::namespace(&tree).to_owned(), meta::name(&tree).to_owned());
            removals.push(async move { self.remove(user, kind, request, &namespace, &name).await });
        }
        for removed in in_groups(removals).await {
            match removed {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        Ok(answer(200, Content::List(List { continue_token: String::new(), remaining: None, ..list })))
    }

    async fn remove(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        namespace: &str,
        name: &str,
    ) -> Result<Left, Status> {
        let kind = keys::storing(kind);
        let held = self.current(kind, namespace, name)?;
        let mut object = held.object.clone();
        for _ in 0..ATTEMPTS_MAX {
            let tree = object.tree();
            let plan = deletion::plan(kind, &tree, &request.options, self.world.now())?;
            self.admit_delete(user, kind, request, (namespace, name), &tree).await?;
            let marked = match &plan {
                Deletion::Pending => return Ok(Left::Marked(object)),
                // Marked as it is to be already: nothing is written.
                Deletion::Mark(marked) if *marked == *tree => return Ok(Left::Marked(object)),
                Deletion::Mark(marked) => Some(marked),
                Deletion::Now => None,
            };
            if request.options.dry_run {
                return Ok(marked.map_or(Left::Nothing(object), |marked| Left::Marked(Object::from_tree(marked))));
            }
            let sides = match marked {
                Some(_) => Vec::new(),
                None => allocate::plan(kind, None, Some(&tree), &self.allocation())?,
            };
            let expect = object.revision();
            let write = Write { kind, namespace, name, expect, tree: marked, lease: None, sides: &sides };
            match self.commit(write).await? {
                Committed::At(_, Some(written)) => return Ok(Left::Marked(written)),
                Committed::At(revision, None) => return Ok(Left::Nothing(object.at_revision(revision))),
                Committed::Changed(None) => return Err(Status::not_found(kind.group, kind.plural, name)),
                Committed::Changed(Some(entry)) => object = Object::from_stored(entry.value, entry.mod_revision)?,
                Committed::SideTaken => {}
            }
        }
        Err(Status::conflict(kind.group, kind.plural, name, "the object changes too often to be deleted"))
    }

    async fn admit_delete(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        (namespace, name): (&str, &str),
        old: &Value,
    ) -> Result<(), Status> {
        let asked = Asked {
            user,
            operation: Operation::Delete,
            kind,
            subresource: "",
            namespace,
            name,
            object: &Value::Null,
            old,
            dry_run: request.options.dry_run,
        };
        self.admit(&asked, &mut Value::Null).await
    }
}

/// Runs the futures, a bounded number of them at a time, so that they share the store's syncs.
async fn in_groups<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    const AT_ONCE_MAX: usize = 64;
    use futures::StreamExt;
    futures::stream::iter(futures).buffered(AT_ONCE_MAX).collect().await
}
