//! TokenReview and SelfSubjectReview.

use machinery::identity::User;
use machinery::request::Request;
use machinery::status::Status;
use serde_json::json;

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
    tree["status"] = match front.authenticator.token(&token, &audiences, front.registry().world().now()).await {
        Ok(found) => json!({"authenticated": true, "user": user_tree(&found.user), "audiences": found.audiences}),
        Err(why) => json!({"user": {}, "error": why}),
    };
    Ok((tree, warnings))
}

pub fn myself(front: &Front, user: &User, request: &Request) -> Answered {
    let (mut tree, warnings) = body(request, kind_of(request)?)?;
    tree["metadata"]["creationTimestamp"] = front.registry().world().now_text().into();
    tree["status"] = json!({"userInfo": user_tree(user)});
    Ok((tree, warnings))
}
