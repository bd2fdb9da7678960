//! Amounts of resources as plain numbers: milli-CPUs, bytes, counts.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use machinery::quantity;

/// What upstream assumes of a container without requests when it spreads load.
const DEFAULT_CPU_MILLI: i64 = 100;
const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// CPU in thousandths, memory and ephemeral storage in bytes, others in units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    pub cpu: i64,
    pub memory: i64,
    pub ephemeral: i64,
    pub others: BTreeMap<String, i64>,
}

pub type List = BTreeMap<String, Quantity>;

impl Amounts {
    pub fn of(list: Option<&List>) -> Self {
        let mut amounts = Self::default();
        for (name, quantity) in list.into_iter().flatten() {
            // The API server admits only quantities; one that is none asks for nothing.
            let Ok(quantity) = quantity::Quantity::parse(&quantity.0) else { continue };
            match name.as_str() {
                "cpu" => amounts.cpu = quantity.milli_value(),
                "memory" => amounts.memory = quantity.value(),
                "ephemeral-storage" => amounts.ephemeral = quantity.value(),
                "pods" => {}
                _ => {
                    amounts.others.insert(name.clone(), quantity.value());
                }
            }
        }
        amounts
    }

    pub fn add(&mut self, other: &Self) {
        self.combine(other, |a, b| a + b);
    }

    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, |a, b| a - b);
    }

    pub fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, op: fn(i64, i64) -> i64) {
        self.cpu = op(self.cpu, other.cpu);
        self.memory = op(self.memory, other.memory);
        self.ephemeral = op(self.ephemeral, other.ephemeral);
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own = op(*own, *amount);
        }
    }

    /// With upstream's guesses where a container requests no CPU or memory.
    pub fn or_guessed(mut self, list: Option<&List>) -> Self {
        let asks = |name: &str| list.is_some_and(|list| list.contains_key(name));
        if !asks("cpu") {
            self.cpu = DEFAULT_CPU_MILLI;
        }
        if !asks("memory") {
            self.memory = DEFAULT_MEMORY_BYTES;
        }
        self
    }
}
