//! The zone and the wire, purely: no clock, no sockets, no randomness (whoever calls brings a number or a time).

pub mod answer;
pub mod cache;
mod facts;
mod lookup;
pub mod name;
mod records;
pub mod response;
pub mod upstream;
pub mod wire;
mod zone;

pub use facts::{Address, ServiceFacts, ServiceKind, SliceFacts};
pub use lookup::{Found, lookup};
pub use records::Records;
pub use zone::{Data, Owner, Record, Zone};

#[cfg(test)]
mod tests;
