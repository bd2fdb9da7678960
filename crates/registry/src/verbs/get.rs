//! GET of one object, and what every read has in common: how fresh it has to be.

use std::sync::Arc;
use std::time::Duration;

use api::Kind;
use machinery::object::Object;
use machinery::request::{Answer, Content, Request};
use machinery::status::{Cause, Status};
use serde_json::Value;

use crate::cache::{Held, NotSeen};
use crate::{Registry, errors, keys};

/// How long a read waits for a revision that is not here yet, as upstream's watch cache does.
const FRESH_WAIT: Duration = Duration::from_secs(3);

impl Registry {
    pub(crate) async fn get(&self, kind: &'static Kind, request: &Request) -> Result<Answer, Status> {
        self.fresh(&request.options.resource_version).await?;
        let held = self.current(kind, &request.namespace, &request.name)?;
        Ok(answer(200, Content::Object(presented(kind, &held.object))))
    }

    /// The object as the cache has it now.
    pub(crate) fn current(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Arc<Held>, Status> {
        let held = self.cache.get(&keys::collection(kind), &keys::key(namespace, name));
        held.ok_or_else(|| Status::not_found(kind.group, kind.plural, name))
    }

    /// Waits until the cache may answer a read with this `resourceVersion`: `""` the newest committed revision,
    /// `"0"` any, a number not older than that.
    pub(crate) async fn fresh(&self, resource_version: &str) -> Result<(), Status> {
        let revision = match resource_version {
            "0" => return Ok(()),
            // Writes through this registry were seen before they were answered; others' are asked for.
            "" if !self.config.shared_store => return Ok(()),
            "" => self.newest().await?,
            text => parse_revision(text)?,
        };
        self.reach(revision).await
    }

    pub(crate) async fn reach(&self, revision: u64) -> Result<(), Status> {
        self.cache.reach(revision, FRESH_WAIT).await.map_err(|why| match why {
            NotSeen::TimedOut { current } => too_large(revision, current),
            NotSeen::Closed => errors::closed(),
        })
    }

    /// The newest committed revision, by a quorum read of the store.
    async fn newest(&self) -> Result<u64, Status> {
        let start = keys::PREFIX.into();
        let range = store::Range { start, end: format!("{}\0", keys::PREFIX).into(), limit: Some(1), at: None };
        Ok(self.store.range(range).await.map_err(errors::store)?.revision)
    }
}

/// # Errors
/// 400: not a number.
pub(crate) fn parse_revision(text: &str) -> Result<u64, Status> {
    text.parse().map_err(|_| {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        Status::bad_request(format!("invalid resource version: {text:?}: {why}"))
    })
}

fn too_large(asked: u64, current: u64) -> Status {
    let mut status = Status::timeout(format!("Too large resource version: {asked}, current: {current}"));
    status.details = Some(Box::default());
    if let Some(details) = &mut status.details {
        details.retry_after_seconds = Some(1);
        details.causes = vec![Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        }];
    }
    status
}

/// The object in the form of the requested kind: most are stored in it already.
pub(crate) fn presented(kind: &Kind, object: &Arc<Object>) -> Arc<Object> {
    match &kind.stored_as {
        None => object.clone(),
        Some(form) => Object::from_tree(&(form.from_stored)((*object.tree()).clone())),
    }
}

/// An object that was not stored (a dry run, the last state of one that went), in the form in which it would be.
pub(crate) fn unstored(kind: &Kind, tree: &Value) -> Arc<Object> {
    match &kind.stored_as {
        None => Object::from_tree(tree),
        Some(form) => Object::from_tree(&(form.to_stored)(tree.clone())),
    }
}

pub(crate) fn answer(code: u16, content: Content) -> Answer {
    Answer { code, warnings: Vec::new(), content }
}
