//! `-o go-template=…`: the part of Go's text/template that people use on objects.
//!
//! Actions: fields and variables, pipelines, `if`/`else`, `range`, `with`, `define`-less; functions `len`, `index`, `eq`,
//! `ne`, `lt`, `le`, `gt`, `ge`, `and`, `or`, `not`, `print`, `println`, `printf` (%s, %v, %d, %q), `exists`,
//! `base64decode`. Whatever else a template asks for is refused with its name.
//!
//! Source: <https://pkg.go.dev/text/template>.

mod eval;
mod parse;

use serde_json::Value;

use crate::failure::{Failure, Result};
use parse::Node;

/// A template that was read.
pub struct GoTemplate {
    nodes: Vec<Node>,
}

impl GoTemplate {
    /// # Errors
    /// Syntax that is wrong or not known.
    pub fn parse(text: &str) -> Result<Self> {
        let nodes = parse::parse(text);
        nodes.map(|nodes| Self { nodes }).map_err(|why| Failure::Here(format!("error parsing template {text}, {why}")))
    }

    /// The text for an object.
    ///
    /// # Errors
    /// A function that is not known, or that the values do not suit.
    pub fn print(&self, tree: &Value) -> Result<String> {
        let printed = eval::run(&self.nodes, tree);
        printed.map_err(|why| Failure::Here(format!("error executing template: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(template: &str, tree: &Value) -> String {
        GoTemplate::parse(template).unwrap().print(tree).unwrap()
    }

    #[test]
    fn what_people_write_is_printed() {
        let tree = json!({"kind": "List", "data": {"token": "aGVsbG8="}, "n": 3, "items": [
            {"metadata": {"name": "a", "labels": {"x-y": "1"}}}, {"metadata": {"name": "b"}}]});
        assert_eq!(printed("{{.kind}}: {{len .items}}", &tree), "List: 2");
        assert_eq!(printed(r#"{{range .items}}{{.metadata.name}}{{"\n"}}{{end}}"#, &tree), "a\nb\n");
        assert_eq!(printed("{{.data.token | base64decode}}", &tree), "hello");
        assert_eq!(
            printed("{{range $i, $e := .items}}{{if $i}}, {{end}}{{$i}}={{$e.metadata.name}}{{end}}", &tree),
            "0=a, 1=b"
        );
        assert_eq!(printed(r#"{{(index .items 0).metadata.name}} {{index .data "token"}}"#, &tree), "a aGVsbG8=");
        assert_eq!(printed("{{if and (eq .kind \"List\") (gt .n 2)}}yes{{else}}no{{end}}", &tree), "yes");
        assert_eq!(printed("{{range .nothing}}x{{else}}none{{end}}|{{.a.b}}", &tree), "none|<no value>");
        assert_eq!(printed("a {{- with .data }} {{ .token | len | printf \"%d!\" }} {{- end }}", &tree), "a 8!");
        assert_eq!(printed("{{range $k, $v := .data}}{{$k}}{{end}}{{/* why */}}", &tree), "token");
        assert_eq!(printed("{{.items}}", &json!({"items": ["a", 1, {"b": true}]})), "[a 1 map[b:true]]");
    }

    #[test]
    fn what_is_wrong_is_refused() {
        assert!(GoTemplate::parse("{{.a").is_err() && GoTemplate::parse("{{range .a}}").is_err());
        assert!(GoTemplate::parse("{{template \"x\"}}").is_err());
        assert!(GoTemplate::parse("{{foo .a}}").unwrap().print(&json!({})).is_err());
    }
}
