//! JSON patch, RFC 6902, with the habits of the library that upstream uses: negative indexes count from the
//! end, `replace` of an absent map key sets it, and a patch that does not apply says so with a fixed message.

use serde_json::Value;

use crate::status::Status;

/// Upstream's limits on one JSON patch.
const OPERATIONS_MAX: usize = 10_000;
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// The tree with all operations applied, or none.
///
/// # Errors
/// 400 when the patch is not a list of operations, 413 over 10,000 operations, 422 when one does not apply.
pub fn json(tree: &Value, patch: &Value) -> Result<Value, Status> {
    let Value::Array(operations) = patch else {
        return Err(Status::bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch"));
    };
    if operations.len() > OPERATIONS_MAX {
        let found = operations.len();
        let message = format!("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {found}");
        return Err(Status::too_large(message));
    }
    let mut out = tree.clone();
    let mut copied = 0;
    for operation in operations {
        if !operation.is_object() {
            let message = "json: cannot unmarshal into Go value of type jsonpatch.Operation";
            return Err(Status::bad_request(message));
        }
        apply(&mut out, operation, &mut copied).map_err(|_| does_not_apply())?;
    }
    Ok(out)
}

/// Upstream hides why an operation did not apply.
fn does_not_apply() -> Status {
    let message = "the server rejected our request due to an error in our request";
    Status::failure(422, "Invalid", message).with_details("", "", "")
}

/// Why an operation does not apply, in the library's words (`kubectl patch --local` shows them).
type Applied<T> = Result<T, String>;

fn apply(tree: &mut Value, operation: &Value, copied: &mut usize) -> Applied<()> {
    let text = |name: &str| operation[name].as_str().ok_or_else(|| format!("missing value: no {name}"));
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match operation["op"].as_str().unwrap_or("unknown") {
        "add" => add(tree, text("path")?, value()),
        "remove" => remove(tree, text("path")?).map(drop),
        "replace" => replace(tree, text("path")?, value()),
        "test" => test(tree, text("path")?, &operation["value"]),
        "move" => {
            let taken = remove(tree, text("from")?)?;
            add(tree, text("path")?, taken)
        }
        "copy" => {
            let found = find(tree, text("from")?)?.cloned().unwrap_or(Value::Null);
            *copied += found.to_string().len();
            if *copied > COPIED_BYTES_MAX {
                return Err("Unable to complete the copy, the accumulated size increase of copy is too big".into());
            }
            add(tree, text("path")?, found)
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

/// The container that holds the last step of a pointer, and that step unescaped.
fn container<'a>(tree: &'a mut Value, pointer: &str) -> Applied<(&'a mut Value, String)> {
    let missing = || format!("doc is missing path: {pointer:?}: missing value");
    let (_, steps) = pointer.split_once('/').ok_or_else(missing)?;
    let (parents, last) = steps.rsplit_once('/').map_or((None, steps), |(p, l)| (Some(p), l));
    let mut here = tree;
    for step in parents.into_iter().flat_map(|p| p.split('/')) {
        let step = unescape(step);
        here = match here {
            Value::Object(map) => map.get_mut(&step).ok_or_else(missing)?,
            Value::Array(items) => {
                let at = existing(&step, items.len())?;
                &mut items[at]
            }
            _ => return Err(missing()),
        };
    }
    if here.is_object() || here.is_array() { Ok((here, unescape(last))) } else { Err(missing()) }
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// The position that a step names in a list of this length.
fn existing(step: &str, len: usize) -> Applied<usize> {
    position(step, len).filter(|at| *at < len).ok_or_else(|| format!("Unable to access invalid index: {step}"))
}

fn position(step: &str, len: usize) -> Option<usize> {
    let number: i64 = step.parse().ok()?;
    let at = if number < 0 { number + i64::try_from(len).ok()? } else { number };
    usize::try_from(at).ok()
}

fn find<'a>(tree: &'a mut Value, pointer: &str) -> Applied<Option<&'a Value>> {
    let (holder, step) = container(tree, pointer)?;
    match holder {
        Value::Object(map) => Ok(map.get(&step)),
        Value::Array(items) => existing(&step, items.len()).map(|at| items.get(at)),
        _ => Ok(None),
    }
}

fn add(tree: &mut Value, pointer: &str, value: Value) -> Applied<()> {
    let (holder, step) = container(tree, pointer)?;
    match holder {
        Value::Object(map) => drop(map.insert(step, value)),
        Value::Array(items) if step == "-" => items.push(value),
        Value::Array(items) => {
            let room = items.len() + 1;
            let at = existing(&step, room)?;
            items.insert(at, value);
        }
        _ => {}
    }
    Ok(())
}

fn remove(tree: &mut Value, pointer: &str) -> Applied<Value> {
    let (holder, step) = container(tree, pointer)?;
    match holder {
        Value::Array(items) => {
            let at = existing(&step, items.len())?;
            Ok(items.remove(at))
        }
        Value::Object(map) => map.remove(&step).ok_or_else(|| format!("Unable to remove nonexistent key: {step}")),
        _ => Err(format!("doc is missing path: {pointer:?}")),
    }
}

fn replace(tree: &mut Value, pointer: &str, value: Value) -> Applied<()> {
    let (holder, step) = container(tree, pointer)?;
    match holder {
        Value::Object(map) => drop(map.insert(step, value)),
        Value::Array(items) => {
            let at = existing(&step, items.len())?;
            items[at] = value;
        }
        _ => {}
    }
    Ok(())
}

fn test(tree: &mut Value, pointer: &str, expected: &Value) -> Applied<()> {
    let found = find(tree, pointer)?.unwrap_or(&Value::Null);
    if found == expected { Ok(()) } else { Err(format!("testing value {pointer} failed: test failed")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::json as patch;

    #[test]
    fn every_operation_applies() {
        let tree = json!({"a": {"b/c": 1}, "l": [1, 2, 3]});
        let operations = json!([
            {"op": "test", "path": "/a/b~1c", "value": 1},
            {"op": "add", "path": "/l/-", "value": 4},
            {"op": "add", "path": "/l/0", "value": 0},
            {"op": "remove", "path": "/l/-1"},
            {"op": "replace", "path": "/a/new", "value": {"x": 1}},
            {"op": "copy", "from": "/a/new/x", "path": "/a/y"},
            {"op": "move", "from": "/a/b~1c", "path": "/z"},
        ]);
        let expected = json!({"a": {"new": {"x": 1}, "y": 1}, "l": [0, 1, 2, 3], "z": 1});
        assert_eq!(patch(&tree, &operations).unwrap(), expected);
    }

    #[test]
    fn what_does_not_apply_is_refused() {
        let tree = json!({"a": [1], "n": 1});
        for (op, path) in
            [("remove", "/x"), ("add", "/x/y"), ("replace", "/a/1"), ("add", ""), ("add", "/n/x"), ("no", "/a")]
        {
            let status = patch(&tree, &json!([{"op": op, "path": path, "value": 1}])).unwrap_err();
            assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{op} {path}");
        }
        assert_eq!(patch(&tree, &json!({})).unwrap_err().code, 400);
    }
}
