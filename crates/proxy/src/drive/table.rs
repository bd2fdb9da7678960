//! Changes as an nf_tables transaction, in an order that the kernel takes.

use network::nft::{Family, Transaction};

use crate::plan::{Changes, Place, table};

/// With `base` the whole table is made anew: what was in it goes in the same moment.
pub fn transaction(name: &str, base: Option<&Place>, changes: &Changes) -> Transaction {
    let mut transaction = Transaction::new(Family::Ipv4, name);
    if let Some(place) = base {
        start(&mut transaction, place);
    }
    apply(&mut transaction, changes);
    transaction
}

fn start(transaction: &mut Transaction, place: &Place) {
    // Removing a table that is not there is refused, so it is made first.
    transaction.add_table();
    transaction.remove_table();
    transaction.add_table();
    for set in table::SETS {
        transaction.add_set(&set);
    }
    for chain in table::chains(place) {
        transaction.add_chain(chain.name, chain.hook);
        for rule in &chain.rules {
            transaction.add_rule(chain.name, rule);
        }
    }
}

/// A chain is there before something leads to it, and nothing leads to it any more when it goes.
fn apply(transaction: &mut Transaction, changes: &Changes) {
    for chain in &changes.new_chains {
        transaction.add_chain(chain, None);
    }
    for (chain, rules) in &changes.rules {
        if !changes.new_chains.contains(chain) {
            transaction.flush_chain(chain);
        }
        for rule in rules {
            transaction.add_rule(chain, rule);
        }
    }
    for (set, elements) in &changes.removed_elements {
        transaction.remove_elements(set, elements);
    }
    for (set, elements) in &changes.added_elements {
        transaction.add_elements(set, elements);
    }
    for chain in &changes.removed_chains {
        transaction.flush_chain(chain);
    }
    for chain in &changes.removed_chains {
        transaction.remove_chain(chain);
    }
}
