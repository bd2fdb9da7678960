//! Services with their EndpointSlices, and which of them changed since the table was last brought up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use machinery::key::Key;

use super::Place;
use super::diff::{Changes, Claims, Picks, chains};
use super::facts::{ServiceFacts, SliceFacts};
use super::fragment::{Fragment, fragment};

/// All that the rules are made from, and what was made of it.
pub struct Index {
    place: Place,
    services: BTreeMap<Key, Arc<ServiceFacts>>,
    slices: BTreeMap<Key, Arc<SliceFacts>>,
    /// Names of slices by their Service; an endpoint may move between slices of one Service.
    belonging: BTreeMap<Key, BTreeSet<Key>>,
    dirty: BTreeSet<Key>,
    fragments: BTreeMap<Key, Fragment>,
    claims: Claims,
    picks: Picks,
    numbers: Numbers,
}

/// Numbers for chains, by which maps tell them apart. A number is never given to another chain, so what the kernel
/// remembers of a former one means nothing.
#[derive(Default)]
pub struct Numbers {
    given: BTreeMap<String, u32>,
    last: u32,
}

impl Numbers {
    pub fn of(&mut self, chain: &str) -> u32 {
        if let Some(number) = self.given.get(chain) {
            return *number;
        }
        self.last += 1;
        self.given.insert(chain.to_owned(), self.last);
        self.last
    }

    fn forget(&mut self, chain: &str) {
        self.given.remove(chain);
    }
}

impl Index {
    pub fn new(place: Place) -> Self {
        Self {
            place,
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            belonging: BTreeMap::new(),
            dirty: BTreeSet::new(),
            fragments: BTreeMap::new(),
            claims: Claims::default(),
            picks: Picks::default(),
            numbers: Numbers::default(),
        }
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A Service is there or changed; `None` facts: it needs no rules.
    pub fn apply_service(&mut self, key: &Key, facts: Option<Arc<ServiceFacts>>) {
        let old = match facts {
            Some(facts) if self.services.get(key) == Some(&facts) => return,
            Some(facts) => self.services.insert(key.clone(), facts).is_some(),
            None => self.services.remove(key).is_some(),
        };
        if old || self.services.contains_key(key) {
            self.dirty.insert(key.clone());
        }
    }

    pub fn delete_service(&mut self, key: &Key) {
        self.apply_service(key, None);
    }

    pub fn apply_slice(&mut self, key: &Key, facts: Arc<SliceFacts>) {
        if self.slices.get(key) == Some(&facts) {
            return;
        }
        self.delete_slice(key);
        if let Some(service) = facts.service.clone() {
            self.belonging.entry(service.clone()).or_default().insert(key.clone());
            self.slices.insert(key.clone(), facts);
            self.dirty.insert(service);
        }
    }

    pub fn delete_slice(&mut self, key: &Key) {
        let Some(service) = self.slices.remove(key).and_then(|slice| slice.service.clone()) else { return };
        if let Some(slices) = self.belonging.get_mut(&service) {
            slices.remove(key);
            if slices.is_empty() {
                self.belonging.remove(&service);
            }
        }
        self.dirty.insert(service);
    }

    /// What the table needs since the last call.
    pub fn take(&mut self) -> Changes {
        let mut changes = Changes::default();
        let picks = self.picks.present();
        for key in std::mem::take(&mut self.dirty) {
            let old = self.fragments.remove(&key).unwrap_or_default();
            let new = self.fragment(&key);
            chains(&old, &new, &mut changes);
            changes.stale.extend(new.stale_after(&old));
            self.claims.replace(&key, &old, &new);
            self.picks.replace(&old, &new);
            if new != Fragment::default() {
                self.fragments.insert(key, new);
            }
        }
        self.claims.settle(&mut changes);
        self.picks.settle(&picks, &mut changes);
        for chain in &changes.removed_chains {
            self.numbers.forget(chain);
        }
        changes
    }

    /// The whole table as changes to an empty one. Call `take` first.
    pub fn everything(&mut self) -> Changes {
        let mut changes = Changes::default();
        self.picks.settle(&BTreeSet::new(), &mut changes);
        for fragment in self.fragments.values() {
            chains(&Fragment::default(), fragment, &mut changes);
            changes.stale.extend(fragment.stale_after(&Fragment::default()));
        }
        self.claims.everything(&mut changes);
        changes
    }

    fn fragment(&mut self, key: &Key) -> Fragment {
        let Some(service) = self.services.get(key) else { return Fragment::default() };
        let names = self.belonging.get(key).into_iter().flatten();
        let slices = names.filter_map(|name| self.slices.get(name)).map(Arc::as_ref);
        fragment(key, service, slices, &self.place, &mut self.numbers)
    }
}
