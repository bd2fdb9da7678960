//! What a delete does to an object: removes it, marks it, or finds that it is marked already. Pure.
//!
//! Graceful kinds (pods) are marked with a time and linger until the kubelet deletes them with no grace;
//! finalizers keep any object until the last of them is gone; namespaces also have finalizers in their spec.

use api::Kind;
use jiff::Timestamp;
use machinery::meta;
use machinery::request::{Options, Propagation};
use machinery::status::Status;
use machinery::tree;
use serde_json::{Value, json};

use crate::world::second_text;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Deletion {
    /// The object goes now.
    Now,
    /// The object is written back, marked.
    Mark(Value),
    /// It is marked already; nothing changes.
    Pending,
}

/// Plans the deletion of the object as it is.
///
/// # Errors
/// 409 when a precondition does not hold.
pub fn plan(kind: &Kind, object: &Value, options: &Options, now: Timestamp) -> Result<Deletion, Status> {
    check_preconditions(kind, object, options)?;
    if is_namespace(kind) && !meta::is_deleting(object) {
        return Ok(Deletion::Mark(terminating(kind, object, options, now)));
    }
    if is_namespace(kind) && !tree::items(object, "spec.finalizers").is_empty() {
        return Ok(Deletion::Pending);
    }
    let mut marked = object.clone();
    let grace = match graceful(kind, &mut marked, options, now) {
        Graceful::Pending => return Ok(Deletion::Pending),
        Graceful::Yes(seconds) => Some(seconds),
        Graceful::No => None,
    };
    set_dependents_finalizer(kind, &mut marked, options);
    let waits = meta::finalizers(&marked).next().is_some();
    match grace {
        Some(seconds) if waits || seconds > 0 => Ok(Deletion::Mark(marked)),
        None if waits => {
            mark(&mut marked, now);
            Ok(Deletion::Mark(marked))
        }
        _ => Ok(Deletion::Now),
    }
}

/// Whether an update that leaves this object behind ends it: it is marked, its grace is over, and its last
/// finalizer was taken.
pub fn ends_with_update(kind: &Kind, new: &Value, old: &Value) -> bool {
    let no_grace = old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0;
    let held = is_namespace(kind) && !tree::items(new, "spec.finalizers").is_empty();
    meta::is_deleting(old) && no_grace && !held && meta::finalizers(new).next().is_none()
}

fn is_namespace(kind: &Kind) -> bool {
    kind.group.is_empty() && kind.plural == "namespaces"
}

/// # Errors
/// 409 when the uid or the revision that a delete names is not the object's.
pub fn check_preconditions(kind: &Kind, object: &Value, options: &Options) -> Result<(), Status> {
    let conflict = |why: String| Status::conflict(kind.group, kind.kind, meta::name(object), &why);
    let (uid, revision) = (meta::uid(object), meta::resource_version(object));
    match (&options.precondition_uid, &options.precondition_revision) {
        (Some(asked), _) if asked != uid && is_namespace(kind) => Err(Status::conflict(
            kind.group,
            kind.plural,
            meta::name(object),
            &format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {uid}"),
        )),
        (Some(asked), _) if asked != uid => Err(conflict(format!(
            "the UID in the precondition ({asked}) does not match the UID in record ({uid}). \
             The object might have been deleted and then recreated"
        ))),
        (_, Some(asked)) if asked != revision => Err(conflict(format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        ))),
        _ => Ok(()),
    }
}

fn terminating(kind: &Kind, object: &Value, options: &Options, now: Timestamp) -> Value {
    let mut marked = object.clone();
    tree::set(&mut marked, "metadata.deletionTimestamp", second_text(now));
    tree::set(&mut marked, "status.phase", "Terminating");
    set_dependents_finalizer(kind, &mut marked, options);
    marked
}

enum Graceful {
    No,
    Yes(i64),
    Pending,
}

/// Sets time and grace where the kind lingers.
fn graceful(kind: &Kind, object: &mut Value, options: &Options, now: Timestamp) -> Graceful {
    // Negative periods count as one second.
    let asked = options.grace_period_seconds.map(|s| if s < 0 { 1 } else { s });
    let Some(grace) = (kind.grace)(object, asked) else { return Graceful::No };
    if let Some(since) = meta::deletion_timestamp(object) {
        let held = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        let shorter = asked.filter(|asked| *asked < held);
        return match (held, shorter) {
            (0, _) => Graceful::No,
            (_, None) => Graceful::Pending,
            (_, Some(period)) => {
                let end = since.parse::<Timestamp>().map_or(now.as_second(), |t| t.as_second() - held + period);
                set_grace(object, end, period);
                Graceful::Yes(period)
            }
        };
    }
    set_grace(object, now.as_second() + grace, grace);
    count_generation(object);
    Graceful::Yes(grace)
}

fn set_grace(object: &mut Value, end_second: i64, period: i64) {
    let end = Timestamp::from_second(end_second).unwrap_or(Timestamp::UNIX_EPOCH);
    tree::set(object, "metadata.deletionTimestamp", second_text(end));
    tree::set(object, "metadata.deletionGracePeriodSeconds", period);
}

/// Marks an object without grace that waits for its finalizers.
fn mark(object: &mut Value, now: Timestamp) {
    if !meta::is_deleting(object) {
        count_generation(object);
    }
    let since = meta::deletion_timestamp(object).and_then(|t| t.parse::<Timestamp>().ok());
    if since.is_none_or(|since| since > now) {
        tree::set(object, "metadata.deletionTimestamp", second_text(now));
    }
    tree::set(object, "metadata.deletionGracePeriodSeconds", 0);
}

fn count_generation(object: &mut Value) {
    let generation = meta::generation(object);
    if generation > 0 {
        tree::set(object, "metadata.generation", generation + 1);
    }
}

/// The finalizer that tells the garbage collector what to do with dependents: the request's policy, else the
/// one there is, else the kind's default.
fn set_dependents_finalizer(kind: &Kind, object: &mut Value, options: &Options) {
    let (orphan, foreground) = (meta::has_finalizer(object, ORPHAN), meta::has_finalizer(object, FOREGROUND));
    let wanted = match options.propagation {
        Some(Propagation::Orphan) => Some(ORPHAN),
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Background) => None,
        None if orphan => Some(ORPHAN),
        None if foreground => Some(FOREGROUND),
        None => kind.orphan_by_default.then_some(ORPHAN),
    };
    for (name, there) in [(ORPHAN, orphan), (FOREGROUND, foreground)] {
        match (there, wanted == Some(name)) {
            (true, false) => {
                meta::remove_finalizer(object, name);
            }
            (false, true) => {
                meta::add_finalizer(object, name);
            }
            _ => {}
        }
    }
}

/// The body of a `DELETE` as upstream answers it for kinds that do not return the object.
pub fn done(kind: &Kind, object: &Value) -> Status {
    let mut status = Status { status: "Success".into(), ..Status::default() };
    status = status.with_details(kind.group, kind.plural, meta::name(object));
    if let Some(details) = &mut status.details {
        details.uid = meta::uid(object).to_owned();
    }
    status
}

/// A Success without details, as bindings and evictions answer.
pub fn success(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code})
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: Kind = Kind {
        kind: "Pod",
        plural: "pods",
        grace: |pod, asked| {
            let bound = !pod["spec"]["nodeName"].is_null();
            Some(if bound { asked.unwrap_or(30) } else { 0 })
        },
        ..Kind::BASE
    };
    const MAP: Kind = Kind { kind: "ConfigMap", plural: "configmaps", ..Kind::BASE };

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn pod(extra: Value) -> Value {
        let mut pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"nodeName": "n"}});
        machinery::patch::merge(&pod.take(), &extra);
        let base = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"nodeName": "n"}});
        machinery::patch::merge(&base, &extra)
    }

    #[test]
    fn a_bound_pod_lingers_and_its_grace_can_only_shrink() {
        let options = Options::default();
        let Deletion::Mark(marked) = plan(&POD, &pod(json!({})), &options, now()).unwrap() else { panic!() };
        assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z");
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
        assert_eq!(plan(&POD, &marked, &options, now()), Ok(Deletion::Pending));
        let longer = Options { grace_period_seconds: Some(60), ..Options::default() };
        assert_eq!(plan(&POD, &marked, &longer, now()), Ok(Deletion::Pending));
        let shorter = Options { grace_period_seconds: Some(5), ..Options::default() };
        let Deletion::Mark(again) = plan(&POD, &marked, &shorter, now()).unwrap() else { panic!() };
        assert_eq!(again["metadata"]["deletionTimestamp"], "2026-01-01T00:00:05Z");
        let force = Options { grace_period_seconds: Some(0), ..Options::default() };
        assert_eq!(plan(&POD, &again, &force, now()), Ok(Deletion::Now));
    }

    #[test]
    fn an_unbound_pod_goes_at_once() {
        let free = json!({"metadata": {"name": "p"}, "spec": {}});
        assert_eq!(plan(&POD, &free, &Options::default(), now()), Ok(Deletion::Now));
    }

    #[test]
    fn finalizers_hold_any_object() {
        let held = json!({"metadata": {"name": "a", "finalizers": ["x/y"], "generation": 1}});
        let Deletion::Mark(marked) = plan(&MAP, &held, &Options::default(), now()).unwrap() else { panic!() };
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
        assert_eq!(marked["metadata"]["generation"], 2);
        assert!(!ends_with_update(&MAP, &marked, &marked));
        let mut free = marked.clone();
        meta::remove_finalizer(&mut free, "x/y");
        assert!(ends_with_update(&MAP, &free, &marked));
    }

    #[test]
    fn the_policy_becomes_a_finalizer() {
        let plain = json!({"metadata": {"name": "a"}});
        let policy = |p| Options { propagation: Some(p), ..Options::default() };
        let Deletion::Mark(marked) = plan(&MAP, &plain, &policy(Propagation::Foreground), now()).unwrap() else {
            panic!()
        };
        assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
        assert_eq!(plan(&MAP, &plain, &policy(Propagation::Background), now()), Ok(Deletion::Now));
        let Deletion::Mark(marked) = plan(&MAP, &marked, &policy(Propagation::Orphan), now()).unwrap() else {
            panic!()
        };
        assert_eq!(marked["metadata"]["finalizers"], json!(["orphan"]));
    }

    #[test]
    fn preconditions_are_upstreams_conflicts() {
        let wrong = Options { precondition_uid: Some("v".into()), ..Options::default() };
        let status = plan(&POD, &pod(json!({})), &wrong, now()).unwrap_err();
        assert_eq!(status.code, 409);
        assert!(status.message.contains("the UID in the precondition (v) does not match the UID in record (u)"));
    }
}
