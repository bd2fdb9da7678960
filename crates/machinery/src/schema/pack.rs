//! The packed form of an arena: made when `api` is built, unpacked once when the process needs it.
//!
//! Names are unpacked as slices of the packed bytes, which live in the executable; nothing is copied.
//! Numbers are LEB128; a text is its length and its bytes. There is no version: writer and reader are one build.

use std::borrow::Cow;

use super::types::{Absent, Arena, Field, Gvk, Items, Merge, Struct, Text, Type, Zero};

/// The packed bytes are not what `pack` wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packed schemas are damaged")]
pub struct Damaged;

/// Packs an arena.
pub fn pack(arena: &Arena) -> Vec<u8> {
    let mut out = Writer::default();
    out.list(&arena.elements, |out, ty| out.ty(*ty));
    out.list(&arena.merges, Writer::merge);
    out.list(&arena.structs, Writer::structure);
    out.0
}

/// Unpacks what [`pack`] wrote.
///
/// # Errors
/// The bytes are something else.
pub fn unpack(packed: &'static [u8]) -> Result<Arena, Damaged> {
    let mut from = Reader(packed);
    Ok(Arena {
        elements: from.list(Reader::ty)?,
        merges: from.list(Reader::merge)?,
        structs: from.list(Reader::structure)?,
    })
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.number(items.len());
        for item in items {
            each(self, item);
        }
    }

    fn ty(&mut self, ty: Type) {
        let (tag, index) = match ty {
            Type::String => (0, None),
            Type::Bool => (1, None),
            Type::Int32 => (2, None),
            Type::Int64 => (3, None),
            Type::Float => (4, None),
            Type::Bytes => (5, None),
            Type::Time => (6, None),
            Type::MicroTime => (7, None),
            Type::Quantity => (8, None),
            Type::IntOrString => (9, None),
            Type::Any => (10, None),
            Type::Struct(i) => (11, Some(i)),
            Type::List(i) => (12, Some(i)),
            Type::Map(i) => (13, Some(i)),
            Type::OrBool(i) => (14, Some(i)),
            Type::OrList(i) => (15, Some(i)),
            Type::OrStrings(i) => (16, Some(i)),
        };
        self.0.push(tag);
        if let Some(index) = index {
            self.number(index.into());
        }
    }

    fn merge(&mut self, merge: &Merge) {
        let Merge { declared, atomic, granular, patch_merge, retain_keys, patch_replace, .. } = *merge;
        self.flags(&[declared, atomic, granular, patch_merge, retain_keys, patch_replace]);
        match &merge.items {
            Items::Atomic => self.0.push(0),
            Items::Set => self.0.push(1),
            Items::Map(keys) => {
                self.0.push(2);
                self.list(keys, |out, key| out.text(key));
            }
        }
        self.text(&merge.merge_key);
    }

    fn flags(&mut self, flags: &[bool]) {
        self.0.push(flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
    }

    fn field(&mut self, field: &Field) {
        self.text(&field.name);
        self.ty(field.ty);
        let bits = [
            field.required,
            field.absent == Absent::Null,
            field.absent == Absent::Zero,
            field.zero == Zero::Drop,
            field.zero == Zero::Null,
        ];
        self.flags(&bits);
        self.text(&field.key_default);
        self.text(&field.go);
        self.number(field.merge.into());
    }

    fn structure(&mut self, of: &Struct) {
        self.text(&of.definition);
        self.flags(&[of.atomic, of.keep_unknown]);
        self.list(&of.gvks, |out, gvk| {
            out.text(&gvk.group);
            out.text(&gvk.version);
            out.text(&gvk.kind);
        });
        self.list(&of.fields, Writer::field);
    }
}

struct Reader(&'static [u8]);

impl Reader {
    fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<usize, Damaged> {
        let (mut number, mut shift) = (0usize, 0u32);
        loop {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f).checked_shl(shift).ok_or(Damaged)?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    fn index(&mut self) -> Result<u16, Damaged> {
        u16::try_from(self.number()?).map_err(|_| Damaged)
    }

    fn text(&mut self) -> Result<Text, Damaged> {
        let length = self.number()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| Damaged)
    }

    fn list<T>(&mut self, each: impl Fn(&mut Self) -> Result<T, Damaged>) -> Result<Vec<T>, Damaged> {
        let count = self.number()?;
        (0..count).map(|_| each(self)).collect()
    }

    fn ty(&mut self) -> Result<Type, Damaged> {
        Ok(match self.byte()? {
            0 => Type::String,
            1 => Type::Bool,
            2 => Type::Int32,
            3 => Type::Int64,
            4 => Type::Float,
            5 => Type::Bytes,
            6 => Type::Time,
            7 => Type::MicroTime,
            8 => Type::Quantity,
            9 => Type::IntOrString,
            10 => Type::Any,
            11 => Type::Struct(self.index()?),
            12 => Type::List(self.index()?),
            13 => Type::Map(self.index()?),
            14 => Type::OrBool(self.index()?),
            15 => Type::OrList(self.index()?),
            16 => Type::OrStrings(self.index()?),
            _ => return Err(Damaged),
        })
    }

    fn flags<const N: usize>(&mut self) -> Result<[bool; N], Damaged> {
        let byte = self.byte()?;
        Ok(std::array::from_fn(|i| byte >> i & 1 == 1))
    }

    fn merge(&mut self) -> Result<Merge, Damaged> {
        let [declared, atomic, granular, patch_merge, retain_keys, patch_replace] = self.flags()?;
        let items = match self.byte()? {
            0 => Items::Atomic,
            1 => Items::Set,
            _ => Items::Map(self.list(Reader::text)?),
        };
        let merge_key = self.text()?;
        Ok(Merge { items, declared, atomic, granular, patch_merge, retain_keys, patch_replace, merge_key })
    }

    fn field(&mut self) -> Result<Field, Damaged> {
        let (name, ty) = (self.text()?, self.ty()?);
        let [required, null, zero, drop_zero, null_zero] = self.flags()?;
        let absent = match (null, zero) {
            (true, _) => Absent::Null,
            (_, true) => Absent::Zero,
            _ => Absent::Leave,
        };
        let zero = match (drop_zero, null_zero) {
            (true, _) => Zero::Drop,
            (_, true) => Zero::Null,
            _ => Zero::Keep,
        };
        let (key_default, go, merge) = (self.text()?, self.text()?, self.index()?);
        Ok(Field { name, ty, absent, zero, required, key_default, go, merge })
    }

    fn structure(&mut self) -> Result<Struct, Damaged> {
        let definition = self.text()?;
        let [atomic, keep_unknown] = self.flags()?;
        let gvks = self.list(|from| Ok(Gvk { group: from.text()?, version: from.text()?, kind: from.text()? }))?;
        let fields = self.list(Reader::field)?;
        let always = always(&fields);
        Ok(Struct { definition, fields, atomic, always, gvks, keep_unknown })
    }
}

/// The positions of the fields that are written when absent.
pub fn always(fields: &[Field]) -> Vec<u16> {
    let written = fields.iter().zip(0u16..).filter(|(f, _)| f.absent != Absent::Leave);
    written.map(|(_, at)| at).collect()
}
