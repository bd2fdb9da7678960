//! The plugins: a filter compiles a pod into a question asked of each node, a score gives each node points.

pub mod affinity;
mod node_name;
mod ports;
mod resources;
mod taints;
mod unschedulable;

use crate::node::Seen;
use crate::pod::Wanted;

/// A reason why a node does not do, in upstream's words.
pub type Reason = String;

/// Why a node does not do, with all reasons of one plugin.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reasons: Vec<Reason>,
    /// It would not do without the other pods on it either, so that preemption is no help.
    pub is_lasting: bool,
}

impl Refusal {
    fn lasting(reason: impl Into<Reason>) -> Self {
        Self { reasons: vec![reason.into()], is_lasting: true }
    }

    fn passing(reason: impl Into<Reason>) -> Self {
        Self { reasons: vec![reason.into()], is_lasting: false }
    }
}

/// A pod's question to a node: why not, or nothing.
pub type Question<'a> = Box<dyn Fn(&Seen) -> Option<Refusal> + 'a>;

/// Compiles a pod into its question; `None` when this pod has no such question.
pub type Filter = for<'a> fn(&'a Wanted) -> Option<Question<'a>>;

/// Points from 0 to 100 for each of the feasible nodes.
pub struct Score {
    pub weight: i64,
    pub points: fn(&Wanted, &[&Seen]) -> Vec<i64>,
}

/// In upstream's order: the first that refuses is the one that is reported.
pub const FILTERS: &[Filter] =
    &[unschedulable::filter, node_name::filter, taints::filter, affinity::filter, ports::filter, resources::filter];

/// With upstream's default weights.
pub const SCORES: &[Score] = &[
    Score { weight: 3, points: taints::points },
    Score { weight: 2, points: affinity::points },
    Score { weight: 1, points: resources::least_allocated },
    Score { weight: 1, points: resources::balanced },
];

/// Scales raw counts to 0..=100; `reversed` when the fewest are the best.
fn normalized(raw: &[i64], reversed: bool) -> Vec<i64> {
    const MAX: i64 = 100;
    let highest = raw.iter().copied().max().unwrap_or(0);
    let scaled = raw.iter().map(|points| if highest == 0 { 0 } else { MAX * points / highest });
    if reversed { scaled.map(|points| MAX - points).collect() } else { scaled.collect() }
}
