//! Secret: bytes by key that are nobody's business.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use super::configmap::{DATA_BYTES_MAX, config_key, immutable_once_set};
use crate::column;
use crate::cursor::Field;
use crate::kind::Kind;
use crate::rule;

pub static KIND: Kind = Kind {
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    definition: "io.k8s.api.core.v1.Secret",
    set_defaults,
    validate,
    validate_update: |new, old, problems| {
        rule::immutable("type", new, old, problems);
        immutable_once_set(new, old, &["data"], problems);
    },
    selectable: &[("type", |object| tree::str(object, "type").to_owned())],
    columns: &[
        column::NAME,
        column::text("Type", "Used to facilitate programmatic handling of secret data."),
        column::text("Data", "The keys of the secret data."),
        column::AGE,
    ],
    cells: |object, now| {
        let keys = Field::root(object).get("data").len();
        vec![column::name(object), tree::str(object, "type").into(), keys.into(), column::age(object, now)]
    },
    ..Kind::BASE
};

/// What was written as text is kept as bytes, like the rest.
fn set_defaults(object: &mut Value) {
    if let Some(Value::Object(texts)) = tree::remove(object, "stringData")
        && !texts.is_empty()
    {
        let data = tree::map_mut(object, "data");
        for (key, text) in texts {
            data.insert(key, BASE64.encode(text.as_str().unwrap_or("")).into());
        }
    }
    if tree::str(object, "type").is_empty() {
        tree::set(object, "type", "Opaque");
    }
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let data = root.get("data");
    let mut bytes = 0;
    for (key, value) in data.entries() {
        config_key(key, &value, problems);
        bytes += rule::base64_len(value.str());
    }
    if bytes > DATA_BYTES_MAX {
        data.too_long(problems, DATA_BYTES_MAX);
    }
    let need = |key: &str, problems: &mut Problems| {
        if !data.key(key).is_set() {
            data.key(key).required(problems, "");
        }
    };
    match root.get("type").str() {
        "kubernetes.io/service-account-token" => {
            let annotations = root.get("metadata.annotations");
            let account = annotations.key("kubernetes.io/service-account.name");
            rule::required(&account, problems);
        }
        "kubernetes.io/dockercfg" => json_map(&data.key(".dockercfg"), problems),
        "kubernetes.io/dockerconfigjson" => json_map(&data.key(".dockerconfigjson"), problems),
        "kubernetes.io/basic-auth" if !data.key("username").is_set() && !data.key("password").is_set() => {
            need("username", problems);
            need("password", problems);
        }
        "kubernetes.io/ssh-auth" => {
            rule::required(&data.key("ssh-privatekey"), problems);
        }
        "kubernetes.io/tls" => {
            need("tls.crt", problems);
            need("tls.key", problems);
        }
        _ => {}
    }
}

fn json_map(value: &Field, problems: &mut Problems) {
    if !value.is_set() {
        return value.required(problems, "");
    }
    let bytes = BASE64.decode(value.str()).unwrap_or_default();
    let detail = match machinery::schema::syntax_error(&bytes) {
        Some(why) => why,
        None => match serde_json::from_slice::<Value>(&bytes) {
            Ok(Value::Object(_) | Value::Null) => return,
            Ok(other) => {
                format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", sort(&other))
            }
            Err(why) => why.to_string(),
        },
    };
    value.invalid_as(problems, "<secret contents redacted>", detail);
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{problems, with_defaults};

    use super::*;

    #[test]
    fn texts_become_bytes() {
        let secret = with_defaults(&KIND, json!({"data": {"a": "AA=="}, "stringData": {"b": "text"}}));
        assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "AA==", "b": "dGV4dA=="}}));
    }

    #[test]
    fn pull_credentials_are_json() {
        let of = |text: &str| {
            let data = json!({".dockerconfigjson": BASE64.encode(text)});
            problems(&KIND, &json!({"type": "kubernetes.io/dockerconfigjson", "data": data}))
        };
        assert_eq!(of("{}"), "");
        let head = "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": ";
        assert_eq!(of("x"), format!("{head}invalid character 'x' looking for beginning of value"));
        assert_eq!(of(""), format!("{head}unexpected end of JSON input"));
        let why = "json: cannot unmarshal array into Go value of type map[string]interface {}";
        assert_eq!(of("[]"), format!("{head}{why}"));
    }

    #[test]
    fn a_certificate_needs_both_parts() {
        assert_eq!(
            problems(&KIND, &json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}})),
            "data[tls.key]: Required value"
        );
    }
}
