//! What a write takes from a pool: addresses and ports of Services. Pure: it plans, the commit decides.
//!
//! Everything taken is an object of its own, made in the same transaction as its owner and only if it was not
//! there: two registries that choose the same address cannot both win, and nothing is leaked by a crash.

pub(crate) mod addresses;
mod ports;
mod service;

use std::sync::Arc;

use api::Kind;
use machinery::status::Status;
use serde_json::Value;

pub use ports::PortRange;

use crate::Registry;
use crate::cache::Cache;
use crate::commit::Side;
use crate::keys;
use crate::world::World;

/// What is free is seen here: the cached state, and where to draw from.
pub struct Pools<'a> {
    pub cache: &'a Cache,
    pub world: &'a World,
    /// Used while there is no ServiceCIDR object.
    pub service_cidr: &'a str,
    pub node_ports: PortRange,
}

impl Pools<'_> {
    fn holds(&self, collection: &str, key: &str) -> Option<Arc<Value>> {
        Some(self.cache.get(collection, key)?.object.tree())
    }
}

type Planner = fn(Option<&mut Value>, Option<&Value>, &Pools<'_>) -> Result<Vec<Side>, Status>;

/// Which collections allocate.
const PLANNERS: &[(&str, Planner)] = &[("core/services", service::plan)];

/// Whether writes of this kind allocate anything.
pub fn applies(kind: &Kind) -> bool {
    let collection = keys::collection(kind);
    PLANNERS.iter().any(|(name, _)| *name == collection)
}

/// Fills allocated fields of `new` in and says what is taken and released; `old` is null on create, `new` on
/// delete.
///
/// # Errors
/// 422 when something asked for is taken, 500 when a pool is empty.
pub fn plan(kind: &Kind, new: Option<&mut Value>, old: Option<&Value>, pools: &Pools<'_>) -> Result<Vec<Side>, Status> {
    let collection = keys::collection(kind);
    match PLANNERS.iter().find(|(name, _)| *name == collection) {
        Some((_, plan)) => plan(new, old, pools),
        None => Ok(Vec::new()),
    }
}

impl Registry {
    pub(crate) fn allocation(&self) -> Pools<'_> {
        Pools {
            cache: &self.cache,
            world: &self.world,
            service_cidr: &self.config.service_cidr,
            node_ports: self.config.node_ports,
        }
    }
}
