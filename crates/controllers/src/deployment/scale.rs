//! A change of size by the user: without a roll-out the one active set gets it, in the middle of one all active
//! sets get their share, so that resizing does not hasten the roll-out.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling>.

use std::cmp::Reverse;

use super::draft::{DESIRED, Draft, MAX, Set};

/// Brings the sets to the wished size.
pub fn resize(draft: &mut Draft<'_>) {
    if let Some(name) = active_or_latest(draft) {
        let wished = draft.wished();
        draft.resize(&name, wished);
    } else if is_saturated(draft) {
        let old: Vec<String> = draft.old.iter().filter(|set| set.replicas > 0).map(|set| set.name.clone()).collect();
        old.iter().for_each(|name| draft.resize(name, 0));
    } else if draft.is_rolling() {
        proportionally(draft);
    }
}

/// The only active set, or without any the newest; `None` when several are active.
fn active_or_latest(draft: &Draft<'_>) -> Option<String> {
    let active: Vec<&Set> = draft.sets().filter(|set| set.replicas > 0).collect();
    let chosen = match active.as_slice() {
        [] => draft.new.as_ref().or(draft.old.last())?,
        [only] => only,
        _ => return None,
    };
    Some(chosen.name.clone())
}

/// The new set has its full size, was sized for it, and all of it is available.
fn is_saturated(draft: &Draft<'_>) -> bool {
    let wished = draft.wished();
    draft
        .new
        .as_ref()
        .is_some_and(|set| set.replicas == wished && set.number(DESIRED) == Some(wished) && set.available() == wished)
}

fn proportionally(draft: &mut Draft<'_>) {
    let allowed = if draft.wished() > 0 { draft.wished() + draft.max_surge() } else { 0 };
    let active = || draft.sets().filter(|set| set.replicas > 0);
    let to_add = allowed - active().map(|set| set.replicas).sum::<i32>();
    let mut sets: Vec<&Set> = active().collect();
    // The largest first; of one size the newest gains first and the oldest loses first.
    if to_add > 0 {
        sets.sort_by(|a, b| {
            (Reverse(a.replicas), Reverse(a.age_order())).cmp(&(Reverse(b.replicas), Reverse(b.age_order())))
        });
    } else {
        sets.sort_by(|a, b| (Reverse(a.replicas), a.age_order()).cmp(&(Reverse(b.replicas), b.age_order())));
    }
    let mut added = 0;
    let mut sizes = Vec::new();
    for set in sets {
        let share = share(draft, set, to_add, added);
        added += share;
        sizes.push((set.name.clone(), set.replicas + share));
    }
    // What rounding left goes to the largest.
    if let Some((_, size)) = sizes.first_mut() {
        *size = (*size + to_add - added).max(0);
    }
    sizes.iter().for_each(|(name, size)| draft.resize(name, *size));
}

/// How many of `to_add` (negative: to take away) a set gets, `added` being given out already.
fn share(draft: &Draft<'_>, set: &Set, to_add: i32, added: i32) -> i32 {
    if to_add == 0 || to_add == added {
        return 0;
    }
    let left = to_add - added;
    let fraction = fraction(draft, set);
    if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
}

fn fraction(draft: &Draft<'_>, set: &Set) -> i32 {
    if draft.wished() == 0 {
        return -set.replicas;
    }
    let whole = f64::from(draft.wished() + draft.max_surge());
    let was = set.number(MAX).unwrap_or(draft.status.replicas.unwrap_or(0));
    if was == 0 {
        return 0;
    }
    let size = f64::from(set.replicas) * whole / f64::from(was);
    size.round() as i32 - set.replicas
}
