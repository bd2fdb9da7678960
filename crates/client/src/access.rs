//! What an answer has to hold for the caller that asked: an object, a list, a tree.

use std::sync::Arc;

use machinery::object::Object;
use machinery::request::{Answer, Content, List};
use machinery::status::Status;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The object of an answer; a tree that was not stored (Scale, TokenRequest) is made one.
///
/// # Errors
/// The answer is a list or a bare `Status`.
pub fn object(answer: Answer) -> Result<Arc<Object>, Status> {
    match answer.content {
        Content::Object(object) => Ok(object),
        Content::Tree(tree) => Ok(Object::from_tree(&tree)),
        Content::Status(status) => Err(unexpected("a Status", &status.message)),
        Content::List(list) => Err(unexpected("a list", &list.kind)),
    }
}

/// The list of an answer.
///
/// # Errors
/// The answer is something else.
pub fn list(answer: Answer) -> Result<List, Status> {
    match answer.content {
        Content::List(list) => Ok(list),
        Content::Status(status) => Err(unexpected("a Status", &status.message)),
        Content::Object(_) | Content::Tree(_) => Err(unexpected("one object", "where a list was asked for")),
    }
}

/// The answer's content as a tree, whatever it is but a list.
///
/// # Errors
/// The answer is a list.
pub fn tree(answer: Answer) -> Result<Arc<Value>, Status> {
    match answer.content {
        Content::Object(object) => Ok(object.tree()),
        Content::Tree(tree) => Ok(tree),
        Content::Status(status) => Ok(Arc::new(status.to_tree())),
        Content::List(list) => Err(unexpected("a list", &list.kind)),
    }
}

/// The answer's content as `T`.
///
/// # Errors
/// The answer is a list, or does not have `T`'s shape.
pub fn typed<T: DeserializeOwned + Send + Sync + 'static>(answer: Answer) -> Result<Arc<T>, Status> {
    match answer.content {
        Content::Object(object) => object.decode(),
        other => {
            let tree = tree(Answer { code: answer.code, warnings: answer.warnings, content: other })?;
            serde_json::from_value((*tree).clone()).map(Arc::new).map_err(Status::internal)
        }
    }
}

fn unexpected(what: &str, detail: &str) -> Status {
    Status::internal(format!("the server answered {what}: {detail}"))
}
