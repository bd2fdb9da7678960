//! What a kind is: its names and its hooks. One `pub static KIND: Kind` per file, one line in `KINDS`.
//!
//! ```text
//! create: decode ─ set_defaults ─ admission ─ prepare_create ─ validate + validate_create ─ warnings(new, null)
//! update: decode ─ set_defaults ─ prepare_update ─ admission ─ validate + validate_update ─ warnings(new, old)
//! status: decode ─ set_defaults ─ prepare_status ─ admission ─ validate_status
//! part:   decode ─ set_defaults ─ PartUpdate::prepare ─ admission ─ PartUpdate::validate
//! ```
//!
//! Hooks see the canonical tree, never a typed struct: they share the registry's form, problems carry the
//! path they were found at, and a field is written in one place only (`docs/decisions/hooks-see-the-tree.md`).
//! Everything generic (names, generateName, uid, generation, finalizers, owner references, managedFields,
//! resourceVersion, dry-run, tables, watch, discovery) is in `registry`.

use jiff::Timestamp;
use machinery::field::Problems;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    Namespaced,
}

/// The rule for `metadata.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain, at most 253 bytes.
    Subdomain,
    /// RFC 1123 label, at most 63 bytes.
    Label,
    /// RFC 1035 label, at most 63 bytes.
    Label1035,
    /// A path segment: RBAC names such as `system:node`.
    PathSegment,
    /// A canonical IP address.
    Address,
}

/// How the kind is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// In the store.
    Stored,
    /// Answered by a function of the API server, never stored: reviews, bindings.
    Virtual,
}

/// A column of `kubectl get`; priority 0 is always shown, 1 with `-o wide`.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, `number`, `boolean`, `date`.
    pub kind: &'static str,
    pub format: &'static str,
    pub description: &'static str,
    pub priority: u8,
}

/// A subresource in discovery. `status` and `scale` are served generically when listed here, and so is each
/// that has an `update`; what is left (log, exec, binding, eviction, token, ...) is served by name elsewhere.
#[derive(Clone, Copy)]
pub struct Subresource {
    pub name: &'static str,
    /// Group, version and kind of what it exchanges; empty group and version mean those of the parent.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub verbs: &'static [&'static str],
    pub update: Option<PartUpdate>,
}

/// The rules of a subresource that is the object itself with one part open to change.
#[derive(Clone, Copy)]
pub struct PartUpdate {
    /// `(new, old)`: puts everything back that is not open.
    pub prepare: fn(&mut Value, &Value),
    /// `(new, old)`; nothing else is called for it.
    pub validate: fn(&Value, &Value, &mut Problems),
}

impl Subresource {
    pub const STATUS_VERBS: &'static [&'static str] = &["get", "patch", "update"];

    /// The object's own `status`: kind as the parent's.
    pub const fn status(kind: &'static str) -> Self {
        Self { name: "status", group: "", version: "", kind, verbs: Self::STATUS_VERBS, update: None }
    }

    /// `scale`, which exchanges autoscaling/v1 Scale.
    pub const SCALE: Self = Self {
        name: "scale",
        group: "autoscaling",
        version: "v1",
        kind: "Scale",
        verbs: Self::STATUS_VERBS,
        update: None,
    };

    /// The whole object with one part open to change.
    pub const fn part(
        name: &'static str,
        kind: &'static str,
        verbs: &'static [&'static str],
        update: PartUpdate,
    ) -> Self {
        Self { name, group: "", version: "", kind, verbs, update: Some(update) }
    }

    /// A subresource of the parent's group and version that is served by name.
    pub const fn named(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> Self {
        Self { name, group: "", version: "", kind, verbs, update: None }
    }
}

/// A kind that is another form of objects stored by another kind: events.k8s.io/v1 Event.
#[derive(Clone, Copy)]
pub struct StoredAs {
    /// Group and version of the kind whose storage, plural and kind name this one shares.
    pub group: &'static str,
    pub version: &'static str,
    /// From the stored form (canonical tree, with its apiVersion) to this one, apiVersion included.
    pub from_stored: fn(Value) -> Value,
    /// Back; total: whatever this form cannot say is kept in `deprecated*` fields or annotations.
    pub to_stored: fn(Value) -> Value,
}

/// Where `scale` finds its numbers: dotted paths.
#[derive(Clone, Copy, Debug)]
pub struct ScalePaths {
    pub spec_replicas: &'static str,
    pub status_replicas: &'static str,
    /// A `LabelSelector` or a map at this path, printed into `status.selector`.
    pub selector: &'static str,
}

/// A field that selectors may name, and its text in an object.
pub type Selectable = (&'static str, fn(&Value) -> String);

/// A built-in kind.
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub scope: Scope,
    pub held: Held,
    pub name_rule: NameRule,
    /// The OpenAPI definition: `io.k8s.api.core.v1.Pod`.
    pub definition: &'static str,
    /// Verbs in discovery, sorted: the whole set for most.
    pub verbs: &'static [&'static str],
    pub subresources: &'static [Subresource],
    pub scale: Option<ScalePaths>,
    /// `metadata.generation` is kept and counts changes outside metadata and status.
    pub generation: bool,
    /// Fields of the metadata whose changes count too.
    pub generation_metadata: &'static [&'static str],
    /// Create over PUT is allowed (`AllowCreateOnUpdate`: Lease, Event, Endpoints, ...).
    pub create_on_update: bool,
    /// An update without resourceVersion is allowed (`AllowUnconditionalUpdate`).
    pub unconditional_update: bool,
    /// Fills absent fields in; must do nothing the second time.
    pub set_defaults: fn(&mut Value),
    /// The other kind whose stored objects these are.
    pub stored_as: Option<StoredAs>,
    /// Before create: clears what a user may not set (status), normalises.
    pub prepare_create: fn(&mut Value),
    /// Before update of the main resource, `(new, old)`: keeps what a user may not change (status).
    pub prepare_update: fn(&mut Value, &Value),
    /// Before update of `status`, `(new, old)`: the registry has already put the old everything-but-status back.
    pub prepare_status: fn(&mut Value, &Value),
    /// The object alone, on create and on update of the main resource.
    pub validate: fn(&Value, &mut Problems),
    /// What is asked of new objects only, besides `validate`.
    pub validate_create: fn(&Value, &mut Problems),
    /// `(new, old)`; the registry calls `validate` for the new object as well.
    pub validate_update: fn(&Value, &Value, &mut Problems),
    pub validate_status: fn(&Value, &Value, &mut Problems),
    /// The warning that every answer about this kind carries; empty for most.
    pub deprecated: &'static str,
    /// Warnings for the `Warning` header, `(new, old)`; old is null on create.
    pub warnings: fn(&Value, &Value) -> Vec<String>,
    /// Field selectors besides `metadata.name` and `metadata.namespace`: dotted name and value.
    pub selectable: &'static [Selectable],
    pub columns: &'static [Column],
    /// One cell per column.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// Reason and message of the row's condition Completed, for what has run its course.
    pub finished: fn(&Value) -> Option<(&'static str, &'static str)>,
    /// The grace period of a delete in seconds, `(object, asked)`; `None` deletes at once. Only pods linger.
    pub grace: fn(&Value, Option<i64>) -> Option<i64>,
    /// What a delete does to owned objects when the request does not say: true for upstream's orphaning kinds.
    pub orphan_by_default: bool,
}

const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

impl Kind {
    /// The plainest kind: stored, namespaced, all verbs, no hooks. Files write `Kind { …, ..Kind::BASE }`.
    pub const BASE: Kind = Kind {
        group: "",
        version: "v1",
        kind: "",
        plural: "",
        singular: "",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        held: Held::Stored,
        name_rule: NameRule::Subdomain,
        definition: "",
        verbs: ALL_VERBS,
        subresources: &[],
        scale: None,
        generation: false,
        generation_metadata: &[],
        create_on_update: false,
        unconditional_update: true,
        set_defaults: |_| {},
        stored_as: None,
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status: |_, _| {},
        validate: |_, _| {},
        validate_create: |_, _| {},
        validate_update: |_, _, _| {},
        validate_status: |_, _, _| {},
        deprecated: "",
        warnings: |_, _| Vec::new(),
        selectable: &[],
        columns: &[],
        cells: |_, _| Vec::new(),
        finished: |_| None,
        grace: |_, _| None,
        orphan_by_default: false,
    };

    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// The kind of a collection: `PodList`.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }
}
