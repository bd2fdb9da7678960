//! The contract of the minds: what a controller is told, and what it answers.
//!
//! ```text
//!   watches (declared) ─▶ keys ─▶ reconcile(key, View, Heard, now) ─▶ Plan { asks, steps, events, wake }
//!                                      ▲                                   │ carried out by `runner`
//!                                      └────── Heard: answers, refusal ◀───┘
//! ```
//!
//! Two laws hold for every controller and are tested over the table of them: a plan that was stopped after any
//! step, and reconciled again, reaches the same end; the plan of a reconciled state has no steps and no events.
//!
//! Pure. Who may write, in what order plans of one key run, when a view is new enough to be read again
//! (the revision barrier), back-off and event aggregation are the runner's.

pub mod heard;
pub mod plan;
pub mod resource;
pub mod view;
pub mod watch;

use jiff::Timestamp;
use machinery::key::Key;

pub use heard::{Answer, Heard, Live};
pub use plan::{Act, Ask, Event, Plan, Step, Tail, Target, Write};
pub use resource::{Resource, Typed};
pub use view::View;
pub use watch::{Index, Watch};

/// A mind: brings the objects of one kind of key from what is to what should be.
pub trait Controller: Send + Sync + 'static {
    /// `replicaset`: unique, for logs and settings.
    fn name(&self) -> &'static str;

    /// It acts as `system:serviceaccount:kube-system:ACCOUNT`; empty means as the controller manager itself.
    /// Upstream's names, because RBAC's bootstrap roles are bound to them.
    fn account(&self) -> &'static str;

    /// `source.component` of its events.
    fn component(&self) -> &'static str {
        self.account()
    }

    /// What it looks at, under which indexes, and which keys a changed object concerns.
    fn watches(&self) -> Vec<Watch>;

    /// Keys to reconcile once at the start, for what must exist without an event.
    fn first_keys(&self) -> Vec<Key> {
        Vec::new()
    }

    /// What to do about a key now. The object may be gone. It is not told what changed.
    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, now: Timestamp) -> Plan;
}
