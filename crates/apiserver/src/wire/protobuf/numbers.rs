//! `numbers.txt`: which field of a definition has which number.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const TEXT: &str = include_str!("numbers.txt");

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Field(&'static str),
    /// A message whose fields JSON has in its place, by its short definition.
    Inline(&'static str),
}

/// The fields of one message by number.
#[derive(Debug, Default)]
pub struct Fields(BTreeMap<u32, Entry>);

impl Fields {
    pub fn get(&self, number: u32) -> Option<Entry> {
        self.0.get(&number).copied()
    }

    #[cfg(test)]
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.values().filter_map(|e| if let Entry::Field(name) = e { Some(*name) } else { None })
    }
}

/// The fields of a definition, given whole (`io.k8s.api.core.v1.Pod`) or short (`core.v1.Pod`).
pub fn of(definition: &str) -> Option<Fields> {
    // Only where each message begins is kept in memory; its line is read when it is met.
    static LINES: LazyLock<BTreeMap<&'static str, &'static str>> =
        LazyLock::new(|| TEXT.lines().filter_map(|line| line.split_once(':')).collect());
    let at = definition.rmatch_indices('.').nth(2).map_or(0, |(at, _)| at + 1);
    let line = LINES.get(&definition[at..])?;
    let mut fields = Fields::default();
    let mut number = 0;
    for word in line.split_whitespace() {
        let (name, explicit) = word.split_once('=').map_or((word, None), |(name, n)| (name, n.parse().ok()));
        number = explicit.unwrap_or(number + 1);
        let entry = name.split_once(':').map_or(Entry::Field(name), |(_, of)| Entry::Inline(of));
        fields.0.insert(number, entry);
    }
    Some(fields)
}
