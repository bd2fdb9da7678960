//! Schemas of Go structs as JSON schemas of OpenAPI v2 or v3.

use std::collections::{BTreeMap, BTreeSet};

use api::Descriptions;
use machinery::schema::{Field, Items, Merge, Node, Schema, Struct, Type};
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    V2,
    V3,
}

impl Dialect {
    fn prefix(self) -> &'static str {
        match self {
            Dialect::V2 => "#/definitions/",
            Dialect::V3 => "#/components/schemas/",
        }
    }

    pub fn reference(self, definition: &str) -> Value {
        json!({"$ref": format!("{}{definition}", self.prefix())})
    }
}

pub const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
pub const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
pub const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

/// Collects definitions and everything that they refer to.
pub struct Definitions<'a> {
    dialect: Dialect,
    descriptions: &'a Descriptions,
    made: BTreeMap<String, Value>,
}

impl<'a> Definitions<'a> {
    pub fn new(dialect: Dialect, descriptions: &'a Descriptions) -> Self {
        Self { dialect, descriptions, made: BTreeMap::new() }
    }

    pub fn finish(self) -> Map<String, Value> {
        self.made.into_iter().collect()
    }

    /// Adds a definition with what it refers to; unknown names are left out.
    pub fn add(&mut self, definition: &str) {
        let mut waiting = BTreeSet::from([definition.to_owned()]);
        while let Some(name) = waiting.pop_first() {
            if self.made.contains_key(&name) {
                continue;
            }
            let made = match api::schemas().get(&name) {
                Some(schema) => self.structure(schema, &mut waiting),
                None => match leaf(self.dialect, &name) {
                    Some(leaf) => leaf,
                    None => continue,
                },
            };
            self.made.insert(name, made);
        }
    }

    fn structure(&self, schema: &Schema, waiting: &mut BTreeSet<String>) -> Value {
        let of = schema.definition();
        let mut tree = json!({"type": "object"});
        describe(&mut tree, self.descriptions.definition(&of.definition));
        let node = schema.node();
        let fields = of.fields.iter().map(|f| (f.name.to_string(), self.property(of, f, node.of(f), waiting)));
        let properties: Map<String, Value> = fields.collect();
        if !properties.is_empty() {
            tree["properties"] = properties.into();
        }
        let required: Vec<_> = of.fields.iter().filter(|f| f.required).map(|f| f.name.as_ref()).collect();
        if !required.is_empty() {
            tree["required"] = json!(required);
        }
        if of.atomic {
            tree["x-kubernetes-map-type"] = "atomic".into();
        }
        let gvk = |g: &machinery::schema::Gvk| json!({"group": g.group, "kind": g.kind, "version": g.version});
        if !of.gvks.is_empty() {
            tree["x-kubernetes-group-version-kind"] = of.gvks.iter().map(gvk).collect();
        }
        tree
    }

    fn property(&self, of: &Struct, field: &Field, node: Node<'_>, waiting: &mut BTreeSet<String>) -> Value {
        let mut tree = self.of_type(node, waiting);
        let description = self.descriptions.field(&of.definition, &field.name);
        // Beside a reference nothing else counts in v3: it is wrapped.
        if self.dialect == Dialect::V3 && tree.get("$ref").is_some() {
            tree = json!({"allOf": [tree]});
        }
        describe(&mut tree, description);
        if !field.key_default.is_empty() {
            tree["default"] = field.key_default.as_ref().into();
        }
        extensions(&mut tree, node.merge);
        tree
    }

    fn of_type(&self, node: Node<'_>, waiting: &mut BTreeSet<String>) -> Value {
        let mut refer = |name: &str| {
            waiting.insert(name.to_owned());
            self.dialect.reference(name)
        };
        match node.ty {
            Type::String => json!({"type": "string"}),
            Type::Bool => json!({"type": "boolean"}),
            Type::Int32 => json!({"type": "integer", "format": "int32"}),
            Type::Int64 => json!({"type": "integer", "format": "int64"}),
            Type::Float => json!({"type": "number", "format": "double"}),
            Type::Bytes => json!({"type": "string", "format": "byte"}),
            Type::Time => refer(TIME),
            Type::MicroTime => refer(MICRO_TIME),
            Type::Quantity => refer(QUANTITY),
            Type::IntOrString => refer(INT_OR_STRING),
            Type::Any => json!({"type": "object"}),
            Type::Struct(_) | Type::OrBool(_) | Type::OrList(_) | Type::OrStrings(_) => {
                refer(node.as_struct().map_or("", |s| s.definition.as_ref()))
            }
            Type::List(_) => {
                let items = node.element().map(|element| self.of_type(element, waiting));
                json!({"type": "array", "items": items})
            }
            Type::Map(_) => {
                let values = node.element().map(|element| self.of_type(element, waiting));
                json!({"type": "object", "additionalProperties": values})
            }
        }
    }
}

fn describe(tree: &mut Value, text: &str) {
    if !text.is_empty() {
        tree["description"] = text.into();
    }
}

/// How the field merges, as clients' patches need it.
fn extensions(tree: &mut Value, merge: &Merge) {
    if merge.declared {
        let sort = match &merge.items {
            Items::Atomic => "atomic",
            Items::Set => "set",
            Items::Map(keys) => {
                tree["x-kubernetes-list-map-keys"] = json!(keys);
                "map"
            }
        };
        tree["x-kubernetes-list-type"] = sort.into();
    }
    if merge.atomic || merge.granular {
        tree["x-kubernetes-map-type"] = if merge.atomic { "atomic" } else { "granular" }.into();
    }
    let strategies =
        [(merge.patch_merge, "merge"), (merge.retain_keys, "retainKeys"), (merge.patch_replace, "replace")];
    let strategy: Vec<_> = strategies.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    if !strategy.is_empty() {
        tree["x-kubernetes-patch-strategy"] = strategy.join(",").into();
    }
    if !merge.merge_key.is_empty() {
        tree["x-kubernetes-patch-merge-key"] = merge.merge_key.as_ref().into();
    }
}

/// Types that marshal themselves.
fn leaf(dialect: Dialect, name: &str) -> Option<Value> {
    Some(match (name, dialect) {
        (TIME | MICRO_TIME, _) => json!({"type": "string", "format": "date-time"}),
        (QUANTITY, Dialect::V2) => json!({"type": "string"}),
        (QUANTITY, Dialect::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (INT_OR_STRING, Dialect::V2) => json!({"type": "string", "format": "int-or-string"}),
        (INT_OR_STRING, Dialect::V3) => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (PATCH, _) => {
            json!({"type": "object", "description": "A patch of an object, in one of the formats of its media type."})
        }
        _ => return None,
    })
}
