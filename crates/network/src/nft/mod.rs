//! nf_tables through netlink: tables, chains, rules and sets as data, written in atomic transactions, read back.
//!
//! Not a language and no policy: an `Expression` is one instruction of the kernel's rule machine, a rule is a list of them.
//!
//! ```text
//! Transaction::new(family, table)   add/remove chains, rules, sets, elements   commit() = all or nothing
//! ```

mod dump;
mod events;
mod expression;
mod set;
mod transaction;

pub use dump::{BaseChain, dropping_chains, elements, tables};
pub use events::Events;
pub use expression::{Base, Expression, Lookup, Register, Reject, Verdict};
pub use set::{Data, Element, Field, Key, MapData, Set};
pub use transaction::{ChainKind, Hook, HookPoint, Transaction};

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Inet = 1,
    Ipv4 = 2,
    Ipv6 = 10,
}

/// Instructions that run in their order until one does not match.
pub type Rule = Vec<Expression>;

const SUBSYSTEM: u16 = 10 << 8;

/// Removes a table and all that is in it; a table that is not there is no error.
pub fn remove_table(family: Family, table: &str) -> crate::Result<()> {
    let mut transaction = Transaction::new(family, table);
    // Removing what is not there is refused, so it is made first.
    transaction.add_table();
    transaction.remove_table();
    transaction.commit()
}

#[cfg(test)]
mod tests;
