use serde_json::{Value, json};

use super::*;

fn data() -> Value {
    json!({"kind": "List", "items": [
        {"kind": "None", "metadata": {"name": "a", "labels": {"x.y/z": "l"}}, "n": 1, "list": [1, 2, 3]},
        {"kind": "None", "metadata": {"name": "b"}, "n": 2, "ready": true, "map": {"k": [1]}},
    ]})
}

fn printed(template: &str) -> String {
    Template::parse(template).unwrap().print(&data(), true).unwrap()
}

#[test]
fn templates_print_as_kubectl_does() {
    for (template, expected) in [
        ("kind is {.kind}", "kind is List"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1:].metadata.name}", "b"),
        ("{.items[0]['n','kind']}", "1 None"),
        ("{range .items[*]}[{.metadata.name}, {.n}] {end}", "[a, 1] [b, 2] "),
        ("{range .items[*]}{.metadata.name}{\"\\t\"}{.n}{\"\\n\"}{end}", "a\t1\nb\t2\n"),
        ("{.items[?(@.n>1)].metadata.name}", "b"),
        ("{.items[?(@.metadata.name==\"a\")].n}", "1"),
        ("{.items[?(@.ready)].metadata.name}", "b"),
        ("{.items[?(@.ready==true)].n}", "2"),
        ("{..name}", "a b"),
        ("{.items[0].metadata.labels.x\\.y/z}", "l"),
        ("{.items[0].metadata.labels['x\\.y/z']}", "l"),
        ("{.items[1].map}", "{\"k\":[1]}"),
        ("{.items[0].list[0:2]}", "1 2"),
        ("{.items[0].list[::2]}", "1 3"),
        ("{.missing}", ""),
        ("{.items[*]['metadata.name', 'n']}", "a b 1 2"),
        ("{range .items[*]}{range .list[*]}{@}{end};{end}", "123;;"),
        ("{$.kind}", "List"),
    ] {
        assert_eq!(printed(template), expected, "{template}");
    }
}

#[test]
fn errors_are_upstreams() {
    let failed = |template: &str| Template::parse(template).and_then(|t| t.print(&data(), false)).unwrap_err();
    assert_eq!(failed("{.missing}"), "missing is not found");
    assert_eq!(failed("{.items[5]}"), "array index out of bounds: index 5, length 2");
    assert_eq!(failed("{.kind"), "unclosed action");
    assert_eq!(failed("{.items[}"), "unterminated array");
    assert_eq!(failed("{.items[a]}"), "invalid array index a");
    assert_eq!(failed("{.kind[0]}"), "string is not array or slice");
    assert_eq!(failed("{end}"), "not in range, nothing to end");
    assert_eq!(failed("{foo}"), "unrecognized identifier foo");
}

#[test]
fn paths_may_be_short() {
    assert_eq!(relaxed("metadata.name").unwrap(), "{.metadata.name}");
    assert_eq!(relaxed("{.a[*].b}").unwrap(), "{.a[*].b}");
    assert!(relaxed("{{}").is_err());
}

#[test]
fn null_is_printed_as_json_has_it() {
    let tree = json!({"items": [{"at": null}, {"at": "x"}]});
    assert_eq!(Template::parse("{.items[*].at}").unwrap().print(&tree, true).unwrap(), "null x");
}
