//! What must hold for any input: what is written reads back, and a difference applied gives the other side.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use machinery::managed::{self, Writer};
use machinery::patch;
use machinery::quantity::{Quantity, canonical};
use machinery::schema::{Absent, Arena, Field, Items, Merge, Schema, Struct, Type, Zero};
use machinery::selector::LabelSelector;
use machinery::yaml;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn field(name: &'static str, ty: Type, merge: u16) -> Field {
    let (absent, zero) = (Absent::Leave, Zero::Keep);
    Field { name: name.into(), ty, absent, zero, required: false, key_default: "".into(), go: "".into(), merge }
}

/// A struct with a keyed list of itself, a set, a plain list, a map, and a struct whose keys are retained.
fn schema() -> Schema {
    let merge =
        |key: &'static str, items| Merge { patch_merge: true, merge_key: key.into(), items, ..Merge::default() };
    let (keyed, set) = (Items::Map(vec!["name".into()]), Items::Set);
    let retained = Merge { retain_keys: true, ..Merge::default() };
    let merges = vec![Merge::default(), merge("name", keyed), merge("", set), retained];
    let fields = vec![
        field("atomic", Type::List(1), 0),
        field("items", Type::List(0), 1),
        field("labels", Type::Map(1), 0),
        field("name", Type::String, 0),
        field("set", Type::List(1), 2),
        field("union", Type::Struct(0), 3),
        field("value", Type::String, 0),
    ];
    let structs = vec![Struct { definition: "x.v1.Node".into(), fields, ..Struct::default() }];
    Schema::new(Arc::new(Arena { structs, elements: vec![Type::Struct(0), Type::String], merges }), 0)
}

fn word() -> impl Strategy<Value = String> {
    "[a-d]"
}

/// Trees of that schema; names in a list are unique, as merge keys must be.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = (proptest::option::of(word()), btree_map(word(), word(), 0..3)).prop_map(|(value, labels)| {
        let mut map = Map::new();
        map.extend(value.map(|v| ("value".to_owned(), v.into())));
        if !labels.is_empty() {
            map.insert("labels".into(), json!(labels));
        }
        Value::Object(map)
    });
    leaf.prop_recursive(3, 24, 4, |inner| {
        let items = btree_map(word(), inner.clone(), 0..4);
        let lists = (proptest::sample::subsequence(vec!["p", "q", "r", "s"], 0..4).prop_shuffle(), vec(word(), 0..3));
        (inner.clone(), items, lists, proptest::option::of(inner)).prop_map(|(base, items, (set, atomic), union)| {
            let mut base = base;
            let items: Vec<Value> = items
                .into_iter()
                .map(|(name, mut item)| {
                    item["name"] = name.into();
                    item
                })
                .collect();
            for (name, value) in [("items", json!(items)), ("set", json!(set)), ("atomic", json!(atomic))] {
                if value.as_array().is_some_and(|list| !list.is_empty()) {
                    base[name] = value;
                }
            }
            if let Some(union) = union {
                base["union"] = union;
            }
            base
        })
    })
}

const WRITER: Writer<'static> = Writer { manager: "m", api_version: "x/v1", subresource: "", now: "T" };

/// Without managedFields, order, and what is empty, which Go's types would not write.
fn content(mut tree: Value) -> Value {
    machinery::tree::remove(&mut tree, "metadata");
    bare(tree).unwrap_or_else(|| json!({}))
}

fn bare(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            let mut map: Map<_, _> = map.into_iter().filter_map(|(key, value)| Some((key, bare(value)?))).collect();
            // Nobody owns the order of what merges.
            for name in ["items", "set"] {
                if let Some(Value::Array(items)) = map.get_mut(name) {
                    items.sort_by_key(Value::to_string);
                }
            }
            (!map.is_empty()).then_some(Value::Object(map))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.into_iter().filter_map(bare).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Null => None,
        scalar => Some(scalar),
    }
}

fn applied(live: &Value, config: &Value, writer: &Writer<'_>) -> managed::Applied {
    managed::apply(&schema(), live, config, writer, true).unwrap()
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[ a:#'\"\\n\\-\\[\\]{}&*!|>%@`,?~0-9.]{0,10}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map("[ -~]{0,6}", inner, 0..4).prop_map(|m| json!(m))
        ]
    })
}

proptest! {
    // A failure prints its input; write that into a test of its own.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_strategic_difference_gives_the_other_tree(from in tree(), to in tree()) {
        let patch = patch::two_way(&schema(), &from, &to).unwrap();
        prop_assert_eq!(patch::strategic(&schema(), &from, &patch).unwrap(), to, "by {}", patch);
    }

    #[test]
    fn applying_again_changes_nothing(original in tree(), modified in tree(), live in tree()) {
        let patch = patch::three_way(&schema(), &original, &modified, &live).unwrap();
        let after = patch::strategic(&schema(), &live, &patch).unwrap();
        let again = patch::three_way(&schema(), &modified, &modified, &after).unwrap();
        prop_assert_eq!(patch::strategic(&schema(), &after, &again).unwrap(), after);
    }

    #[test]
    fn a_merge_difference_gives_the_other_tree(from in tree(), to in tree()) {
        prop_assert_eq!(patch::merge(&from, &patch::merge_diff(&from, &to)), to);
    }

    #[test]
    fn applying_replaces_what_the_same_manager_applied(first in tree(), second in tree()) {
        let one = applied(&Value::Null, &first, &WRITER).object;
        prop_assert_eq!(content(one.clone()), content(first.clone()));
        let again = applied(&one, &first, &WRITER);
        prop_assert!(again.same, "{} became {}", one, again.object);
        prop_assert_eq!(&again.object, &one);
        let two = applied(&one, &second, &WRITER).object;
        prop_assert_eq!(content(two), content(second));
    }

    #[test]
    fn letting_go_leaves_what_others_applied(theirs in tree(), mine in tree()) {
        let live = applied(&Value::Null, &theirs, &Writer { manager: "other", ..WRITER }).object;
        // Conflicts are refused, and then there is nothing to let go of.
        if let Ok(both) = managed::apply(&schema(), &live, &mine, &WRITER, false) {
            let alone = applied(&both.object, &json!({}), &WRITER).object;
            prop_assert_eq!(content(alone), content(theirs), "after {}", mine);
        }
    }

    #[test]
    fn quantities_keep_their_value(text in "-?[0-9]{1,9}(\\.[0-9]{1,6})?(n|u|m|k|M|G|T|Ki|Mi|Gi|e3|E-2)?") {
        let once = canonical(&text).unwrap().into_owned();
        let again = canonical(&once).unwrap().into_owned();
        prop_assert_eq!(&once, &again);
        // Binary quantities are whole from 1024 on, as upstream prints them.
        let (read, written) = (Quantity::parse(&text).unwrap(), Quantity::parse(&once).unwrap());
        prop_assert!(read == written || text.ends_with('i'), "{} became {}", text, once);
    }

    #[test]
    fn selectors_read_what_they_print(text in "[a-c]{1,2}( in \\(([a-c](,[a-c]){0,2},?)?\\)|=[a-c]?|!=[a-c]|)(,![x-z])?") {
        let selector = LabelSelector::parse(&text).unwrap();
        prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
    }

    #[test]
    fn yaml_reads_what_it_writes(tree in any_json()) {
        let text = yaml::emit(&tree);
        prop_assert_eq!(yaml::parse(&text).unwrap(), tree, "{}", text);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,40}") {
        let _ = (LabelSelector::parse(&text), Quantity::parse(&text), yaml::parse(&text), machinery::duration::parse(&text));
        let _ = (machinery::time::parse(&text), machinery::jsonpath::Template::parse(&text), machinery::schema::syntax_error(text.as_bytes()));
        let _ = machinery::selector::FieldSelector::parse(&text);
    }
}
