//! One pod's cycle: filter nodes until enough are feasible, score them, take the best.

use std::collections::BTreeMap;

use crate::node::{Seen, Table};
use crate::plugins::{FILTERS, Reason, SCORES};
use crate::pod::Wanted;

/// As upstream: small clusters look at all nodes, large ones at a share that falls to 5 %.
const SEARCH_ALL_NODES_MAX: usize = 100;
const SEARCH_PERCENT_MIN: usize = 5;

pub struct Outcome {
    /// The node's name, or the message why there is none.
    pub node: Result<String, String>,
    pub next_start: usize,
}

pub fn place(wanted: &Wanted, table: &Table, start: usize) -> Outcome {
    let total = table.known().count();
    if total == 0 {
        return Outcome { node: Err("no nodes available to schedule pods".into()), next_start: start };
    }
    let questions: Vec<_> = FILTERS.iter().filter_map(|filter| filter(wanted)).collect();
    let enough = enough(total);
    let slots = table.slots();
    let mut feasible: Vec<&Seen> = Vec::new();
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut looked = 0;
    for at in 0..slots.len() {
        let node = &slots[(start + at) % slots.len()];
        looked = at + 1;
        if !node.is_known {
            continue;
        }
        // The first plugin that says no gives all its reasons, and no later one is asked.
        let refused = questions.iter().map(|question| question(node)).find(|refused| !refused.is_empty());
        match refused {
            None => feasible.push(node),
            Some(why) => why.into_iter().for_each(|reason| *reasons.entry(reason).or_default() += 1),
        }
        if feasible.len() >= enough {
            break;
        }
    }
    let node = match feasible.as_slice() {
        [] => Err(message(total, &reasons)),
        [only] => Ok(only.name.clone()),
        several => Ok(best(wanted, several).name.clone()),
    };
    Outcome { node, next_start: (start + looked) % slots.len() }
}

fn enough(total: usize) -> usize {
    if total <= SEARCH_ALL_NODES_MAX {
        return total;
    }
    let percent = (50usize.saturating_sub(total / 125)).max(SEARCH_PERCENT_MIN);
    (total * percent / 100).max(SEARCH_ALL_NODES_MAX)
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods.`, reasons sorted as upstream sorts them.
fn message(total: usize, reasons: &BTreeMap<Reason, usize>) -> String {
    let mut counted: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    counted.sort();
    format!("0/{total} nodes are available: {}.", counted.join(", "))
}

/// The highest sum of weighted scores; among equals one chosen by the pod's uid, so that pods spread.
fn best<'a>(wanted: &Wanted, nodes: &[&'a Seen]) -> &'a Seen {
    let mut sums = vec![0; nodes.len()];
    for score in SCORES {
        let points = (score.points)(wanted, nodes);
        sums.iter_mut().zip(points).for_each(|(sum, points)| *sum += points * score.weight);
    }
    let highest = sums.iter().max().copied().unwrap_or(0);
    let equals: Vec<&Seen> = nodes.iter().zip(&sums).filter(|(_, sum)| **sum == highest).map(|(n, _)| *n).collect();
    let pick = wanted.uid.bytes().fold(0usize, |hash, b| hash.wrapping_mul(31).wrapping_add(usize::from(b)));
    equals[pick % equals.len()]
}
