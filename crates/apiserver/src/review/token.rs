//! TokenReview and SelfSubjectReview.

use jiff::Timestamp;
use machinery::identity::User;
use machinery::request::Request;
use machinery::status::Status;
use serde_json::{Value, json};

use super::{Answered, body, kind_of, text, texts, user_tree};
use crate::front::Front;

pub async fn review(front: &Front, request: &Request) -> Answered {
    let (mut tree, warnings) = body(request, kind_of(request)?)?;
    let token = text(&tree["spec"]["token"]);
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let mut audiences = texts(&tree["spec"]["audiences"]);
    if audiences.is_empty() {
        audiences = front.authenticator.issuer().audiences().to_vec();
    }
    tree["status"] = match front.authenticator.token(&token, &audiences, Timestamp::now()).await {
        Ok(found) => json!({"authenticated": true, "user": user_tree(&found.user), "audiences": found.audiences}),
        Err(why) => json!({"user": {}, "error": why}),
    };
    Ok((tree, warnings))
}

pub fn myself(user: &User, request: &Request) -> Answered {
    let (mut tree, warnings) = body(request, kind_of(request)?)?;
    tree["metadata"]["creationTimestamp"] = Value::from(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    tree["status"] = json!({"userInfo": user_tree(user)});
    Ok((tree, warnings))
}
