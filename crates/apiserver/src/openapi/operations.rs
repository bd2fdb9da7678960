//! The operations of every served kind, as data for both dialects.

use api::{Kind, Scope};

/// One method on one path.
pub struct Operation {
    pub path: String,
    pub method: &'static str,
    /// `list`, `post`, `get`, `put`, `patch`, `delete`, `deletecollection`, `connect`.
    pub action: &'static str,
    pub id: String,
    /// Group, version and kind that the operation exchanges.
    pub kind: [String; 3],
    /// Parameters in the path.
    pub places: Vec<&'static str>,
    pub queries: &'static [(&'static str, &'static str)],
    /// The definition of the body, empty for none.
    pub body: String,
    /// The definition of the answer, empty for text.
    pub answer: String,
}

const WRITE: &[(&str, &str)] =
    &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("pretty", "string")];
const PATCH: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
    ("force", "boolean"),
    ("pretty", "string"),
];
const READ: &[(&str, &str)] = &[("pretty", "string")];
const LIST: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("pretty", "string"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const DELETE: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("pretty", "string"),
    ("propagationPolicy", "string"),
];

/// The media types of a PATCH.
pub const PATCH_TYPES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// All operations of a kind: collection, item, subresources.
pub fn of(kind: &'static Kind) -> Vec<Operation> {
    let mut all = Vec::new();
    let namespaced = kind.scope == Scope::Namespaced;
    let collection = collection_path(kind, namespaced);
    let item = format!("{collection}/{{name}}");
    for verb in kind.verbs {
        let (path, method, action, queries) = match *verb {
            "list" => (&collection, "get", "list", LIST),
            "create" => (&collection, "post", "post", WRITE),
            "deletecollection" => (&collection, "delete", "deletecollection", DELETE),
            "get" => (&item, "get", "get", READ),
            "update" => (&item, "put", "put", WRITE),
            "patch" => (&item, "patch", "patch", PATCH),
            "delete" => (&item, "delete", "delete", DELETE),
            _ => continue,
        };
        let one = operation(kind, path, method, action, queries, "");
        if *verb == "list" && namespaced {
            let across = collection_path(kind, false);
            let mut everywhere = operation(kind, &across, method, action, queries, "");
            everywhere.id.push_str("ForAllNamespaces");
            all.push(everywhere);
        }
        all.push(one);
    }
    for part in kind.subresources {
        let path = format!("{item}/{}", part.name);
        for verb in part.verbs {
            let (method, action, queries) = match *verb {
                "get" => ("get", "get", READ),
                "create" => ("post", "post", WRITE),
                "update" => ("put", "put", WRITE),
                "patch" => ("patch", "patch", PATCH),
                _ => continue,
            };
            let mut one = operation(kind, &path, method, action, queries, part.name);
            if !part.version.is_empty() {
                one.kind = [part.group.into(), part.version.into(), part.kind.into()];
            } else {
                one.kind[2] = part.kind.into();
            }
            let exchanged = api::schemas().by_kind(&one.kind[0], &one.kind[1], &one.kind[2]);
            let definition = exchanged.map(|s| s.definition().definition.to_string()).unwrap_or_default();
            if matches!(action, "post" | "put") {
                one.body.clone_from(&definition);
            }
            one.answer = definition;
            all.push(one);
        }
    }
    all
}

fn collection_path(kind: &Kind, namespaced: bool) -> String {
    let root = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", kind.group) };
    let space = if namespaced { "/namespaces/{namespace}" } else { "" };
    format!("{root}/{}{space}/{}", kind.version, kind.plural)
}

fn operation(
    kind: &'static Kind,
    path: &str,
    method: &'static str,
    action: &'static str,
    queries: &'static [(&'static str, &'static str)],
    part: &str,
) -> Operation {
    let places = ["name", "namespace"].into_iter().filter(|p| path.contains(&format!("{{{p}}}"))).collect();
    let body = match action {
        "post" | "put" => kind.definition,
        "patch" => super::definitions::PATCH,
        "delete" | "deletecollection" => super::definitions::DELETE_OPTIONS,
        _ => "",
    };
    let answer = match action {
        "list" => format!("{}List", kind.definition),
        "delete" | "deletecollection" => super::definitions::STATUS.to_owned(),
        _ => kind.definition.to_owned(),
    };
    let word = match action {
        "post" => "create",
        "get" => "read",
        "put" => "replace",
        "deletecollection" => "deleteCollection",
        other => other,
    };
    Operation {
        path: path.to_owned(),
        method,
        action,
        id: id(kind, word, path.contains("{namespace}"), part),
        kind: [kind.group.into(), kind.version.into(), kind.kind.into()],
        places,
        queries,
        body: body.to_owned(),
        answer,
    }
}

/// `readAppsV1NamespacedDeploymentScale`.
fn id(kind: &Kind, word: &str, namespaced: bool, part: &str) -> String {
    let capital = |text: &str| {
        let mut chars = text.chars();
        chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    let group = if kind.group.is_empty() { "core" } else { kind.group.split('.').next().unwrap_or("") };
    let space = if namespaced { "Namespaced" } else { "" };
    format!("{word}{}{}{space}{}{}", capital(group), capital(kind.version), kind.kind, capital(part))
}

/// The tag of a group version: `apps_v1`, `core_v1`.
pub fn tag(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or("") };
    format!("{group}_{version}")
}
