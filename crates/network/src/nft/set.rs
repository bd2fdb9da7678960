//! Sets and maps: what their keys are made of, and their elements.

use std::net::Ipv4Addr;

use super::expression::{NFTA_DATA_VALUE, Verdict, write_verdict};
use crate::netlink::Attributes;

/// A part of a key or of a map's value. The number is nft's name for the type, for those who list the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Ipv4 = 7,
    Protocol = 12,
    Port = 13,
    Mark = 19,
}

/// What a map gives for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapData {
    Fields(&'static [Field]),
    Verdict,
}

/// A named set, or with `data` a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    pub name: &'static str,
    pub key: &'static [Field],
    pub data: Option<MapData>,
    /// Rules add elements that go after a time.
    pub is_dynamic: bool,
}

/// The bytes of a concatenation, each field padded to four.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Vec<u8>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    None,
    Value(Key),
    Verdict(Verdict),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    pub key: Key,
    pub data: Data,
}

impl Key {
    #[must_use]
    pub fn ipv4(mut self, address: Ipv4Addr) -> Self {
        self.0.extend_from_slice(&address.octets());
        self
    }

    #[must_use]
    pub fn protocol(mut self, number: u8) -> Self {
        self.0.extend_from_slice(&[number, 0, 0, 0]);
        self
    }

    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        let [high, low] = port.to_be_bytes();
        self.0.extend_from_slice(&[high, low, 0, 0]);
        self
    }

    #[must_use]
    pub fn mark(mut self, mark: u32) -> Self {
        self.0.extend_from_slice(&mark.to_ne_bytes());
        self
    }
}

const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const FLAG_MAP: u32 = 0x8;
const FLAG_TIMEOUT: u32 = 0x10;
const FLAG_EVAL: u32 = 0x20;
const TYPE_VERDICT: u32 = 0xffff_ff00;
/// nft packs the types of a concatenation into one number.
const TYPE_BITS: u32 = 6;
const FIELD_BYTES: u32 = 4;
/// Of no meaning here (sets are looked up by name), but the kernel insists on it.
const ANY_ID: u32 = 1;

pub(super) fn write_set(a: &mut Attributes<'_>, set: &Set) {
    let map = if set.data.is_some() { FLAG_MAP } else { 0 };
    let dynamic = if set.is_dynamic { FLAG_TIMEOUT | FLAG_EVAL } else { 0 };
    a.be32(NFTA_SET_FLAGS, map | dynamic);
    a.be32(NFTA_SET_KEY_TYPE, type_of(set.key));
    a.be32(NFTA_SET_KEY_LEN, length(set.key));
    a.be32(NFTA_SET_ID, ANY_ID);
    match set.data {
        Some(MapData::Fields(fields)) => {
            a.be32(NFTA_SET_DATA_TYPE, type_of(fields));
            a.be32(NFTA_SET_DATA_LEN, length(fields));
        }
        Some(MapData::Verdict) => a.be32(NFTA_SET_DATA_TYPE, TYPE_VERDICT),
        None => {}
    }
}

fn type_of(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |all, field| all << TYPE_BITS | *field as u32)
}

/// A single field is as long as it is; in a concatenation each takes a register.
fn length(fields: &[Field]) -> u32 {
    match fields {
        [Field::Protocol] => 1,
        [Field::Port] => 2,
        _ => fields.len() as u32 * FIELD_BYTES,
    }
}

pub(super) fn write_element(a: &mut Attributes<'_>, element: &Element) {
    a.nest(NFTA_SET_ELEM_KEY, |a| a.bytes(NFTA_DATA_VALUE, &element.key.0));
    match &element.data {
        Data::None => {}
        Data::Value(value) => a.nest(NFTA_SET_ELEM_DATA, |a| a.bytes(NFTA_DATA_VALUE, &value.0)),
        Data::Verdict(verdict) => a.nest(NFTA_SET_ELEM_DATA, |a| write_verdict(a, verdict)),
    }
}
