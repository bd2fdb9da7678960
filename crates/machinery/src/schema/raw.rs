//! JSON without a schema, with the fields that came twice: patches, whose maps are no objects yet.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::strict::Unknown;
use super::unicode;

/// The tree, and which of its fields came more than once; the last of them counts.
///
/// # Errors
/// It is not JSON.
pub fn raw(json: &[u8]) -> serde_json::Result<(Value, Vec<Unknown>)> {
    let mut twice = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read = Raw { path: String::new(), twice: &mut twice }.deserialize(&mut reader);
    match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok((value, twice)),
        Err(error) => unicode::replaced(json).map_or(Err(error), |json| raw(&json)),
    }
}

/// One value at a path.
struct Raw<'a> {
    path: String,
    twice: &'a mut Vec<Unknown>,
}

impl<'de> DeserializeSeed<'de> for Raw<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Raw<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) =
            items.next_element_seed(Raw { path: format!("{}[{}]", self.path, out.len()), twice: &mut *self.twice })?
        {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let known = Unknown { path: path.clone(), duplicate: true };
            if out.contains_key(&key) && !self.twice.contains(&known) {
                self.twice.push(known);
            }
            let value = map.next_value_seed(Raw { path, twice: &mut *self.twice })?;
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::raw;

    #[test]
    fn fields_that_come_twice_are_told_once() {
        let (tree, twice) = raw(br#"{"a": {"b": 1, "b": 2, "b": 3}, "l": [{"x": 1, "x": 1}], "a2": 1.0}"#).unwrap();
        assert_eq!(tree, json!({"a": {"b": 3}, "l": [{"x": 1}], "a2": 1.0}));
        let texts: Vec<_> = twice.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [r#"duplicate field "a.b""#, r#"duplicate field "l[0].x""#]);
        assert!(raw(b"{} x").is_err());
    }
}
