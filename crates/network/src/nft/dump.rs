//! What the kernel has: tables, chains that drop, and the elements of a set.

use super::{Data, Element, Family, HookPoint, Key, SUBSYSTEM, Verdict};
use crate::Result;
use crate::netlink::{Batch, Socket, attributes, be32};

const REQUEST_DUMP: u16 = 0x1 | 0x300;
const GET_TABLE: u16 = 1;
const GET_CHAIN: u16 = 4;
const GET_ELEMENTS: u16 = 13;
const LIST_ELEMENTS: u16 = 3;

/// The names of a family's tables.
pub fn tables(family: Family) -> Result<Vec<String>> {
    let mut batch = Batch::default();
    batch.push("list tables", SUBSYSTEM | GET_TABLE, REQUEST_DUMP, &[family as u8, 0, 0, 0], |_| ());
    let mut found = Vec::new();
    Socket::netfilter()?.dump(batch, |_, body| {
        found.extend(find(body.get(4..).unwrap_or(&[]), 1).map(text));
    })?;
    Ok(found)
}

/// The elements of a set or map, in the kernel's order.
pub fn elements(family: Family, table: &str, set: &str) -> Result<Vec<Element>> {
    let mut batch = Batch::default();
    let operation = format!("list elements of {set} in {table}");
    batch.push(operation, SUBSYSTEM | GET_ELEMENTS, REQUEST_DUMP, &[family as u8, 0, 0, 0], |a| {
        a.text(1, table);
        a.text(2, set);
    });
    let mut found = Vec::new();
    Socket::netfilter()?.dump(batch, |_, body| {
        let list = find(body.get(4..).unwrap_or(&[]), LIST_ELEMENTS).unwrap_or(&[]);
        found.extend(attributes(list).filter_map(|(_, element)| read_element(element)));
    })?;
    Ok(found)
}

/// A chain at a hook, of anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    pub table: String,
    pub name: String,
}

/// The chains of all IPv4 tables at `point` that drop what no rule of theirs accepts. What one chain drops no other can
/// save.
pub fn dropping_chains(point: HookPoint) -> Result<Vec<BaseChain>> {
    let mut found = Vec::new();
    for family in [Family::Ipv4, Family::Inet] {
        let mut batch = Batch::default();
        batch.push("list chains", SUBSYSTEM | GET_CHAIN, REQUEST_DUMP, &[family as u8, 0, 0, 0], |_| ());
        Socket::netfilter()?.dump(batch, |_, body| {
            found.extend(read_dropping(body.get(4..).unwrap_or(&[]), point));
        })?;
    }
    Ok(found)
}

fn read_dropping(bytes: &[u8], point: HookPoint) -> Option<BaseChain> {
    const DROP: u32 = 0;
    let number = be32(find(find(bytes, 4)?, 1)?)?;
    let policy = be32(find(bytes, 5)?)?;
    let chain = BaseChain { table: text(find(bytes, 1)?), name: text(find(bytes, 3)?) };
    (number == point as u32 && policy == DROP).then_some(chain)
}

fn read_element(bytes: &[u8]) -> Option<Element> {
    let key = Key(find(find(bytes, 1)?, 1)?.to_vec());
    let Some(data) = find(bytes, 2) else { return Some(Element { key, data: Data::None }) };
    if let Some(value) = find(data, 1) {
        return Some(Element { key, data: Data::Value(Key(value.to_vec())) });
    }
    let verdict = find(data, 2)?;
    let chain = find(verdict, 2).map(text).unwrap_or_default();
    let verdict = match be32(find(verdict, 1)?)? as i32 {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        -3 => Verdict::Jump(chain),
        -4 => Verdict::Goto(chain),
        -5 => Verdict::Return,
        _ => return None,
    };
    Some(Element { key, data: Data::Verdict(verdict) })
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}
