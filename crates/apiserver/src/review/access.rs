//! SubjectAccessReview and its relatives.

use machinery::identity::User;
use machinery::request::Request;
use machinery::status::Status;
use serde_json::{Value, json};

use super::{Answered, body, kind_of, text, texts, validate};
use crate::authz::{Attributes, Decision, Rule, Target};
use crate::front::Front;

/// SubjectAccessReview, and the local one, whose question must be about its namespace.
pub async fn subject(front: &Front, request: &Request) -> Answered {
    let kind = kind_of(request)?;
    let (mut tree, warnings) = body(request, kind)?;
    if !request.namespace.is_empty() {
        let said = text(&tree["metadata"]["namespace"]);
        if !said.is_empty() && said != request.namespace {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(why));
        }
        tree["metadata"]["namespace"] = request.namespace.clone().into();
    }
    validate(kind, &tree)?;
    let user = user_of(&tree["spec"]);
    Ok((decided(front, &user, tree).await, warnings))
}

pub async fn myself(front: &Front, user: &User, request: &Request) -> Answered {
    let kind = kind_of(request)?;
    let (tree, warnings) = body(request, kind)?;
    validate(kind, &tree)?;
    Ok((decided(front, user, tree).await, warnings))
}

pub fn my_rules(front: &Front, user: &User, request: &Request) -> Answered {
    let (mut tree, warnings) = body(request, kind_of(request)?)?;
    let namespace = text(&tree["spec"]["namespace"]);
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (rules, incomplete) = front.authorizer.rules_for(user, &namespace);
    let resource = |r: &&Rule| !r.resources.is_empty();
    let path = |r: &&Rule| !r.non_resource_urls.is_empty();
    tree["spec"] = json!({});
    tree["status"] = json!({
        "resourceRules": rules.iter().filter(resource).collect::<Vec<_>>(),
        "nonResourceRules": rules.iter().filter(path).collect::<Vec<_>>(),
        "incomplete": incomplete.is_some(),
    });
    if let Some(why) = incomplete {
        tree["status"]["evaluationError"] = why.into();
    }
    Ok((tree, warnings))
}

async fn decided(front: &Front, user: &User, mut tree: Value) -> Value {
    let decision = front.authorizer.decide(user, &asked(&tree["spec"])).await;
    let mut status = json!({"allowed": matches!(decision, Decision::Allow(_))});
    if !decision.reason().is_empty() {
        status["reason"] = decision.reason().into();
    }
    tree["status"] = status;
    tree
}

fn asked(spec: &Value) -> Attributes {
    let what = &spec["nonResourceAttributes"];
    if what.is_object() {
        return Attributes { verb: text(&what["verb"]), target: Target::Path(text(&what["path"])) };
    }
    let what = &spec["resourceAttributes"];
    let requirements = what["fieldSelector"]["requirements"].as_array().into_iter().flatten();
    let raw = text(&what["fieldSelector"]["rawSelector"]);
    let node = requirements
        .filter(|r| r["key"] == "spec.nodeName" && r["operator"] == "In")
        .find_map(|r| r["values"].as_array().filter(|v| v.len() == 1)?.first()?.as_str().map(str::to_owned));
    Attributes {
        verb: text(&what["verb"]),
        target: Target::Resource {
            group: text(&what["group"]),
            version: text(&what["version"]),
            resource: text(&what["resource"]),
            subresource: text(&what["subresource"]),
            namespace: text(&what["namespace"]),
            name: text(&what["name"]),
            node_selected: node.or_else(|| crate::authz::selected(&raw, "spec.nodeName")),
        },
    }
}

fn user_of(spec: &Value) -> User {
    let mut user = User::new(text(&spec["user"]), texts(&spec["groups"]));
    user.uid = text(&spec["uid"]);
    let extra = spec["extra"].as_object().into_iter().flatten();
    user.extra = extra.map(|(key, values)| (key.clone(), texts(values))).collect();
    user
}
