//! Moving from the old template to the new: little by little within bounds, or all down and all up.

use control::View;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::draft::Draft;
use super::revision;
use crate::indexes::PODS_BY_OWNER;
use crate::pods;

/// One step of a roll-out by the Deployment's strategy.
pub fn advance(draft: &mut Draft<'_>, view: &View<'_>, now: Timestamp) {
    if draft.is_rolling() { rolling(draft, now) } else { recreate(draft, view, now) }
}

/// Up first; only when that is exhausted, down. Both are decided on what was seen, so that the bounds hold at
/// every instant.
fn rolling(draft: &mut Draft<'_>, now: Timestamp) {
    if draft.new.is_none() {
        revision::create(draft, now);
    }
    let created = draft.new.as_ref().is_some_and(|set| set.seen.is_none());
    grow(draft);
    if !created && !draft.scaled {
        shrink(draft);
    }
}

/// The new set's size: as much as the surge leaves room for, no more than wished. Upstream counts the sizes of the
/// old sets; we count their pods, which are there a moment longer.
fn grow(draft: &mut Draft<'_>) {
    let Some((name, size)) = draft.new.as_ref().map(|set| (set.name.clone(), set.replicas)) else { return };
    let room = draft.room().unwrap_or(0);
    let target = match draft.wished() {
        wished if size > wished => wished,
        wished if room > 0 => size + room.min(wished - size),
        _ => size,
    };
    if target != size {
        draft.resize(&name, target);
    }
}

/// The old sets' sizes: first what is not healthy anyway, then as much as may be unavailable. A set that has not acted
/// on its size may count pods that it took for a former one: then nothing is known, and its next status is waited for.
fn shrink(draft: &mut Draft<'_>) {
    let Some(new) = &draft.new else { return };
    if !draft.sets().all(super::draft::Set::is_observed) {
        return;
    }
    let min_available = draft.wished() - draft.max_unavailable();
    let new_unavailable = new.replicas - new.lasting();
    let mut unhealthy = draft.total() - min_available - new_unavailable;
    if unhealthy <= 0 {
        return;
    }
    for (name, size, available) in old_sets(draft) {
        let count = unhealthy.min(size - available);
        if count > 0 {
            draft.resize(&name, size - count);
            unhealthy -= count;
        }
    }
    let available: i32 = draft.sets().map(super::draft::Set::lasting).sum();
    let mut spare = available - min_available;
    for (name, size, _) in old_sets(draft) {
        let count = spare.min(size);
        if count > 0 {
            draft.resize(&name, size - count);
            spare -= count;
        }
    }
}

/// Name, size and available replicas of the old sets that have a size, the oldest first.
fn old_sets(draft: &Draft<'_>) -> Vec<(String, i32, i32)> {
    let active = draft.old.iter().filter(|set| set.replicas > 0);
    active.map(|set| (set.name.clone(), set.replicas, set.lasting())).collect()
}

/// All old pods must be gone before the first new one is made.
fn recreate(draft: &mut Draft<'_>, view: &View<'_>, now: Timestamp) {
    for (name, ..) in old_sets(draft) {
        draft.resize(&name, 0);
    }
    if draft.scaled || old_pods_run(draft, view) {
        return;
    }
    if draft.new.is_none() {
        revision::create(draft, now);
    }
    let wished = draft.wished();
    if let Some((name, size)) = draft.new.as_ref().map(|set| (set.name.clone(), set.replicas))
        && size != wished
    {
        draft.resize(&name, wished);
    }
}

fn old_pods_run(draft: &Draft<'_>, view: &View<'_>) -> bool {
    let has_pods = |set: &super::draft::Set| {
        let uid = set.seen.as_ref().and_then(|seen| seen.metadata.uid.as_deref()).unwrap_or_default();
        set.status.replicas > 0 || view.by::<Pod>(&PODS_BY_OWNER, uid).iter().any(|pod| !pods::is_terminal(pod))
    };
    draft.old.iter().any(has_pods)
}
