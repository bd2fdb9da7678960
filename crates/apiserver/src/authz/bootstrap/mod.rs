//! The roles and bindings that a cluster starts with, and their reconciliation at start.
//!
//! The facts are in `policy.txt`. As upstream, missing rules and subjects are added to what is stored, and
//! nothing is taken away; objects whose annotation says `autoupdate: "false"` are left alone.

mod policy;
mod reconcile;

pub use policy::policy;
pub use reconcile::reconcile;
