//! The pod spec, in pods and in the templates of everything that makes pods: defaults, rules, warnings.
//!
//! ```text
//!   pod, template ──▶ spec ──┬─▶ volumes ──▶ volume_sources
//!                            ├─▶ containers ─▶ env, mounts, probes, resources, security
//!                            └─▶ affinity, scheduling, names, network
//! ```
//!
//! It knows nothing of pods as objects: their status, updates, columns and deletion are in `core/pod`.

use machinery::field::Problems;
use serde_json::Value;

use crate::cursor::Field;
use crate::rule;

pub mod affinity;
mod annotations;
pub mod containers;
mod defaults;
mod env;
mod mounts;
pub mod network;
mod pod_level;
pub mod probes;
pub mod resources;
pub mod scheduling;
mod security;
mod spec;
mod volume_defaults;
pub mod volume_sources;
pub mod volumes;
mod warnings;

pub use annotations::MIRROR as MIRROR_ANNOTATION;
pub use annotations::fields_agree as annotation_fields_agree;
pub use annotations::specific as annotations;
pub use annotations::unchanged as annotations_unchanged;
pub use defaults::{pod as pod_defaults, spec as spec_defaults, template as template_defaults};
pub use spec::{Holder, spec};
pub use volume_defaults::attached as attached_volume_defaults;
pub use warnings::{label_warning, template as warnings};

/// The lists of containers in a spec, in the order in which upstream visits them.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The rules of a pod template: its metadata's labels and annotations, and its spec.
pub fn template(template: &Field, problems: &mut Problems) {
    let meta = template.get("metadata");
    // Upstream reports these two without `metadata` in the path.
    let (labels, annotations) = (template.get("labels"), template.get("annotations"));
    rule::labels(&labels.with(meta.get("labels").value), problems);
    let annotations = annotations.with(meta.get("annotations").value);
    rule::annotations(&annotations, problems);
    let spec = template.get("spec");
    self::annotations::specific(&annotations, &spec, problems);
    self::spec(&spec, &Holder::Template, problems);
    self::annotations::fields_agree(meta.get("annotations").value, &spec, problems);
    let ephemeral = spec.get("ephemeralContainers");
    if !ephemeral.is_empty() {
        ephemeral.forbidden(problems, "ephemeral containers not allowed in pod template");
    }
}

/// Every container of a spec, whatever its list.
pub fn all_containers(spec: &Value) -> impl Iterator<Item = &Value> {
    CONTAINER_LISTS.iter().flat_map(|list| spec[*list].as_array().into_iter().flatten())
}
