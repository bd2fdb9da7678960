//! Refused input gets 4xx answers in upstream's words.

use serde_json::json;

use crate::harness::{As, Harness, request, with_header};

#[tokio::test]
async fn wrong_credentials_are_401_and_none_are_anonymous() {
    let server = Harness::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let got = server.get(&As::Nobody, pods).await;
    assert_eq!(got.code, 403);
    assert_eq!(
        got.message(),
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    for who in [As::Stranger, As::Token("x.y.z".into())] {
        let got = server.get(&who, pods).await;
        assert_eq!((got.code, got.message().as_str()), (401, "Unauthorized"));
    }
    for path in ["/version", "/healthz", "/livez?verbose", "/readyz"] {
        assert_eq!(server.get(&As::Nobody, path).await.code, 200, "{path}");
    }
    assert_eq!(server.get(&As::Nobody, "/apis").await.code, 403);
    assert_eq!(server.get(&As::Admin, pods).await.code, 200);
}

#[tokio::test]
async fn bodies_are_checked() {
    let server = Harness::start().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let send = async |media: &str, body: Vec<u8>| server.send(&As::Admin, request("POST", path, media, body)).await;
    assert_eq!(send("application/json", b"{\"kind\": ".to_vec()).await.code, 400);
    let got = send("application/yaml", b"a: [".to_vec()).await;
    let (told, why) = (got.message(), "error converting YAML to JSON: yaml: ");
    assert_eq!(got.code, 400);
    assert!(told.starts_with(&format!("the object provided is unrecognized (must be of type ConfigMap): {why}")));
    assert!(told.ends_with(" (613a205b)"), "{told}");
    assert_eq!(send("text/plain", b"{}".to_vec()).await.code, 415);
    assert_eq!(send("application/vnd.kubernetes.protobuf", b"nonsense".to_vec()).await.code, 400);
    // Far over the limit too, the sender reads an answer, not a reset.
    let got = send("application/json", vec![b' '; 12 * 1024 * 1024]).await;
    assert_eq!(got.code, 413);
    let got = send("application/json", vec![b' '; 3 * 1024 * 1024 + 1]).await;
    assert_eq!(got.code, 413);
    assert_eq!(got.message(), "Request entity too large: limit is 3145728");
    let yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: made\ndata:\n  a: b\n".to_vec();
    assert_eq!(send("application/yaml", yaml).await.code, 201);
    let got = server.get(&As::Admin, &format!("{path}/made")).await;
    assert_eq!(got.json()["data"]["a"], "b");
}

#[tokio::test]
async fn paths_queries_and_media_types_are_checked() {
    let server = Harness::start().await;
    let cases = [
        ("GET", "/api/v1/nosuchthings", 404),
        ("GET", "/apis/nosuch.io/v1/things", 404),
        ("GET", "/nosuchpath", 404),
        ("GET", "/api/v1/pods?limit=x", 400),
        ("GET", "/api/v1/pods?timeout=x", 400),
        ("GET", "/api/v1/pods?resourceVersionMatch=Odd&resourceVersion=1", 422),
        ("POST", "/version", 405),
        ("POST", "/api/v1/namespaces/default/configmaps/x", 405),
        ("PUT", "/api/v1/namespaces/default/configmaps", 405),
        ("DELETE", "/api/v1/namespaces/default/configmaps/none", 404),
        ("DELETE", "/api/v1/namespaces/default/configmaps/none?propagationPolicy=Odd", 422),
    ];
    for (method, path, code) in cases {
        let got = server.send(&As::Admin, request(method, path, "", "")).await;
        assert_eq!(got.code, code, "{method} {path}: {:?}", got.body);
    }
    // An unknown group is an unknown path; an unknown kind of a served group is an unknown resource.
    for (method, path) in [("GET", "/apis/nosuch.io/v1/things"), ("PUT", "/apis/x.io/v1/things"), ("GET", "/no")] {
        let got = server.send(&As::Admin, request(method, path, "", "")).await;
        assert_eq!((got.code, got.body.as_ref()), (404, b"404 page not found\n".as_slice()), "{method} {path}");
    }
    for path in ["/api/v1/nosuchthings", "/apis/apps/v9/deployments"] {
        let got = server.get(&As::Admin, path).await;
        assert_eq!(got.message(), "the server could not find the requested resource");
    }
    assert_eq!(server.get(&As::Nobody, "/apis/nosuch.io/v1/things").await.code, 403);
    let html = with_header(request("GET", "/api/v1/pods", "", ""), "accept", "text/html");
    assert_eq!(server.send(&As::Admin, html).await.code, 406);
    let patch = request("PATCH", "/api/v1/namespaces/default/configmaps/x", "application/json", "{}");
    let got = server.send(&As::Admin, patch).await;
    assert_eq!(got.code, 415);
    assert!(got.message().contains("application/strategic-merge-patch+json"));
}

#[tokio::test]
async fn every_answer_has_an_audit_id_and_warnings_are_headers() {
    let server = Harness::start().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "w"}, "nonsense": 1});
    let asked = with_header(request("POST", path, "application/json", body.to_string()), "audit-id", "mine");
    let got = server.send(&As::Admin, asked).await;
    assert_eq!(got.code, 201);
    assert_eq!(got.headers["audit-id"], "mine");
    assert_eq!(got.headers["warning"], "299 - \"unknown field \\\"nonsense\\\"\"");
    assert!(!server.get(&As::Nobody, "/api").await.headers["audit-id"].is_empty());
}

#[tokio::test]
async fn a_refused_body_leaves_the_connection_usable() {
    use http_body_util::BodyExt;
    let server = Harness::start().await;
    let stream = hyper_util::rt::TokioIo::new(server.connect(&As::Admin).await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let path = "/api/v1/namespaces/default/configmaps";
    for (media, size) in [("text/plain", 10), ("text/plain", 200_000), ("application/json", 3)] {
        let asked = with_header(request("POST", path, media, vec![b'x'; size]), "host", "localhost");
        sender.ready().await.unwrap();
        let response = sender.send_request(asked).await.unwrap();
        assert_eq!(response.status(), if media == "text/plain" { 415 } else { 400 });
        response.into_body().collect().await.unwrap();
    }
}
