//! Compiles JSON schemas and facts into an arena.

use std::collections::BTreeMap;
use std::error::Error;

use machinery::schema::{Absent, Arena, Field, Gvk, Merge, Struct, Type, Zero};
use serde_json::{Map, Value, json};

use crate::facts::{Facts, Held, short};
use crate::roots::{Root, Roots};

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

pub struct Built {
    pub arena: Arena,
    /// Definition → field → description; the definition's own is under the empty name.
    pub descriptions: BTreeMap<String, BTreeMap<String, String>>,
    /// Fields that no fact speaks of: for whoever brings facts up to date.
    pub without_facts: Vec<String>,
}

pub fn compile(roots: &Roots, facts: &Facts) -> Result<Built, Box<dyn Error>> {
    let mut definitions = roots.definitions.clone();
    for root in &roots.roots {
        add_list(&mut definitions, root);
    }
    let indexes = definitions.iter().filter(|(name, d)| is_struct(name, d)).map(|(name, _)| name.clone());
    let indexes: BTreeMap<String, u16> = indexes.zip(0u16..).collect();
    let mut compiler = Compiler {
        indexes,
        facts,
        arena: Arena { merges: vec![Merge::default()], ..Arena::default() },
        without_facts: Vec::new(),
    };
    let names: Vec<String> = compiler.indexes.keys().cloned().collect();
    for name in &names {
        let of = compiler.structure(name, &definitions[name])?;
        compiler.arena.structs.push(of);
    }
    compiler.name_kinds(roots);
    let descriptions = definitions.iter().map(|(name, d)| (name.clone(), described(d))).collect();
    Ok(Built { arena: compiler.arena, descriptions, without_facts: compiler.without_facts })
}

/// `PodList`, which `k8s-openapi` knows as a generic type only.
fn add_list(definitions: &mut Map<String, Value>, root: &Root) {
    let Some(list) = &root.list else { return };
    let meta = json!({"$ref": format!("#/$defs/{LIST_META}"), "description": "Standard list metadata."});
    let item = json!({"$ref": format!("#/$defs/{}", root.definition)});
    let text = |name: &str| roots_text(definitions, &root.definition, name);
    let properties = json!({
        "apiVersion": text("apiVersion"), "kind": text("kind"), "metadata": meta,
        "items": {"description": format!("The list of {} objects.", root.kind), "type": "array", "items": item},
    });
    let description = format!("{list} is a list of {} objects.", root.kind);
    let definition =
        json!({"description": description, "type": "object", "properties": properties, "required": ["items"]});
    definitions.insert(list_definition(root, list), definition);
}

fn roots_text(definitions: &Map<String, Value>, definition: &str, name: &str) -> Value {
    definitions[definition]["properties"][name].clone()
}

fn list_definition(root: &Root, list: &str) -> String {
    let package = root.definition.rsplit_once('.').map_or("", |(package, _)| package);
    format!("{package}.{list}")
}

/// Definitions with fields, or with none at all; the rest are scalars and untyped values.
fn is_struct(name: &str, definition: &Value) -> bool {
    named_type(name).is_none() && definition["type"] == "object" && definition["additionalProperties"].is_null()
}

/// Definitions that are no structs for us.
fn named_type(definition: &str) -> Option<Type> {
    Some(match definition.rsplit('.').next()? {
        "Time" => Type::Time,
        "MicroTime" => Type::MicroTime,
        "Quantity" => Type::Quantity,
        "IntOrString" => Type::IntOrString,
        "FieldsV1" | "RawExtension" | "JSON" => Type::Any,
        _ => return None,
    })
}

fn described(definition: &Value) -> BTreeMap<String, String> {
    let text = |of: &Value| of["description"].as_str().map(str::to_owned);
    let own = text(definition).map(|d| (String::new(), d));
    let fields = definition["properties"].as_object().into_iter().flatten();
    own.into_iter().chain(fields.filter_map(|(name, f)| Some((name.clone(), text(f)?)))).collect()
}

struct Compiler<'a> {
    indexes: BTreeMap<String, u16>,
    facts: &'a Facts,
    arena: Arena,
    without_facts: Vec<String>,
}

impl Compiler<'_> {
    fn structure(&mut self, name: &str, definition: &Value) -> Result<Struct, Box<dyn Error>> {
        let place = short(name);
        let required: Vec<&str> =
            definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut fields = Vec::new();
        for (field, schema) in definition["properties"].as_object().into_iter().flatten() {
            let ty = self.ty(schema).map_err(|e| format!("{name}.{field}: {e}"))?;
            fields.push(self.field(&place, field, ty, required.contains(&field.as_str())));
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let atomic = self.facts.merges.get(&(place, String::new())).is_some_and(|m| m.atomic);
        let always = machinery::schema::pack::always(&fields);
        Ok(Struct { definition: name.to_owned().into(), fields, atomic, always, ..Struct::default() })
    }

    fn field(&mut self, place: &str, name: &str, ty: Type, required: bool) -> Field {
        let key = (place.to_owned(), name.to_owned());
        let held = self.facts.held.get(&key).cloned().unwrap_or_else(|| {
            let known = matches!((place, name), (_, "kind" | "apiVersion")) || place.ends_with("List");
            if !known {
                let must = if required { " required" } else { "" };
                self.without_facts.push(format!("{place}.{name} {ty:?}{must}"));
            }
            newer(ty, name, place, required)
        });
        let merge = self.facts.merges.get(&key).cloned().map_or(0, |merge| self.merge(merge));
        let (absent, zero) = forms(&held, ty);
        let key_default = self.facts.key_defaults.get(&key).cloned().unwrap_or_default();
        Field {
            name: name.to_owned().into(),
            ty,
            absent,
            zero,
            required,
            key_default: key_default.into(),
            go: held.go.into(),
            merge,
        }
    }

    fn merge(&mut self, merge: Merge) -> u16 {
        let at = self.arena.merges.iter().position(|m| *m == merge).unwrap_or_else(|| {
            self.arena.merges.push(merge);
            self.arena.merges.len() - 1
        });
        u16::try_from(at).unwrap_or(0)
    }

    fn element(&mut self, ty: Type) -> u16 {
        let at = self.arena.elements.iter().position(|t| *t == ty).unwrap_or_else(|| {
            self.arena.elements.push(ty);
            self.arena.elements.len() - 1
        });
        u16::try_from(at).unwrap_or(0)
    }

    fn ty(&mut self, schema: &Value) -> Result<Type, String> {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.reference(reference.rsplit('/').next().unwrap_or(reference));
        }
        let format = schema["format"].as_str().unwrap_or("");
        Ok(match (schema["type"].as_str().unwrap_or(""), format) {
            ("string", "byte") => Type::Bytes,
            ("string", _) => Type::String,
            ("boolean", _) => Type::Bool,
            ("integer", "int32") => Type::Int32,
            ("integer", _) => Type::Int64,
            ("number", _) => Type::Float,
            ("array", _) => {
                let items = self.ty(&schema["items"])?;
                Type::List(self.element(items))
            }
            ("object", _) if schema["additionalProperties"].is_object() => {
                let values = self.ty(&schema["additionalProperties"])?;
                Type::Map(self.element(values))
            }
            ("object", _) => Type::Any,
            (other, _) => return Err(format!("no type for {other:?} in {schema}")),
        })
    }

    fn reference(&self, definition: &str) -> Result<Type, String> {
        if let Some(ty) = named_type(definition) {
            return Ok(ty);
        }
        let props = self.indexes.get(PROPS).copied();
        match (definition.rsplit('.').next().unwrap_or(""), props) {
            ("JSONSchemaPropsOrBool", Some(i)) => Ok(Type::OrBool(i)),
            ("JSONSchemaPropsOrArray", Some(i)) => Ok(Type::OrList(i)),
            ("JSONSchemaPropsOrStringArray", Some(i)) => Ok(Type::OrStrings(i)),
            _ => self
                .indexes
                .get(definition)
                .map(|i| Type::Struct(*i))
                .ok_or_else(|| format!("no definition {definition}")),
        }
    }

    fn name_kinds(&mut self, roots: &Roots) {
        for root in &roots.roots {
            let list = root.list.as_ref().map(|list| (list_definition(root, list), list.clone()));
            for (definition, kind) in [(root.definition.clone(), root.kind.clone())].into_iter().chain(list) {
                let gvk =
                    Gvk { group: root.group.clone().into(), version: root.version.clone().into(), kind: kind.into() };
                let index = self.indexes[&definition];
                self.arena.structs[usize::from(index)].gvks.push(gvk);
            }
        }
    }
}

/// How a field is held that the facts do not know, because it is newer than they are: as the API conventions ask.
fn newer(ty: Type, name: &str, place: &str, required: bool) -> Held {
    let how = match ty {
        Type::List(_) => 'l',
        Type::Map(_) => 'm',
        Type::Bytes => 'b',
        _ if required || matches!(name, "kind" | "apiVersion" | "metadata") => 'v',
        _ => 'p',
    };
    let list_items = name == "items" && place.ends_with("List");
    let omit = !(required && how == 'v' || list_items);
    Held { how, omit, omit_zero: false, go: String::new() }
}

/// What the way a field is held means for the canonical form.
fn forms(held: &Held, ty: Type) -> (Absent, Zero) {
    if held.omit_zero {
        return (Absent::Leave, Zero::Keep);
    }
    let scalar = matches!(ty, Type::String | Type::Bool | Type::Int32 | Type::Int64 | Type::Float);
    let collection = matches!(ty, Type::List(_) | Type::Map(_) | Type::Bytes);
    match (held.how, held.omit) {
        ('p', true) => (Absent::Leave, Zero::Keep),
        ('p', false) => (Absent::Null, Zero::Keep),
        (_, true) if scalar || collection => (Absent::Leave, Zero::Drop),
        (_, false) if scalar => (Absent::Zero, Zero::Keep),
        (_, false) if collection => (Absent::Null, Zero::Null),
        _ if matches!(ty, Type::Time | Type::MicroTime | Type::Any) => (Absent::Null, Zero::Keep),
        // Structs, quantities and the like: omitempty has no effect on them.
        _ => (Absent::Zero, Zero::Keep),
    }
}
