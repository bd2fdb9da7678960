//! Service-account tokens: requested, reviewed, used, and dead with what they are bound to.

use serde_json::{Value, json};

use crate::harness::{As, Harness};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

async fn with_account() -> (Harness, Value) {
    let server = Harness::start().await;
    let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}});
    let account = server.post(&As::Admin, ACCOUNTS, body).await.json();
    (server, account)
}

async fn token(server: &Harness, spec: Value) -> (u16, Value) {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let got = server.post(&As::Admin, &format!("{ACCOUNTS}/sa/token"), body).await;
    (got.code, got.json())
}

async fn review(server: &Harness, token: &str, audiences: Value) -> Value {
    let spec = json!({"token": token, "audiences": audiences});
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
    server.post(&As::Admin, "/apis/authentication.k8s.io/v1/tokenreviews", body).await.json()["status"].take()
}

#[tokio::test]
async fn a_token_lives_as_long_as_its_account() {
    let (server, _) = with_account().await;
    let (code, request) = token(&server, json!({})).await;
    assert_eq!(code, 201, "{request}");
    let token = request["status"]["token"].as_str().unwrap().to_owned();
    let status = review(&server, &token, json!([])).await;
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:sa", "{status}");
    assert!(status["user"]["groups"].as_array().unwrap().contains(&json!("system:serviceaccounts:default")));
    let who = As::Token(token.clone());
    let got = server.get(&who, "/api/v1/namespaces/default/pods").await;
    assert_eq!(got.code, 403);
    assert!(got.message().contains("User \"system:serviceaccount:default:sa\" cannot list"), "{}", got.message());
    assert_eq!(server.get(&who, "/openid/v1/jwks").await.code, 200);
    let discovery = server.get(&who, "/.well-known/openid-configuration").await.json();
    assert_eq!(discovery["issuer"], "https://kubernetes.default.svc.cluster.local");
    server.delete(&format!("{ACCOUNTS}/sa")).await;
    assert_eq!(server.get(&who, "/api").await.code, 401);
    assert_eq!(review(&server, &token, json!([])).await["authenticated"], Value::Null);
}

#[tokio::test]
async fn audiences_and_bounds_are_checked() {
    let (server, account) = with_account().await;
    let (_, request) = token(&server, json!({"audiences": ["vault"]})).await;
    let for_vault = request["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&As::Token(for_vault.clone()), "/api").await.code, 401);
    assert_eq!(review(&server, &for_vault, json!(["vault", "x"])).await["audiences"], json!(["vault"]));
    let (code, refused) = token(&server, json!({"expirationSeconds": 10})).await;
    assert_eq!(code, 422);
    assert!(refused["message"].as_str().unwrap().contains("may not specify a duration less than 10 minutes"));
    let bound = json!({"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "s"}});
    assert_eq!(token(&server, bound.clone()).await.0, 404);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    server.post(&As::Admin, "/api/v1/namespaces/default/secrets", secret).await;
    let (code, request) = token(&server, bound).await;
    assert_eq!(code, 201, "{request}");
    let who = As::Token(request["status"]["token"].as_str().unwrap().to_owned());
    assert_eq!(server.get(&who, "/api").await.code, 200);
    server.delete("/api/v1/namespaces/default/secrets/s").await;
    assert_eq!(server.get(&who, "/api").await.code, 401);
    assert!(account["metadata"]["uid"].is_string());
}
