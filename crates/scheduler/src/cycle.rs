//! One pod's cycle: filter nodes until enough are feasible, score them, take the best.

use std::collections::BTreeMap;

use crate::node::{Seen, Table};
use crate::plugins::{FILTERS, Reason, Refusal, SCORES};
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
    let mut refused = Refused { total, ..Refused::default() };
    let mut looked = 0;
    for at in 0..slots.len() {
        let node = &slots[(start + at) % slots.len()];
        looked = at + 1;
        if !node.is_known {
            continue;
        }
        // The first plugin that says no gives all its reasons, and no later one is asked.
        match questions.iter().find_map(|question| question(node)) {
            None => feasible.push(node),
            Some(refusal) => refused.count(refusal, wanted, node),
        }
        if feasible.len() >= enough {
            break;
        }
    }
    let node = match feasible.as_slice() {
        [] => Err(refused.message(wanted)),
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

/// Why no node does, counted.
#[derive(Default)]
struct Refused {
    total: usize,
    reasons: BTreeMap<Reason, usize>,
    /// What preemption says of the nodes.
    preemption: BTreeMap<Reason, usize>,
    /// A pod that could be driven off is on a node where that might help. Nobody does it: nothing is said of it.
    has_victims: bool,
}

impl Refused {
    fn count(&mut self, refusal: Refusal, wanted: &Wanted, node: &Seen) {
        let why_not = match refusal.is_lasting {
            true => "Preemption is not helpful for scheduling",
            false => "No preemption victims found for incoming pod",
        };
        self.has_victims |= !refusal.is_lasting && node.has_below(wanted.priority);
        *self.preemption.entry(why_not.to_owned()).or_default() += 1;
        for reason in refusal.reasons {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// `0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods. no new claims to deallocate, preemption: …`
    fn message(&self, wanted: &Wanted) -> String {
        let why = counted(self.total, &self.reasons);
        let preemption = match (wanted.never_preempts, self.has_victims) {
            (true, _) => "not eligible due to preemptionPolicy=Never.".to_owned(),
            (false, true) => return why,
            (false, false) => counted(self.total, &self.preemption),
        };
        // The first words are those of the plugin for resource claims, which upstream asks for victims too.
        format!("{why} no new claims to deallocate, preemption: {preemption}")
    }
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods.`, reasons sorted as upstream sorts them.
fn counted(total: usize, reasons: &BTreeMap<Reason, usize>) -> String {
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
