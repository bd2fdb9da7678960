//! Carries the steps of a plan out, in order, and says what the caches must show before the next plan.

use client::events::Occurrence;
use client::{Client, access};
use control::plan::{Act, Event, Step, Tail, Target, Write};
use control::resource::Resource;
use futures::future::join_all;
use machinery::key::Key;
use machinery::meta;
use machinery::request::{Body, Content, PatchKind, Request, Verb};
use machinery::status::Status;
use serde_json::Value;

use crate::barrier::Need;

/// The cause in a refusal to create something in a namespace that is being deleted.
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";
/// The most writes of a burst at once.
const BURST_MAX: usize = 64;

/// What came of the steps.
#[derive(Default)]
pub struct Carried {
    pub needs: Vec<(Resource, Need)>,
    pub occurrences: Vec<Occurrence>,
    /// The first refusal; the steps after it were not tried.
    pub refused: Option<(Write, Status)>,
}

struct Done {
    need: Option<Need>,
    name: String,
}

/// Carries steps out until one is refused.
pub async fn carry(client: &Client, steps: Vec<Step>) -> Carried {
    let mut carried = Carried::default();
    for step in steps {
        let refused = match step {
            Step::One(write) => {
                let outcome = perform(client, &write).await;
                carried.take(*write, outcome)
            }
            Step::Burst(writes) => burst(client, writes, &mut carried).await,
        };
        if refused.is_some() {
            carried.refused = refused;
            break;
        }
    }
    carried
}

/// Groups of 1, 2, 4, …: a refusal ends it after its group.
async fn burst(client: &Client, writes: Vec<Write>, carried: &mut Carried) -> Option<(Write, Status)> {
    let mut writes = writes.into_iter();
    let mut size = 1;
    loop {
        let group: Vec<Write> = writes.by_ref().take(size).collect();
        if group.is_empty() {
            return None;
        }
        let outcomes = join_all(group.iter().map(|write| perform(client, write))).await;
        let pairs = group.into_iter().zip(outcomes);
        let refused: Vec<_> = pairs.filter_map(|(write, outcome)| carried.take(write, outcome)).collect();
        if let Some(first) = refused.into_iter().next() {
            return Some(first);
        }
        size = (size * 2).min(BURST_MAX);
    }
}

impl Carried {
    fn take(&mut self, write: Write, outcome: Result<Done, Status>) -> Option<(Write, Status)> {
        let resource = resource_of(&write.act);
        match outcome {
            Ok(done) => {
                self.need(resource, done.need);
                self.occurrences.extend(write.done.as_ref().map(|event| occurrence(event, &done.name, "")));
                None
            }
            Err(status) => {
                if is_unknown(&status) {
                    // The number of the list is not known here; the driver orders it.
                    self.needs.push((resource, Need::Listed(0)));
                }
                if !is_terminating(&status) && !is_old_view(&status) {
                    self.occurrences.extend(write.refused.as_ref().map(|event| occurrence(event, "", &status.message)));
                }
                Some((write, status))
            }
        }
    }

    /// Of several revisions in one cache only the newest has to be waited for.
    fn need(&mut self, resource: Resource, need: Option<Need>) {
        let Some(need) = need else { return };
        if let Need::Revision(new) = need {
            for (held, need) in &mut self.needs {
                if let Need::Revision(old) = need
                    && *held == resource
                {
                    *old = new.max(*old);
                    return;
                }
            }
        }
        self.needs.push((resource, need));
    }
}

/// Whether a refusal says no more than that the view was old, or that nothing can be made here any more: then
/// there is nothing to report, and looking again is all.
pub fn is_quiet(status: &Status) -> bool {
    is_old_view(status) || is_terminating(status) || is_unknown(status)
}

fn is_old_view(status: &Status) -> bool {
    let uid_changed = || status.details.iter().flat_map(|d| &d.causes).any(|cause| cause.field == "metadata.uid");
    status.is_conflict() || status.is_not_found() || uid_changed()
}

fn is_terminating(status: &Status) -> bool {
    status.details.iter().flat_map(|d| &d.causes).any(|cause| cause.reason == NAMESPACE_TERMINATING)
}

fn is_unknown(status: &Status) -> bool {
    status.code == 504
}

/// The kind that a write changes.
pub fn resource_of(act: &Act) -> Resource {
    match act {
        Act::Create { resource, .. } => *resource,
        Act::Post { at, .. } | Act::Patch { at, .. } | Act::Put { at, .. } | Act::Delete { at, .. } => at.resource,
    }
}

/// An event as it is told: the message with its tail.
pub fn occurrence(event: &Event, name: &str, error: &str) -> Occurrence {
    let tail = match event.tail {
        Tail::None => "",
        Tail::Name => name,
        Tail::Error => error,
    };
    Occurrence {
        about: event.about.clone(),
        warning: event.warning,
        reason: event.reason.to_owned(),
        action: String::new(),
        message: format!("{}{tail}", event.message),
    }
}

async fn perform(client: &Client, write: &Write) -> Result<Done, Status> {
    match &write.act {
        Act::Create { resource, tree } => {
            let request = address(*resource, Verb::Create, meta::namespace(tree)).body(tree.clone());
            written(client, request).await
        }
        Act::Post { at, tree } => written(client, target(at, Verb::Create).body(tree.clone())).await,
        Act::Patch { at, tree } => {
            let request = target(at, Verb::Patch(PatchKind::Merge));
            written(client, request.body(held_to(tree.clone(), at))).await
        }
        Act::Put { at, tree } => written(client, target(at, Verb::Update).body(held_to(tree.clone(), at))).await,
        Act::Delete { at, propagation, grace_seconds } => {
            let mut request = target(at, Verb::Delete);
            request.body = Body::None;
            request.options.propagation = *propagation;
            request.options.grace_period_seconds = *grace_seconds;
            request.options.precondition_uid = Some(at.uid.clone()).filter(|uid| !uid.is_empty());
            request.options.precondition_revision = at.revision.clone();
            let gone = Need::Gone { key: Key::new(&at.namespace, &at.name), uid: at.uid.clone() };
            match client.call(request).await {
                // Somebody was faster: what was wanted is so.
                Err(status) if !status.is_not_found() => Err(status),
                _ => Ok(Done { need: Some(gone), name: at.name.clone() }),
            }
        }
    }
}

async fn written(client: &Client, request: Request) -> Result<Done, Status> {
    let seen = match &request.body {
        Body::Tree(tree) => meta::resource_version(tree).to_owned(),
        _ => String::new(),
    };
    let answer = client.call(request).await?;
    // Only what is stored has a revision to wait for; a review or a binding is no version of the object.
    let mut need = match &answer.content {
        Content::Object(object) => Some(Need::Revision(object.revision())),
        _ => None,
    };
    let tree = access::tree(answer)?;
    if !seen.is_empty() && meta::resource_version(&tree) == seen && meta::is_deleting(&tree) {
        // The last finalizer was taken: what is answered is the last version that there was.
        let key = Key::new(meta::namespace(&tree), meta::name(&tree));
        need = Some(Need::Absent { key, uid: meta::uid(&tree).to_owned() });
    }
    Ok(Done { need, name: meta::name(&tree).to_owned() })
}

/// Names uid and version in the body, as preconditions.
fn held_to(mut tree: Value, at: &Target) -> Value {
    if !at.uid.is_empty() {
        tree["metadata"]["uid"] = at.uid.as_str().into();
    }
    if let Some(revision) = &at.revision {
        tree["metadata"]["resourceVersion"] = revision.as_str().into();
    }
    tree
}

fn target(at: &Target, verb: Verb) -> Request {
    address(at.resource, verb, &at.namespace).name(&at.name).subresource(at.subresource)
}

fn address(resource: Resource, verb: Verb, namespace: &str) -> Request {
    Request::new(verb, resource.group, resource.version, resource.plural).namespace(namespace)
}
