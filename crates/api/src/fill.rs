//! Filling absent fields in, on the maps of a tree: what defaults are made of.
//!
//! An empty text and a zero count as absent where Go holds the field by value, so each has its own function.

use machinery::quantity::Quantity;
use serde_json::{Map, Value};

pub type Tree = Map<String, Value>;

/// Unless something other than null is there.
pub fn absent(map: &mut Tree, key: &str, value: impl Into<Value>) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), value.into());
    }
}

/// Unless a text that is not empty is there.
pub fn text(map: &mut Tree, key: &str, value: &str) {
    if map.get(key).and_then(Value::as_str).unwrap_or("").is_empty() {
        map.insert(key.to_owned(), value.into());
    }
}

/// Unless a number other than 0 is there.
pub fn number(map: &mut Tree, key: &str, value: i64) {
    if map.get(key).and_then(Value::as_i64).unwrap_or(0) == 0 {
        map.insert(key.to_owned(), value.into());
    }
}

pub fn get_text<'a>(map: &'a Tree, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The map at a key, when there is one.
pub fn map<'a>(map: &'a mut Tree, key: &str) -> Option<&'a mut Tree> {
    map.get_mut(key).and_then(Value::as_object_mut)
}

/// The maps of the list at a key.
pub fn maps<'a>(map: &'a mut Tree, key: &str) -> impl Iterator<Item = &'a mut Tree> {
    map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Rounds the quantities of the map at a key up to whole thousandths, the finest that is kept.
pub fn milli(map: &mut Tree, key: &str) {
    for (_, value) in self::map(map, key).into_iter().flatten() {
        let fine = value.as_str().is_some_and(|text| text.contains('.') || text.ends_with(['n', 'u']));
        if let Some(quantity) = fine.then(|| Quantity::from_tree(value).ok()).flatten() {
            let rounded = Quantity::from_milli(quantity.milli_value(), quantity.format());
            if rounded != quantity {
                *value = rounded.to_string().into();
            }
        }
    }
}
