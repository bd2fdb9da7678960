//! Answers the questions of a plan from the API itself, never from a cache.

use client::{Client, access};
use control::heard::Answer;
use control::plan::Ask;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::ServiceAccount;
use machinery::request::{Request, Verb};
use machinery::status::Status;
use serde_json::json;

/// Longest life of a token that the API grants, in seconds: tokens in Secrets live as long as those.
const TOKEN_SECONDS: i64 = 1 << 32;

/// Answers all asks at once.
///
/// # Errors
/// The first that could not be answered; a GET of what is not there is answered.
pub async fn answer(client: &Client, asks: Vec<Ask>) -> Result<Vec<(Ask, Answer)>, Status> {
    try_join_all(asks.into_iter().map(|ask| async move {
        let answer = one(client, &ask).await?;
        Ok((ask, answer))
    }))
    .await
}

async fn one(client: &Client, ask: &Ask) -> Result<Answer, Status> {
    match ask {
        Ask::Get { resource, namespace, name } => {
            let request = Request::new(Verb::Get, resource.group, resource.version, resource.plural);
            match client.object(request.namespace(namespace).name(name)).await {
                Ok(object) => Ok(Answer::Object(Some(object))),
                Err(status) if status.is_not_found() => Ok(Answer::Object(None)),
                Err(status) => Err(status),
            }
        }
        Ask::List { resource, namespace, labels } => {
            let mut request = Request::new(Verb::List, resource.group, resource.version, resource.plural);
            request.namespace = namespace.clone();
            request.options.label_selector = labels.clone();
            access::list(client.call(request).await?).map(|list| Answer::List(list.items))
        }
        Ask::Token { namespace, account, secret, secret_uid } => {
            let tree = json!({
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {
                    "expirationSeconds": TOKEN_SECONDS,
                    "boundObjectRef": { "apiVersion": "v1", "kind": "Secret", "name": secret, "uid": secret_uid },
                },
            });
            let resource = client::Resource::of::<ServiceAccount>();
            let answer = client.create_tree(&resource, namespace, account, "token", tree).await?;
            let token = answer["status"]["token"].as_str();
            let token = token.ok_or_else(|| Status::internal("a TokenRequest was answered without a token"))?;
            Ok(Answer::Secret(token.to_owned()))
        }
    }
}
