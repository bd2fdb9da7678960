//! `meta.k8s.io/v1` Tables: what `kubectl get` asks servers to print.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables>.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

/// The header of one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Column {
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    #[serde(rename = "type")]
    pub kind: String,
    pub format: String,
    pub description: String,
    /// 0 is always shown, more only with `-o wide`.
    pub priority: i32,
}

/// One object's line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    pub cells: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Value>,
    /// The object, its metadata only, or null, as `includeObject` asks.
    pub object: Value,
}

/// A table with the list's metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Table {
    #[serde(deserialize_with = "null_is_empty")]
    pub metadata: Map<String, Value>,
    #[serde(deserialize_with = "null_is_empty")]
    pub column_definitions: Vec<Column>,
    #[serde(deserialize_with = "null_is_empty")]
    pub rows: Vec<Row>,
}

/// Later events of a watch have `columnDefinitions: null`.
fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// What of each object comes along with its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    None,
    #[default]
    Metadata,
    Object,
}

impl Include {
    /// The `includeObject` query parameter.
    ///
    /// # Errors
    /// Upstream's message for another word.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            _ => Err("must be 'Metadata', 'Object', 'None', or empty".into()),
        }
    }

    /// What a row carries of its object.
    pub fn of(self, object: &Value) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Object => object.clone(),
            Self::Metadata => partial(object),
        }
    }
}

/// `PartialObjectMetadata`: an object's metadata alone.
pub fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

impl Table {
    /// Reads a Table; `None` for another kind of object.
    pub fn from_tree(tree: Value) -> Option<Self> {
        if tree["kind"] == "Table" { serde_json::from_value(tree).ok() } else { None }
    }

    /// With kind and apiVersion, as sent. In a watch only the first event carries the columns.
    pub fn to_tree(&self) -> Value {
        let mut tree = serde_json::to_value(self).unwrap_or_default();
        if let Some(map) = tree.as_object_mut() {
            map.insert("kind".into(), "Table".into());
            map.insert("apiVersion".into(), "meta.k8s.io/v1".into());
            if self.column_definitions.is_empty() {
                map.insert("columnDefinitions".into(), Value::Null);
            }
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_go_to_trees_and_back() {
        let object = json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {}});
        let column = Column { name: "Name".into(), kind: "string".into(), format: "name".into(), ..Column::default() };
        let row = Row { cells: vec!["a".into()], conditions: vec![], object: Include::Metadata.of(&object) };
        let table = Table { metadata: Map::new(), column_definitions: vec![column], rows: vec![row] };
        let tree = table.to_tree();
        assert_eq!(tree["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(Table::from_tree(tree), Some(table));
        assert_eq!(Table::from_tree(object), None);
        assert_eq!(Table::from_tree(Table::default().to_tree()), Some(Table::default()));
    }
}
