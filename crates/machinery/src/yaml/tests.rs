use serde_json::{Value, json};

use super::*;

#[test]
fn plain_scalars_have_the_types_of_yaml_1_1() {
    let cases = [
        ("yes", json!(true)),
        ("off", json!(false)),
        ("~", Value::Null),
        ("", Value::Null),
        ("012", json!(10)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("1_000", json!(1000)),
        ("1e3", json!(1000)),
        ("1.5", json!(1.5)),
        ("1.0", json!(1)),
        ("08", json!(8)),
        ("'1'", json!("1")),
        ("\"yes\"", json!("yes")),
        ("2024-01-01", json!("2024-01-01")),
        ("1.2.3", json!("1.2.3")),
        ("!!str 5", json!("5")),
        ("-5", json!(-5)),
        ("+5", json!(5)),
        ("100m", json!("100m")),
        ("=", json!("=")),
        (".5", json!(0.5)),
        ("12:30", json!("12:30")),
        ("!!binary aGk=", json!("hi")),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(&format!("a: {text}\n")).unwrap()["a"], expected, "{text}");
    }
    assert!(parse("a: .inf").is_err());
}

#[test]
fn documents_anchors_and_merges() {
    let text = "---\n# nothing\n---\nbase: &b {x: 1, z: 2}\nmore:\n  <<: *b\n  z: 3\nlist: [*b, 1]\n1: one\n---\nkind: B\n...\n";
    let all = parse_all(text).unwrap();
    assert_eq!(
        all,
        [
            json!({"base": {"x": 1, "z": 2}, "more": {"x": 1, "z": 3}, "list": [{"x": 1, "z": 2}, 1], "1": "one"}),
            json!({"kind": "B"}),
        ]
    );
    assert_eq!(parse("").unwrap(), Value::Null);
    assert_eq!(parse(" {\"a\": [1]}").unwrap(), json!({"a": [1]}));
}

#[test]
fn malformed_texts_are_refused() {
    assert_eq!(
        parse("a: 1\nb: 2\na: 3\n").unwrap_err().0,
        "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"
    );
    assert!(parse("a: b: c").unwrap_err().0.starts_with("yaml: mapping values"));
    assert!(parse("a: [1\nb: 2").is_err());
    assert_eq!(parse("a: @x").unwrap_err().0, "yaml: found character that cannot start any token");
    let tab = parse("a:\n\t- b").unwrap_err().0;
    assert_eq!(tab, "yaml: line 2: found character that cannot start any token");
    assert_eq!(parse("a: \"x").unwrap_err().0, "yaml: found unexpected end of stream");
    assert!(parse("a:\n\tb: 1").is_err());
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    assert_eq!(parse(bomb).unwrap_err().0, "yaml: document contains excessive aliasing");
}

#[test]
fn trees_are_written_as_kubectl_prints_them() {
    let tree = json!({
        "apiVersion": "v1", "kind": "Pod", "empty": {}, "none": [], "null": null,
        "metadata": {"name": "x", "annotations": {"a/b": "{\"k\":1}\n", "yes": "true", "n": "1"}},
        "spec": {
            "containers": [{"name": "c", "args": ["-c", "echo hi; sleep 1", "*", "a: b", "@x", "it's", "  pad"], "ports": [{"containerPort": 80}]}],
            "nested": [["a", "b"], []], "script": "#!/bin/sh\necho 1\n\necho 2", "time": "2024-01-01T00:00:00Z", "tab": "a\tb", "ko": "안녕",
            "ratio": 0.5, "big": 1e21, "crlf": "a\r\nb\n", "colon": "12:30", "k10": 1, "k9": 2, "trailing": "a \nb",
        },
    });
    let expected = r##"apiVersion: v1
empty: {}
kind: Pod
metadata:
  annotations:
    a/b: |
      {"k":1}
    "n": "1"
    "yes": "true"
  name: x
none: []
"null": null
spec:
  big: 1e+21
  colon: "12:30"
  containers:
  - args:
    - -c
    - echo hi; sleep 1
    - '*'
    - 'a: b'
    - '@x'
    - it's
    - '  pad'
    name: c
    ports:
    - containerPort: 80
  crlf: "a\r\nb\n"
  k9: 2
  k10: 1
  ko: 안녕
  nested:
  - - a
    - b
  - []
  ratio: 0.5
  script: |-
    #!/bin/sh
    echo 1

    echo 2
  tab: "a\tb"
  time: "2024-01-01T00:00:00Z"
  trailing: "a \nb"
"##;
    let text = emit(&tree);
    assert_eq!(text, expected);
    assert_eq!(parse(&text).unwrap(), tree);
}

#[test]
fn long_lines_are_folded_after_eighty_columns() {
    let words = "word ".repeat(30);
    let tree = json!({"status": {"message": words.trim_end(), "quoted": format!("'{}", words.trim_end())}});
    let text = emit(&tree);
    let expected_first = "  message: word word word word word word word word word word word word word word word";
    assert!(text.lines().nth(1).unwrap().starts_with(expected_first), "{text}");
    assert!(text.lines().nth(2).unwrap().starts_with("    word"), "{text}");
    assert_eq!(parse(&text).unwrap(), tree);
}

#[test]
fn what_is_written_reads_back() {
    for text in [
        "", " ", "\n", "\n\n", " a\n", "a\n\n", "a\n b\n", "- a", "a #b", "?", ": x", "---", "null", "1e5", "0x", "~",
        "\u{0}", "\u{feff}", "a\\\"b", "<<", "y",
    ] {
        let tree = json!({"k": text, "l": [text]});
        let written = emit(&tree);
        assert_eq!(parse(&written).unwrap(), tree, "{written}");
    }
}
