//! NodeName: a pod that names its node goes nowhere else. Bound pods never get here; kept for `nodeName` in templates
//! whose binding was taken back.

use super::{Question, Refusal};
use crate::pod::Wanted;

pub fn filter(wanted: &Wanted) -> Option<Question<'_>> {
    let name = wanted.node.as_deref()?;
    Some(Box::new(move |node| {
        (node.name != name).then(|| Refusal::lasting("node(s) didn't match the requested node name"))
    }))
}
