//! What the table must hold, from Services and EndpointSlices. Pure: no clock, no sockets.
//!
//! ```text
//!  Service, EndpointSlice ─▶ facts ─▶ Index (who belongs together, what is dirty)
//!                                       └▶ choose (which endpoints) ─▶ fragment (chains, elements) ─▶ diff ─▶ Changes
//! ```

mod choose;
mod diff;
mod facts;
mod fragment;
mod index;
pub mod table;

pub use diff::{Changes, Stale};
pub use facts::{Endpoint, PortFacts, ServiceFacts, SliceFacts, SlicePort};
pub use index::Index;

use network::pool::Cidr;

/// What the rules depend on besides the API's objects.
#[derive(Clone, Debug)]
pub struct Place {
    /// This node's name, as endpoints have it.
    pub node: String,
    /// The addresses of all pods of the cluster.
    pub pods: Cidr,
    /// The addresses of all Services: what is not (yet) one is refused. `None` leaves such packets alone.
    pub services: Option<Cidr>,
}

#[cfg(test)]
mod tests;
