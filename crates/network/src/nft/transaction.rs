//! Changes of one table that the kernel makes all at once or not at all.

use std::borrow::Cow;

use super::expression::write_rule;
use super::set::{write_element, write_set};
use super::{Element, Expression, Family, SUBSYSTEM, Set};
use crate::Result;
use crate::netlink::{Attributes, Batch, Socket};

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NEW_TABLE: u16 = 0;
const REMOVE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const REMOVE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const REMOVE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const REMOVE_ELEMENT: u16 = 14;
/// An attribute holds at most 64 KiB; a list of elements is split well before.
const ELEMENT_LIST_BYTES_MAX: usize = 32 << 10;
const TABLE: u16 = 1;
const NFTA_LIST_ELEM: u16 = 1;

/// Where a base chain hangs in a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPoint {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    Filter,
    Nat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    pub kind: ChainKind,
    pub point: HookPoint,
    /// Lower ones come first; destination NAT is at -100, filters at 0, source NAT at 100.
    pub priority: i32,
}

/// Changes to make. Order matters as in the kernel: a chain before the rules that jump to it.
pub struct Transaction {
    family: Family,
    table: String,
    batch: Batch,
}

impl Transaction {
    pub fn new(family: Family, table: &str) -> Self {
        let mut batch = Batch::default();
        batch.push("begin a transaction", BATCH_BEGIN, REQUEST, &batch_header(), |_| ());
        Self { family, table: table.to_owned(), batch }
    }

    pub fn is_empty(&self) -> bool {
        self.batch.operations.len() == 1
    }

    pub fn add_table(&mut self) {
        self.push("add the table", NEW_TABLE, CREATE, |_| ());
    }

    pub fn remove_table(&mut self) {
        self.push("remove the table", REMOVE_TABLE, 0, |_| ());
    }

    /// A chain of this name that is already there stays as it is.
    pub fn add_chain(&mut self, name: &str, hook: Option<Hook>) {
        self.push(format!("add chain {name}"), NEW_CHAIN, CREATE, |a| {
            a.text(3, name);
            if let Some(hook) = hook {
                a.nest(4, |a| {
                    a.be32(1, hook.point as u32);
                    a.be32(2, hook.priority as u32);
                });
                a.text(7, if hook.kind == ChainKind::Nat { "nat" } else { "filter" });
            }
        });
    }

    pub fn remove_chain(&mut self, name: &str) {
        self.push(format!("remove chain {name}"), REMOVE_CHAIN, 0, |a| a.text(3, name));
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, name: &str) {
        self.push(format!("flush chain {name}"), REMOVE_RULE, 0, |a| a.text(2, name));
    }

    pub fn add_rule(&mut self, chain: &str, rule: &[Expression]) {
        self.push(format!("add a rule to chain {chain}"), NEW_RULE, CREATE | APPEND, |a| {
            a.text(2, chain);
            a.nest(4, |a| write_rule(a, rule));
        });
    }

    pub fn add_set(&mut self, set: &Set) {
        self.push(format!("add set {}", set.name), NEW_SET, CREATE, |a| {
            a.text(2, set.name);
            write_set(a, set);
        });
    }

    pub fn add_elements<'a>(&mut self, set: &str, elements: impl IntoIterator<Item = &'a Element>) {
        self.elements("add elements to", NEW_ELEMENT, CREATE, set, elements);
    }

    pub fn remove_elements<'a>(&mut self, set: &str, elements: impl IntoIterator<Item = &'a Element>) {
        self.elements("remove elements from", REMOVE_ELEMENT, 0, set, elements);
    }

    /// Makes all the changes, or none of them.
    pub fn commit(self) -> Result<()> {
        self.commit_with(&mut Socket::netfilter()?)
    }

    fn commit_with(mut self, socket: &mut Socket) -> Result<()> {
        let last = self.batch.operations.len() - 1;
        if last == 0 {
            return Ok(());
        }
        // The last change is acknowledged, and with it the whole: older kernels acknowledge no end of a transaction.
        self.batch.ask_acknowledgement(ACKNOWLEDGE);
        self.batch.push("end a transaction", BATCH_END, REQUEST, &batch_header(), |_| ());
        socket.transact(self.batch, last)
    }

    fn elements<'a>(
        &mut self,
        operation: &str,
        kind: u16,
        flags: u16,
        set: &str,
        elements: impl IntoIterator<Item = &'a Element>,
    ) {
        let mut rest = elements.into_iter().peekable();
        while rest.peek().is_some() {
            self.push(format!("{operation} {set}"), kind, flags, |a| {
                a.text(2, set);
                a.nest(3, |a| {
                    let start = a.position();
                    while a.position() - start < ELEMENT_LIST_BYTES_MAX {
                        let Some(element) = rest.next() else { break };
                        a.nest(NFTA_LIST_ELEM, |a| write_element(a, element));
                    }
                });
            });
        }
    }

    fn push(
        &mut self,
        operation: impl Into<Cow<'static, str>>,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Attributes<'_>),
    ) {
        let header = [self.family as u8, 0, 0, 0];
        let table = &self.table;
        self.batch.push(operation, SUBSYSTEM | kind, REQUEST | flags, &header, |a| {
            a.text(TABLE, table);
            body(a);
        });
    }
}

/// No family; the number of the nf_tables subsystem, big endian.
fn batch_header() -> [u8; 4] {
    [0, 0, 0, 10]
}
