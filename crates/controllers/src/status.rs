//! A status as the smallest patch that makes it so.

use control::{Target, Typed, Write};
use machinery::patch::merge_diff;
use serde::Serialize;
use serde_json::json;

/// The patch of an object's status from `old` to `new`; `None` when they are equal. It holds for exactly the
/// version seen, because a status speaks about a spec, and its lists are replaced whole.
pub fn patch<T: Typed, S: Serialize>(object: &T, old: &S, new: &S) -> Option<Write> {
    let (old, new) = (serde_json::to_value(old).ok()?, serde_json::to_value(new).ok()?);
    (old != new).then(|| {
        let target = Target::exactly(object).subresource("status");
        Write::patch(target, json!({ "status": merge_diff(&old, &new) }))
    })
}

/// A number of a status in its stored form: zero is absent.
pub fn count(number: i32) -> Option<i32> {
    Some(number).filter(|number| *number != 0)
}
