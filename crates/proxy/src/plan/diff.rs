//! From what a Service needed and needs now to changes of the table, with shared elements counted by who claims them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use machinery::key::Key as Name;
use network::nft::{Data, Element, Rule};

use super::choose::Target;
use super::fragment::{Fragment, Slot};
use super::table::{pick, pick_chain};

/// What brings the table from one state to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Chains that are new.
    pub new_chains: BTreeSet<String>,
    /// All rules of new and of changed chains.
    pub rules: BTreeMap<String, Vec<Rule>>,
    pub removed_chains: BTreeSet<String>,
    pub removed_elements: BTreeMap<&'static str, Vec<Element>>,
    pub added_elements: BTreeMap<&'static str, Vec<Element>>,
    pub stale: Vec<Stale>,
}

/// UDP connections to forget: to `port` of `address` (`None`: of this node), answered by other than `current`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    pub address: Option<Ipv4Addr>,
    pub port: u16,
    pub current: BTreeSet<Target>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who claims which element. Two Services may claim one (the same external address and port, the same local endpoint):
/// the first in the order of names has it.
#[derive(Default)]
pub struct Claims {
    slots: BTreeMap<Slot, BTreeMap<Name, Data>>,
    /// What the table has for the slots that were touched since the last `settle`.
    before: BTreeMap<Slot, Option<Data>>,
}

impl Claims {
    pub fn replace(&mut self, owner: &Name, old: &Fragment, new: &Fragment) {
        for slot in old.elements.keys().filter(|slot| !new.elements.contains_key(slot)) {
            self.touch(slot);
            let owners = self.slots.get_mut(slot);
            let empty = owners.is_some_and(|owners| {
                owners.remove(owner);
                owners.is_empty()
            });
            if empty {
                self.slots.remove(slot);
            }
        }
        for (slot, data) in new.elements.iter().filter(|(slot, data)| old.elements.get(slot) != Some(data)) {
            self.touch(slot);
            self.slots.entry(slot.clone()).or_default().insert(owner.clone(), data.clone());
        }
    }

    /// Writes the differences since the last call into `changes`.
    pub fn settle(&mut self, changes: &mut Changes) {
        for (slot, before) in std::mem::take(&mut self.before) {
            let now = self.current(&slot);
            if before == now {
                continue;
            }
            let element = |data| Element { key: slot.1.clone(), data };
            if let Some(data) = before {
                changes.removed_elements.entry(slot.0).or_default().push(element(data));
            }
            if let Some(data) = now {
                changes.added_elements.entry(slot.0).or_default().push(element(data));
            }
        }
    }

    fn touch(&mut self, slot: &Slot) {
        if !self.before.contains_key(slot) {
            let current = self.current(slot);
            self.before.insert(slot.clone(), current);
        }
    }

    fn current(&self, slot: &Slot) -> Option<Data> {
        self.slots.get(slot)?.first_key_value().map(|(_, data)| data.clone())
    }

    /// Every element as an addition.
    pub fn everything(&self, changes: &mut Changes) {
        for (slot, owners) in &self.slots {
            if let Some((_, data)) = owners.first_key_value() {
                let element = Element { key: slot.1.clone(), data: data.clone() };
                changes.added_elements.entry(slot.0).or_default().push(element);
            }
        }
    }
}

/// How many Services use each of the shared chains.
#[derive(Default)]
pub struct Picks(BTreeMap<u32, usize>);

impl Picks {
    pub fn replace(&mut self, old: &Fragment, new: &Fragment) {
        for count in new.picks.difference(&old.picks) {
            *self.0.entry(*count).or_default() += 1;
        }
        for count in old.picks.difference(&new.picks) {
            let users = self.0.entry(*count).or_default();
            *users = users.saturating_sub(1);
        }
    }

    /// Writes the differences from `before` into `changes`, and forgets unused ones.
    pub fn settle(&mut self, before: &BTreeSet<u32>, changes: &mut Changes) {
        self.0.retain(|_, users| *users > 0);
        for count in self.0.keys().filter(|count| !before.contains(count)) {
            changes.new_chains.insert(pick_chain(*count));
            changes.rules.insert(pick_chain(*count), vec![pick(*count)]);
        }
        let gone = before.iter().filter(|count| !self.0.contains_key(count));
        changes.removed_chains.extend(gone.map(|count| pick_chain(*count)));
    }

    pub fn present(&self) -> BTreeSet<u32> {
        self.0.keys().copied().collect()
    }
}

/// The chains of a Service have its name in theirs, so nobody else claims them.
pub fn chains(old: &Fragment, new: &Fragment, changes: &mut Changes) {
    for (name, rules) in &new.chains {
        match old.chains.get(name) {
            Some(same) if same == rules => {}
            Some(_) => drop(changes.rules.insert(name.clone(), rules.clone())),
            None => {
                changes.rules.insert(name.clone(), rules.clone());
                changes.new_chains.insert(name.clone());
            }
        }
    }
    changes.removed_chains.extend(old.chains.keys().filter(|name| !new.chains.contains_key(*name)).cloned());
}
