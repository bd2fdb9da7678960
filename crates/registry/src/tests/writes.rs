//! Creates and updates, and what is refused.

use machinery::request::{Body, FieldValidation, Verb};
use serde_json::json;

use super::{fixture, map, maps};

#[tokio::test]
async fn a_created_object_has_all_system_fields() {
    let f = fixture().await;
    let made = f.make(map("a", "1")).await;
    let meta = &made["metadata"];
    assert_eq!(meta["namespace"], "default");
    assert_eq!(meta["uid"].as_str().unwrap().len(), 36);
    assert!(meta["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_ne!(meta["resourceVersion"], "0");
    assert_eq!(f.tree(maps(Verb::Get).name("a")).await, made);
}

#[tokio::test]
async fn names_are_generated_and_taken_names_refused() {
    let f = fixture().await;
    let mut tree = map("", "1");
    tree["metadata"] = json!({"generateName": "x-"});
    let made = f.make(tree.clone()).await;
    assert!(made["metadata"]["name"].as_str().unwrap().starts_with("x-"));
    f.make(map("a", "1")).await;
    let status = f.refused(maps(Verb::Create).body(map("a", "2"))).await;
    assert_eq!((status.code, status.message.as_str()), (409, "configmaps \"a\" already exists"));
    let status = f.refused(maps(Verb::Create).body(json!({"metadata": {}}))).await;
    assert!(status.message.contains("metadata.name: Required value: name or generateName is required"), "{status}");
}

#[tokio::test]
async fn bad_bodies_are_refused_in_upstreams_words() {
    let f = fixture().await;
    let message = async |body: Body| {
        let mut request = maps(Verb::Create);
        request.body = body;
        f.refused(request).await.message
    };
    assert!(message(Body::Json("{".into())).await.contains("must be of type ConfigMap"));
    let other = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}});
    let expected = "Pod in version \"v1\" cannot be handled as a ConfigMap: \
                    converting (v1.Pod) to (core.ConfigMap): unknown conversion";
    assert_eq!(message(Body::Tree(other)).await, expected);
    let unknown = json!({"kind": "Poddy", "apiVersion": "v1", "metadata": {"name": "a"}});
    let expected = "Poddy in version \"v1\" cannot be handled as a ConfigMap: no kind \"Poddy\" is registered for \
                    version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"";
    assert_eq!(message(Body::Tree(unknown)).await, expected);
    let mut large = map("a", "1");
    large["data"]["b"] = "x".repeat(1024 * 1024).into();
    let expected = "ConfigMap \"a\" is invalid: []: Too long: may not be more than 1048576 bytes";
    assert_eq!(message(Body::Tree(large)).await, expected);
    let version = json!({"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "a"}});
    let expected = "the API version in the data (v2) does not match the expected API version (v1)";
    assert_eq!(message(Body::Tree(version)).await, expected);
    let mut elsewhere = map("a", "1");
    elsewhere["metadata"]["namespace"] = "other".into();
    let expected = "the namespace of the provided object does not match the namespace sent on the request";
    assert_eq!(message(Body::Tree(elsewhere)).await, expected);
    let wrong = json!({"metadata": {"name": "A_B"}});
    assert!(message(Body::Tree(wrong)).await.starts_with("ConfigMap \"A_B\" is invalid: metadata.name: Invalid value"));
    let mut versioned = map("a", "1");
    versioned["metadata"]["resourceVersion"] = "5".into();
    assert_eq!(message(Body::Tree(versioned)).await, "resourceVersion should not be set on objects to be created");
}

#[tokio::test]
async fn unknown_fields_warn_or_are_refused() {
    let f = fixture().await;
    let mut tree = map("a", "1");
    tree["bogus"] = 1.into();
    let answer = f.call(maps(Verb::Create).body(tree.clone())).await.unwrap();
    assert_eq!(answer.warnings, ["unknown field \"bogus\""]);
    let mut strict = maps(Verb::Create).body(tree);
    strict.options.field_validation = FieldValidation::Strict;
    let status = f.refused(strict).await;
    let expected =
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"bogus\"";
    assert_eq!((status.code, status.message.as_str()), (400, expected));
}

#[tokio::test]
async fn missing_namespaces_and_objects_are_said_so() {
    let f = fixture().await;
    let status = f.refused(maps(Verb::Create).namespace("nowhere").body(map("a", "1"))).await;
    assert_eq!((status.code, status.message.as_str()), (404, "namespaces \"nowhere\" not found"));
    let status = f.refused(maps(Verb::Get).name("none")).await;
    assert_eq!((status.code, status.message.as_str()), (404, "configmaps \"none\" not found"));
    assert_eq!(f.refused(maps(Verb::Update).name("none").body(map("none", "1"))).await.code, 404);
    assert_eq!(f.refused(maps(Verb::Delete).name("none")).await.code, 404);
    let status = f.refused(machinery::request::Request::new(Verb::List, "", "v1", "nonsense")).await;
    assert_eq!(status.message, "the server could not find the requested resource");
}

#[tokio::test]
async fn an_update_keeps_what_the_server_owns() {
    let f = fixture().await;
    let made = f.make(map("a", "1")).await;
    let mut tree = map("a", "2");
    tree["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z".into();
    let changed = f.tree(maps(Verb::Update).name("a").body(tree)).await;
    assert_eq!(changed["data"]["k"], "2");
    assert_eq!(changed["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(changed["metadata"]["creationTimestamp"], made["metadata"]["creationTimestamp"]);
    assert_ne!(changed["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let f = fixture().await;
    let made = f.make(map("a", "1")).await;
    let again = f.tree(maps(Verb::Update).name("a").body(map("a", "1"))).await;
    assert_eq!(again["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn stale_versions_and_other_uids_conflict() {
    let f = fixture().await;
    let made = f.make(map("a", "1")).await;
    f.tree(maps(Verb::Update).name("a").body(map("a", "2"))).await;
    let status = f.refused(maps(Verb::Update).name("a").body(made)).await;
    let expected = "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your \
                    changes to the latest version and try again";
    assert_eq!((status.code, status.message.as_str()), (409, expected));
    let mut future = map("a", "3");
    future["metadata"]["resourceVersion"] = "1000000".into();
    assert_eq!(f.refused(maps(Verb::Update).name("a").body(future)).await.code, 409);
    let mut other = map("a", "3");
    other["metadata"]["uid"] = "u".into();
    let status = f.refused(maps(Verb::Update).name("a").body(other)).await;
    assert!(status.message.contains("Precondition failed: UID in precondition: u, UID in object meta: "), "{status}");
    let status = f.refused(maps(Verb::Update).name("b").body(map("a", "3"))).await;
    assert_eq!(status.message, "the name of the object (a) does not match the name on the URL (b)");
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_behind() {
    let f = fixture().await;
    let before = f.registry.revision();
    let mut request = maps(Verb::Create).body(map("a", "1"));
    request.options.dry_run = true;
    let tree = f.tree(request.clone()).await;
    assert!(tree["metadata"]["uid"].is_string());
    assert_eq!(f.refused(maps(Verb::Get).name("a")).await.code, 404);
    assert_eq!(f.registry.revision(), before);
    f.make(map("a", "1")).await;
    assert_eq!(f.refused(request).await.reason, "AlreadyExists");
    let mut update = maps(Verb::Update).name("a").body(map("a", "2"));
    update.options.dry_run = true;
    assert_eq!(f.tree(update).await["data"]["k"], "2");
    assert_eq!(f.tree(maps(Verb::Get).name("a")).await["data"]["k"], "1");
}

#[tokio::test]
async fn text_that_is_no_unicode_is_replaced_as_go_does() {
    let f = fixture().await;
    let body = b"{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"\xff\",\"l\":\"\\ud800\"}}";
    let mut request = maps(Verb::Create);
    request.body = Body::Json(body.as_slice().into());
    let made = f.tree(request).await;
    assert_eq!(made["data"], json!({"k": "\u{fffd}", "l": "\u{fffd}"}));
}
