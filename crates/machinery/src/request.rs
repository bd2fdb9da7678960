//! A request to the API and its answer as data: the same for HTTP and in-process callers.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/>. Options of several verbs
//! (`ListOptions`, `DeleteOptions`, …) are one struct; who reads which is the registry's business, and what
//! a verb does not know is refused before it gets here.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::object::Object;
use crate::status::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply.
    Apply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch(PatchKind),
    Delete,
    DeleteCollection,
    /// exec, attach, port-forward, proxy: a stream, never handled by the registry.
    Connect,
}

impl Verb {
    /// The verb as authorization and `kubectl auth can-i` name it; connect verbs are named by HTTP method elsewhere.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create | Verb::Connect => "create",
            Verb::Update => "update",
            Verb::Patch(_) => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }
}

/// What a request carries besides its address.
#[derive(Clone, Debug, Default)]
pub enum Body {
    #[default]
    None,
    /// Already a tree: in-process callers, and YAML that the front decoded.
    Tree(Value),
    /// JSON as it came; decoded strictly by the registry.
    Json(Bytes),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionMatch {
    Exact,
    NotOlderThan,
}

/// The options of all verbs; absent ones are `None`, empty or false.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub label_selector: String,
    pub field_selector: String,
    pub limit: Option<u64>,
    pub continue_token: String,
    /// `""`, `"0"` or a number.
    pub resource_version: String,
    pub resource_version_match: Option<RevisionMatch>,
    pub timeout_seconds: Option<u64>,
    pub allow_watch_bookmarks: bool,
    pub send_initial_events: Option<bool>,
    pub dry_run: bool,
    pub field_manager: String,
    pub field_validation: FieldValidation,
    pub force: bool,
    pub propagation: Option<Propagation>,
    pub grace_period_seconds: Option<i64>,
    pub precondition_uid: Option<String>,
    pub precondition_revision: Option<String>,
    pub ignore_store_read_error: bool,
}

/// One request: `verb` on `group/version/resource[/name[/subresource]]`, in a namespace or not.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: Verb,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    /// Empty for cluster-scoped resources and requests across all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    pub options: Options,
    pub body: Body,
}

impl Request {
    pub fn new(verb: Verb, group: &str, version: &str, resource: &str) -> Self {
        Self {
            verb,
            group: group.into(),
            version: version.into(),
            resource: resource.into(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            options: Options::default(),
            body: Body::None,
        }
    }

    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = namespace.into();
        self
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = subresource.into();
        self
    }

    pub fn body(mut self, tree: Value) -> Self {
        self.body = Body::Tree(tree);
        self
    }

    /// The path below the server's root: `/apis/apps/v1/namespaces/default/deployments/x/scale`.
    pub fn path(&self) -> String {
        let mut path = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        if !self.namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(&self.namespace);
        }
        for part in [&self.resource, &self.name, &self.subresource] {
            if !part.is_empty() {
                path.push('/');
                path.push_str(part);
            }
        }
        path
    }
}

/// A page of a collection at one revision.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// `PodList`.
    pub kind: String,
    pub api_version: String,
    pub revision: u64,
    pub continue_token: String,
    pub remaining: Option<u64>,
    pub items: Vec<Arc<Object>>,
}

#[derive(Clone, Debug)]
pub enum Content {
    Object(Arc<Object>),
    List(List),
    /// What is not stored: Scale, TokenRequest, reviews.
    Tree(Arc<Value>),
    Status(Status),
}

/// A successful answer: HTTP code (200, 201, 202), warnings for the `Warning` header, content.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub warnings: Vec<String>,
    pub content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
    Bookmark,
}

impl Change {
    pub fn name(self) -> &'static str {
        match self {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
            Change::Bookmark => "BOOKMARK",
        }
    }
}

/// One event of a watch; a bookmark's object has kind, apiVersion and revision only.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    pub change: Change,
    pub object: Arc<Object>,
}
