//! One way to change an object: PUT, patches, status, scale and other parts differ only in what they open.
//!
//! ```text
//!   current ─▶ make ─▶ prepare ─▶ admit ─▶ allocate ─▶ validate ─▶ commit (compare-and-swap)
//!      ▲                                                              │ somebody else was faster
//!      └──────────────────────────────────────────────────────────────┘ a few times
//! ```

use std::sync::Arc;

use api::Kind;
use api::kind::PartUpdate;
use machinery::field::Problems;
use machinery::identity::User;
use machinery::object::Object;
use machinery::request::{Answer, Content, Request};
use machinery::status::Status;
use machinery::{meta, tree};
use serde_json::Value;

use super::get::{answer, presented, unstored};
use crate::admission::{Asked, Operation};
use crate::commit::{Committed, Write};
use crate::generic::decode::object;
use crate::generic::{changes, deletion, system};
use crate::{Registry, allocate, keys};

/// How often a change is made anew after a conflict that is not the client's.
const ATTEMPTS_MAX: usize = 16;
const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// Which part of the object a change may touch.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Main,
    Status,
    Open(PartUpdate),
    /// The registry itself changes the object: bindings. Nothing is prepared, tracked or checked.
    Direct,
}

/// What a change makes of the object: the tree wished for, with what there is to say about it.
pub(crate) type Made = Result<(Value, Vec<String>), Status>;

/// A change of one object.
pub(crate) struct Change<'a> {
    pub user: &'a User,
    pub kind: &'static Kind,
    pub request: &'a Request,
    pub name: &'a str,
    pub part: Part,
    /// Who set what is written down; server-side apply does that itself.
    pub tracks: bool,
    /// From the object as it is; called again after a conflict.
    pub make: &'a (dyn Fn(&Value) -> Made + Send + Sync),
}

enum Step {
    Done(Arc<Object>, Vec<String>),
    /// Somebody else was faster: the object as it is now.
    Again(Arc<Object>),
    /// Something allocated was taken.
    Replan,
}

impl Registry {
    /// PUT of the object or of one of its parts.
    pub(crate) async fn update(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        part: Part,
    ) -> Result<Answer, Status> {
        let mut decoded = object(kind, &request.body, &request.options)?;
        system::same_name(&request.namespace, &request.name, &decoded.tree)?;
        system::place(kind, &request.namespace, &mut decoded.tree)?;
        decoded.warnings.extend(system::dedup_owners(&mut decoded.tree, false));
        self.known_revision(&decoded.tree).await;
        let made = (decoded.tree.clone(), decoded.warnings.clone());
        let make = |_: &Value| Ok(made.clone());
        let change = Change { user, kind, request, name: &request.name, part, tracks: true, make: &make };
        match self.change(change).await {
            Err(status) if status.is_not_found() && kind.create_on_update && matches!(part, Part::Main) => {
                self.create_by_update(user, kind, request, decoded).await
            }
            done => done.map(|(object, warnings)| Answer {
                warnings,
                ..answer(200, Content::Object(presented(kind, &object)))
            }),
        }
    }

    async fn create_by_update(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        mut decoded: crate::generic::decode::Decoded,
    ) -> Result<Answer, Status> {
        let uid = meta::uid(&decoded.tree).to_owned();
        if !uid.is_empty() {
            let key = keys::key(&request.namespace, &request.name);
            return Err(uid_conflict(kind, &request.name, &key, &uid, ""));
        }
        // A revision says "change this", of an object that is not there: upstream's create drops it.
        tree::remove(&mut decoded.tree, "metadata.resourceVersion");
        self.create_decoded(user, kind, request, decoded).await
    }

    /// Makes a change, again after conflicts that the client did not ask to see.
    pub(crate) async fn change(&self, change: Change<'_>) -> Result<(Arc<Object>, Vec<String>), Status> {
        let held = self.current(change.kind, &change.request.namespace, change.name)?;
        let mut current = held.object.clone();
        for _ in 0..ATTEMPTS_MAX {
            match self.try_change(&change, &current).await? {
                Step::Done(object, warnings) => return Ok((object, warnings)),
                Step::Again(newer) => current = newer,
                Step::Replan => {}
            }
        }
        Err(Status::conflict(change.kind.group, change.kind.plural, change.name, MODIFIED))
    }

    async fn try_change(&self, change: &Change<'_>, current: &Arc<Object>) -> Result<Step, Status> {
        let kind = change.kind;
        let shown = presented(kind, current);
        let old = shown.tree();
        let (mut new, mut warnings) = (change.make)(&old)?;
        check_versions(change, &new, &old)?;
        tree::set(&mut new, "metadata.resourceVersion", meta::resource_version(&old));
        self.prepare(change, &mut new, &old)?;
        let asked = asked(change, &old);
        if !matches!(change.part, Part::Direct) {
            self.admit(&asked, &mut new).await?;
        }
        warnings.extend(system::dedup_owners(&mut new, true));
        (kind.set_defaults)(&mut new);
        if kind.generation && matches!(change.part, Part::Main | Part::Open(_)) {
            changes::count_generation(kind, &mut new, &old);
        }
        let sides = match change.part {
            Part::Main => allocate::plan(kind, Some(&mut new), Some(&old), &self.allocation())?,
            _ => Vec::new(),
        };
        validate(change, &new, &old)?;
        if !matches!(change.part, Part::Direct) {
            self.check(&asked, &new)?;
        }
        if matches!(change.part, Part::Main) {
            warnings.extend((kind.warnings)(&new, &old));
        }
        if deletion::ends_with_update(kind, &new, &old) {
            return self.end(change, current, new, warnings).await;
        }
        if changes::unchanged(&mut new, &old) {
            return Ok(Step::Done(current.clone(), warnings));
        }
        if change.request.options.dry_run {
            return Ok(Step::Done(unstored(kind, &new), warnings));
        }
        let write = Write {
            kind,
            namespace: &change.request.namespace,
            name: change.name,
            expect: current.revision(),
            tree: Some(&new),
            lease: self.lease_of(kind).await?,
            sides: &sides,
        };
        match self.commit(write).await? {
            Committed::At(_, Some(object)) => Ok(Step::Done(object, warnings)),
            Committed::At(_, None) => Err(Status::internal("the stored object cannot be read")),
            Committed::SideTaken => Ok(Step::Replan),
            Committed::Changed(entry) => again(change, entry),
        }
    }

    fn prepare(&self, change: &Change<'_>, new: &mut Value, old: &Value) -> Result<(), Status> {
        let kind = change.kind;
        if matches!(change.part, Part::Direct) {
            return Ok(());
        }
        changes::keep_system_fields(new, old);
        if change.tracks {
            self.track(kind, change.request, old, new)?;
        }
        match change.part {
            Part::Main => (kind.prepare_update)(new, old),
            Part::Status => {
                changes::only_status(new, old);
                (kind.prepare_status)(new, old);
            }
            Part::Open(part) => (part.prepare)(new, old),
            Part::Direct => {}
        }
        Ok(())
    }

    /// The update took the last finalizer of an object whose time is over: it goes.
    async fn end(
        &self,
        change: &Change<'_>,
        current: &Arc<Object>,
        new: Value,
        warnings: Vec<String>,
    ) -> Result<Step, Status> {
        let object = unstored(change.kind, &new);
        if change.request.options.dry_run {
            return Ok(Step::Done(object, warnings));
        }
        let old = current.tree();
        let sides = allocate::plan(change.kind, None, Some(&old), &self.allocation())?;
        let write = Write {
            kind: change.kind,
            namespace: &change.request.namespace,
            name: change.name,
            expect: current.revision(),
            tree: None,
            lease: None,
            sides: &sides,
        };
        match self.commit(write).await? {
            Committed::At(..) => Ok(Step::Done(object, warnings)),
            Committed::SideTaken => Ok(Step::Replan),
            Committed::Changed(entry) => again(change, entry),
        }
    }

    /// Over a shared store somebody else may have answered with a revision that is not here yet. One that never
    /// comes is a conflict like any other.
    async fn known_revision(&self, tree: &Value) {
        match meta::resource_version(tree).parse() {
            Ok(revision) if self.config.shared_store && revision > self.cache.revision() => {
                let _ = self.reach(revision).await;
            }
            _ => {}
        }
    }
}

/// What admission is asked about a change.
fn asked<'a>(change: &'a Change<'a>, old: &'a Value) -> Asked<'a> {
    Asked {
        user: change.user,
        operation: Operation::Update,
        kind: change.kind,
        subresource: &change.request.subresource,
        namespace: &change.request.namespace,
        name: change.name,
        object: &Value::Null,
        old,
        dry_run: change.request.options.dry_run,
    }
}

/// After a conflict the change is made anew: one that named the revision which is gone is refused then.
fn again(change: &Change<'_>, entry: Option<store::Entry>) -> Result<Step, Status> {
    let entry = entry.ok_or_else(|| Status::not_found(change.kind.group, change.kind.plural, change.name))?;
    Ok(Step::Again(Object::from_stored(entry.value, entry.mod_revision)?))
}

/// The uid and the resourceVersion that the client sent must be those of the object.
fn check_versions(change: &Change<'_>, new: &Value, old: &Value) -> Result<(), Status> {
    let (kind, name) = (change.kind, change.name);
    let (uid, current_uid) = (meta::uid(new), meta::uid(old));
    if !uid.is_empty() && uid != current_uid {
        let key = keys::key(&change.request.namespace, name);
        return Err(uid_conflict(kind, name, &key, uid, current_uid));
    }
    let (asked, current) = (meta::resource_version(new), meta::resource_version(old));
    match asked {
        "" | "0" if kind.unconditional_update => Ok(()),
        "" | "0" => {
            let mut problems = Problems::default();
            let at = machinery::field::Path::new("metadata").child("resourceVersion");
            problems.invalid(&at, 0, "must be specified for an update");
            Err(Status::invalid(kind.group, kind.plural, name, &problems))
        }
        asked if asked == current => Ok(()),
        _ => Err(Status::conflict(kind.group, kind.plural, name, MODIFIED)),
    }
}

fn uid_conflict(kind: &Kind, name: &str, key: &str, asked: &str, current: &str) -> Status {
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{key}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {asked}, UID in object meta: {current}",
        kind.plural
    );
    Status::conflict(kind.group, kind.plural, name, &why)
}

fn validate(change: &Change<'_>, new: &Value, old: &Value) -> Result<(), Status> {
    let (kind, mut problems) = (change.kind, Problems::default());
    match change.part {
        Part::Direct => return Ok(()),
        Part::Main => {
            system::validate_metadata(new, old, &mut problems);
            (kind.validate)(new, &mut problems);
            (kind.validate_update)(new, old, &mut problems);
        }
        Part::Status => {
            system::validate_metadata(new, old, &mut problems);
            (kind.validate_status)(new, old, &mut problems);
        }
        Part::Open(part) => {
            system::validate_metadata(new, old, &mut problems);
            (part.validate)(new, old, &mut problems);
        }
    }
    system::invalid(kind, new, &problems)
}
