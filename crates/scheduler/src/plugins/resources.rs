//! NodeResourcesFit and NodeResourcesBalancedAllocation: what is asked must be there, and load is spread.

use super::{Question, Refusal};
use crate::node::Seen;
use crate::pod::Wanted;

const POINTS_MAX: i64 = 100;

pub fn filter(wanted: &Wanted) -> Option<Question<'_>> {
    Some(Box::new(|node| {
        let (mut reasons, mut is_lasting) = (Vec::new(), false);
        if node.pods + 1 > node.pods_max {
            reasons.push("Too many pods".to_owned());
        }
        let (asked, has, used) = (&wanted.requests, &node.allocatable, &node.requested);
        let mut check = |name: &str, asked: i64, has: i64, used: i64| {
            if asked > 0 && asked > has - used {
                reasons.push(format!("Insufficient {name}"));
                is_lasting |= asked > has;
            }
        };
        check("cpu", asked.cpu, has.cpu, used.cpu);
        check("memory", asked.memory, has.memory, used.memory);
        check("ephemeral-storage", asked.ephemeral, has.ephemeral, used.ephemeral);
        for (name, amount) in &asked.others {
            let of = |amounts: &crate::resources::Amounts| amounts.others.get(name).copied().unwrap_or(0);
            check(name, *amount, of(has), of(used));
        }
        (!reasons.is_empty()).then_some(Refusal { reasons, is_lasting })
    }))
}

/// The emptier after the pod, the better: the mean over CPU and memory.
pub fn least_allocated(wanted: &Wanted, nodes: &[&Seen]) -> Vec<i64> {
    let free = |has: i64, used: i64| if has <= 0 || used > has { 0 } else { (has - used) * POINTS_MAX / has };
    let one = |node: &&Seen| {
        let cpu = free(node.allocatable.cpu, node.guessed.cpu + wanted.guessed.cpu);
        let memory = free(node.allocatable.memory, node.guessed.memory + wanted.guessed.memory);
        (cpu + memory) / 2
    };
    nodes.iter().map(one).collect()
}

/// The closer the shares of CPU and memory are to each other after the pod, the better.
pub fn balanced(wanted: &Wanted, nodes: &[&Seen]) -> Vec<i64> {
    let share = |has: i64, used: i64| if has <= 0 { 1.0 } else { (used as f64 / has as f64).min(1.0) };
    let one = |node: &&Seen| {
        let cpu = share(node.allocatable.cpu, node.requested.cpu + wanted.requests.cpu);
        let memory = share(node.allocatable.memory, node.requested.memory + wanted.requests.memory);
        ((1.0 - ((cpu - memory) / 2.0).abs()) * POINTS_MAX as f64) as i64
    };
    nodes.iter().map(one).collect()
}
