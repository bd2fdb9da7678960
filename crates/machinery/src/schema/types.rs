//! The type tree: an arena of structs, handles into it, and cursors that walk it.

use std::borrow::Cow;
use std::sync::Arc;

/// A name; those of built-in kinds live in the executable.
pub type Text = Cow<'static, str>;

/// The type of a value. Numbers are indexes into the arena: structs, or element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    String,
    Bool,
    Int32,
    Int64,
    Float,
    /// Base64 text.
    Bytes,
    /// RFC 3339 to the second.
    Time,
    /// RFC 3339 to the microsecond.
    MicroTime,
    Quantity,
    IntOrString,
    /// Any JSON: embedded objects, schemas' examples, managed fields.
    Any,
    Struct(u16),
    List(u16),
    Map(u16),
    /// A struct or a boolean (`additionalProperties`).
    OrBool(u16),
    /// A struct or a list of it (`items`).
    OrList(u16),
    /// A struct or a list of strings (`dependencies`).
    OrStrings(u16),
}

/// What stands in the canonical form for a field that is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Nothing.
    Leave,
    /// `null`: lists, maps and pointers without omitempty, times held by value.
    Null,
    /// The zero of its type: `{}` with its own absent fields, `""`, 0, false.
    Zero,
}

/// What becomes of an explicit zero: `""`, 0, false, an empty list or map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    Keep,
    /// Equals absence.
    Drop,
    /// Written as `null`.
    Null,
}

/// How a list merges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Items {
    #[default]
    Atomic,
    Set,
    /// By these fields of its items.
    Map(Vec<Text>),
}

/// How a field merges: in server-side apply (`items`, `atomic`) and in strategic patches (the rest).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    pub items: Items,
    /// The list type is declared (OpenAPI shows it).
    pub declared: bool,
    /// A map or struct that is replaced whole.
    pub atomic: bool,
    /// A map or struct declared granular.
    pub granular: bool,
    pub patch_merge: bool,
    pub retain_keys: bool,
    pub patch_replace: bool,
    /// Empty where items are scalars.
    pub merge_key: Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Text,
    pub ty: Type,
    pub absent: Absent,
    pub zero: Zero,
    pub required: bool,
    /// The default of a list-map key, such as `TCP`; empty for none.
    pub key_default: Text,
    /// Go's name of the type where it cannot be derived: `v1.PullPolicy`; else empty.
    pub go: Text,
    /// An index into the arena's merges.
    pub merge: u16,
}

/// `(group, version, kind)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gvk {
    pub group: Text,
    pub version: Text,
    pub kind: Text,
}

/// A struct: an OpenAPI definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Struct {
    /// `io.k8s.api.core.v1.Pod`.
    pub definition: Text,
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// Replaced whole wherever it stands (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Fields that are written when absent.
    pub always: Vec<u16>,
    pub gvks: Vec<Gvk>,
    /// Fields that the schema does not know are kept as they are.
    pub keep_unknown: bool,
}

impl Struct {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.position(name).map(|at| &self.fields[at])
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.fields.binary_search_by(|f| f.name.as_ref().cmp(name)).ok()
    }
}

/// All structs of a set of schemas, and what they share.
#[derive(Debug, Default)]
pub struct Arena {
    pub structs: Vec<Struct>,
    /// Element types of lists and maps.
    pub elements: Vec<Type>,
    /// Ways to merge; the first is the plain one.
    pub merges: Vec<Merge>,
}

/// One kind's (or definition's) schema: a struct in an arena.
#[derive(Clone, Debug)]
pub struct Schema {
    arena: Arc<Arena>,
    index: u16,
}

impl Schema {
    /// The struct at this index of an arena.
    pub fn new(arena: Arc<Arena>, index: u16) -> Self {
        Self { arena, index }
    }

    pub fn node(&self) -> Node<'_> {
        Node { arena: &self.arena, ty: Type::Struct(self.index), merge: &NO_MERGE }
    }

    pub fn definition(&self) -> &Struct {
        &self.arena.structs[usize::from(self.index)]
    }

    /// The kind in Go's words for messages: the last part of the definition.
    pub fn kind(&self) -> &str {
        go_name(&self.definition().definition)
    }

    pub fn version(&self) -> &str {
        let definition = self.definition();
        match definition.gvks.first() {
            Some(gvk) => &gvk.version,
            None => definition.definition.rsplit('.').nth(1).unwrap_or("v1"),
        }
    }

    /// The object that Go's zero value of the type is written as: `{"metadata":{},"spec":{…},"status":{}}`.
    pub fn zero(&self) -> serde_json::Value {
        super::canonical::zero(self.node())
    }

    pub fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }
}

pub(super) fn go_name(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

static NO_MERGE: Merge = Merge {
    items: Items::Atomic,
    declared: false,
    atomic: false,
    granular: false,
    patch_merge: false,
    retain_keys: false,
    patch_replace: false,
    merge_key: Cow::Borrowed(""),
};

/// A place in the type tree: a type, and how the field that holds it merges.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    pub arena: &'a Arena,
    pub ty: Type,
    pub merge: &'a Merge,
}

impl<'a> Node<'a> {
    /// The struct here, or `None`.
    pub fn as_struct(&self) -> Option<&'a Struct> {
        match self.ty {
            Type::Struct(i) | Type::OrBool(i) | Type::OrList(i) | Type::OrStrings(i) => {
                self.arena.structs.get(usize::from(i))
            }
            _ => None,
        }
    }

    /// The items' type of a list, the values' type of a map.
    pub fn element(&self) -> Option<Node<'a>> {
        match self.ty {
            Type::List(i) | Type::Map(i) => Some(self.with(self.arena.elements[usize::from(i)], &NO_MERGE)),
            Type::OrList(i) => Some(self.with(Type::Struct(i), &NO_MERGE)),
            Type::OrStrings(_) => Some(self.with(Type::String, &NO_MERGE)),
            _ => None,
        }
    }

    /// The place of a struct's field.
    pub fn of(&self, field: &'a Field) -> Node<'a> {
        self.with(field.ty, self.arena.merges.get(usize::from(field.merge)).unwrap_or(&NO_MERGE))
    }

    /// The place below a key: a struct's field or a map's value; `None` when there is no such field.
    pub fn child(&self, key: &str) -> Option<Node<'a>> {
        match self.as_struct() {
            Some(of) => of.field(key).map(|f| self.of(f)),
            None => self.element(),
        }
    }

    pub fn with(&self, ty: Type, merge: &'a Merge) -> Node<'a> {
        Node { arena: self.arena, ty, merge }
    }

    /// Replaced as a whole in server-side apply: scalars, atomic lists, maps and structs, anything untyped.
    pub fn is_atomic(&self) -> bool {
        match self.ty {
            Type::List(_) => self.merge.items == Items::Atomic,
            Type::Map(_) => self.merge.atomic,
            Type::Struct(_) => {
                !self.merge.granular && (self.merge.atomic || self.as_struct().is_some_and(|s| s.atomic))
            }
            _ => true,
        }
    }
}

/// All schemas by definition.
#[derive(Debug, Default)]
pub struct Schemas {
    /// Sorted by definition.
    all: Vec<Schema>,
}

impl Schemas {
    pub fn new(arena: Arc<Arena>) -> Self {
        let count = u16::try_from(arena.structs.len()).unwrap_or(u16::MAX);
        let mut all: Vec<_> = (0..count).map(|index| Schema { arena: arena.clone(), index }).collect();
        all.sort_by(|a, b| a.definition().definition.cmp(&b.definition().definition));
        Self { all }
    }

    /// The schema of a definition: `io.k8s.api.core.v1.Pod`.
    pub fn get(&self, definition: &str) -> Option<&Schema> {
        let found = self.all.binary_search_by(|s| s.definition().definition.as_ref().cmp(definition));
        found.ok().and_then(|at| self.all.get(at))
    }

    /// The schema of a kind, lists and options included.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Schema> {
        let is = |gvk: &Gvk| gvk.group == group && gvk.version == version && gvk.kind == kind;
        self.all.iter().find(|s| s.definition().gvks.iter().any(is))
    }

    /// Every definition, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Schema> {
        self.all.iter()
    }
}
