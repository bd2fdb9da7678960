//! CREATE: decode, fill in, admit, allocate, check, commit. Also what a PUT of a new object does.

use std::sync::Arc;

use api::Kind;
use machinery::identity::User;
use machinery::object::Object;
use machinery::request::{Answer, Content, Request};
use machinery::status::Status;
use machinery::{meta, tree};
use serde_json::Value;
use store::LeaseId;

use super::get::{answer, presented, unstored};
use crate::admission::{Asked, Operation};
use crate::commit::{Committed, Write};
use crate::generic::decode::{Decoded, object};
use crate::generic::system;
use crate::{Registry, allocate};

/// How often a name is generated anew when the one before was taken.
const GENERATED_NAMES_MAX: usize = 8;
/// How often an allocation is planned anew when somebody else was faster.
const ALLOCATIONS_MAX: usize = 16;

impl Registry {
    pub(crate) async fn create(&self, user: &User, kind: &'static Kind, request: &Request) -> Result<Answer, Status> {
        let decoded = object(kind, &request.body, &request.options)?;
        self.create_decoded(user, kind, request, decoded).await
    }

    /// The rest of a create, once the body is a tree with defaults.
    pub(crate) async fn create_decoded(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        decoded: Decoded,
    ) -> Result<Answer, Status> {
        let Decoded { mut tree, mut warnings, tracked } = decoded;
        warnings.extend(system::dedup_owners(&mut tree, false));
        system::wipe(&mut tree)?;
        system::place(kind, &request.namespace, &mut tree)?;
        let mut attempt = 1;
        loop {
            let generates = meta::name(&tree).is_empty() && !meta::generate_name(&tree).is_empty();
            let mut new = if generates { tree.clone() } else { std::mem::take(&mut tree) };
            system::name(&mut new, || self.world.name_suffix());
            if !tracked {
                self.track(kind, request, &Value::Null, &mut new)?;
            }
            let mut said = warnings.clone();
            match self.create_named(user, kind, request, new, &mut said).await {
                Ok(object) => {
                    let answer = answer(201, Content::Object(presented(kind, &object)));
                    return Ok(Answer { warnings: said, ..answer });
                }
                Err(status) if !generates || !status.is_already_exists() => return Err(status),
                Err(status) if attempt == GENERATED_NAMES_MAX => return Err(no_free_name(status)),
                Err(_) => attempt += 1,
            }
        }
    }

    async fn create_named(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        mut new: Value,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<Object>, Status> {
        let name = meta::name(&new).to_owned();
        let asked = Asked {
            user,
            operation: Operation::Create,
            kind,
            subresource: "",
            namespace: &request.namespace,
            name: &name,
            object: &Value::Null,
            old: &Value::Null,
            dry_run: request.options.dry_run,
        };
        let asked = match kind.plural {
            // As upstream: a namespace is in itself, for admission.
            "namespaces" if kind.group.is_empty() => Asked { namespace: &name, ..asked },
            _ => asked,
        };
        self.admit(&asked, &mut new).await?;
        warnings.extend(system::dedup_owners(&mut new, true));
        // Before the kind's own preparation: a Job's selector is made of its uid.
        tree::set(&mut new, "metadata.uid", self.world.uid());
        tree::set(&mut new, "metadata.creationTimestamp", self.world.now_text());
        (kind.prepare_create)(&mut new);
        // What was filled in on the way has defaults too: upstream sets them again on every read.
        (kind.set_defaults)(&mut new);
        if kind.generation {
            tree::set(&mut new, "metadata.generation", 1);
        }
        self.store_new(&asked, request, new, warnings).await
    }

    /// Allocates, checks and commits; plans anew when something allocated was taken meanwhile.
    async fn store_new(
        &self,
        asked: &Asked<'_>,
        request: &Request,
        mut tree: Value,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<Object>, Status> {
        let (kind, name) = (asked.kind, meta::name(&tree).to_owned());
        let mut warned = false;
        for _ in 0..ALLOCATIONS_MAX {
            // Only what allocates can come here twice.
            let mut new = if allocate::applies(kind) { tree.clone() } else { std::mem::take(&mut tree) };
            let sides = allocate::plan(kind, Some(&mut new), None, &self.allocation())?;
            system::validate_new(kind, &new)?;
            self.check(asked, &new)?;
            if !std::mem::replace(&mut warned, true) {
                warnings.extend((kind.warnings)(&new, &Value::Null));
            }
            if request.options.dry_run {
                self.refuse_existing(kind, &request.namespace, &name)?;
                return Ok(unstored(kind, &new));
            }
            let lease = self.lease_of(kind).await?;
            let tree = Some(&new);
            let write =
                Write { kind, namespace: &request.namespace, name: &name, expect: 0, tree, lease, sides: &sides };
            match self.commit(write).await? {
                Committed::At(_, Some(object)) => return Ok(object),
                Committed::At(_, None) => return Err(Status::internal("the stored object cannot be read")),
                Committed::Changed(entry) => {
                    let deleting = entry.and_then(|e| Object::from_stored(e.value, e.mod_revision).ok());
                    return Err(exists(kind, &name, deleting.is_some_and(|o| meta::is_deleting(&o.tree()))));
                }
                Committed::SideTaken => {}
            }
        }
        Err(Status::conflict(kind.group, kind.plural, &name, "what it needs was taken again and again; try again"))
    }

    fn refuse_existing(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Status> {
        match self.current(kind, namespace, name) {
            Ok(held) => Err(exists(kind, name, meta::is_deleting(&held.object.tree()))),
            Err(_) => Ok(()),
        }
    }

    /// The lease of objects that end by themselves; a change gives them a new one.
    pub(crate) async fn lease_of(&self, kind: &Kind) -> Result<Option<LeaseId>, Status> {
        match crate::keys::collection(kind).as_str() {
            crate::events::COLLECTION => self.event_lease().await.map(Some),
            _ => Ok(None),
        }
    }
}

fn exists(kind: &Kind, name: &str, deleting: bool) -> Status {
    let mut status = Status::already_exists(kind.group, kind.plural, name);
    if deleting {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

fn no_free_name(mut status: Status) -> Status {
    status.message.push_str(", the server was not able to generate a unique name for the object");
    if let Some(details) = &mut status.details {
        details.retry_after_seconds = Some(1);
    }
    status
}
