//! What tests of kinds share: a kind's problems as one text, as the API would answer them.

use machinery::field::Problems;
use serde_json::Value;

use crate::kind::Kind;

pub fn with_defaults(kind: &Kind, mut object: Value) -> Value {
    (kind.set_defaults)(&mut object);
    object
}

/// Of a new object.
pub fn problems(kind: &Kind, object: &Value) -> String {
    let mut problems = Problems::default();
    (kind.validate)(object, &mut problems);
    (kind.validate_create)(object, &mut problems);
    problems.message()
}

/// Of a change, without those of the new object alone.
pub fn update_problems(kind: &Kind, new: &Value, old: &Value) -> String {
    let mut problems = Problems::default();
    (kind.validate_update)(new, old, &mut problems);
    problems.message()
}

pub fn status_problems(kind: &Kind, new: &Value, old: &Value) -> String {
    let mut problems = Problems::default();
    (kind.validate_status)(new, old, &mut problems);
    problems.message()
}
