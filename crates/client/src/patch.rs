//! The body of a patch with its kind.

use machinery::request::{Body, PatchKind, Request, Verb};
use serde_json::Value;

/// A patch as data.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902: a list of operations.
    Json(Value),
    /// RFC 7396.
    Merge(Value),
    /// Kubernetes' own: lists merge by key, directives in `$patch`.
    Strategic(Value),
    /// Server-side apply.
    Apply { tree: Value, manager: String, force: bool },
}

impl Patch {
    pub fn kind(&self) -> PatchKind {
        match self {
            Patch::Json(_) => PatchKind::Json,
            Patch::Merge(_) => PatchKind::Merge,
            Patch::Strategic(_) => PatchKind::Strategic,
            Patch::Apply { .. } => PatchKind::Apply,
        }
    }

    /// Puts verb, body and options of this patch into a request.
    pub fn into_request(self, mut request: Request) -> Request {
        request.verb = Verb::Patch(self.kind());
        request.body = match self {
            Patch::Json(tree) | Patch::Merge(tree) | Patch::Strategic(tree) => Body::Tree(tree),
            Patch::Apply { tree, manager, force } => {
                request.options.field_manager = manager;
                request.options.force = force;
                Body::Tree(tree)
            }
        };
        request
    }
}
