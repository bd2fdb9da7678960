//! Deletion of objects, selections and namespaces.

use machinery::request::{Content, Propagation, Request, Verb};
use serde_json::{Value, json};

use super::{fixture, labelled, map, maps, names};

#[tokio::test]
async fn a_delete_answers_with_a_status() {
    let f = fixture().await;
    let made = f.make(map("a", "1")).await;
    let answer = f.call(maps(Verb::Delete).name("a")).await.unwrap();
    let Content::Status(status) = answer.content else { panic!("{answer:?}") };
    assert_eq!(status.status, "Success");
    let details = status.details.unwrap();
    assert_eq!((details.name.as_str(), details.kind.as_str()), ("a", "configmaps"));
    assert_eq!(details.uid, made["metadata"]["uid"].as_str().unwrap());
    assert_eq!(f.refused(maps(Verb::Delete).name("a")).await.code, 404);
}

#[tokio::test]
async fn finalizers_hold_the_object_until_they_are_gone() {
    let f = fixture().await;
    let mut tree = map("a", "1");
    tree["metadata"]["finalizers"] = json!(["x.io/y"]);
    f.make(tree).await;
    let marked = f.tree(maps(Verb::Delete).name("a")).await;
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let again = f.tree(maps(Verb::Delete).name("a")).await;
    assert_eq!(again["metadata"]["resourceVersion"], marked["metadata"]["resourceVersion"]);
    let more = f.patch("a", json!({"metadata": {"finalizers": ["x.io/y", "x.io/z"]}})).await.unwrap_err();
    assert!(more.message.contains("no new finalizers can be added if the object is being deleted"), "{more}");
    let status = f.refused(maps(Verb::Create).body(map("a", "2"))).await;
    assert_eq!(status.message, "object is being deleted: configmaps \"a\" already exists");
    f.patch("a", json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(f.refused(maps(Verb::Get).name("a")).await.code, 404);
}

#[tokio::test]
async fn the_policy_and_the_preconditions_are_kept() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let mut wrong = maps(Verb::Delete).name("a");
    wrong.options.precondition_uid = Some("other".into());
    assert_eq!(f.refused(wrong).await.code, 409);
    let mut foreground = maps(Verb::Delete).name("a");
    foreground.options.propagation = Some(Propagation::Foreground);
    let marked = f.tree(foreground).await;
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
}

#[tokio::test]
async fn a_selection_is_deleted_whole() {
    let f = fixture().await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        f.make(labelled(name, label)).await;
    }
    let mut request = maps(Verb::DeleteCollection);
    request.options.label_selector = "app=x".into();
    let gone = f.list(request).await;
    assert_eq!(names(&gone), ["a", "c"]);
    assert_eq!(names(&f.list(maps(Verb::List)).await), ["b"]);
}

fn namespaces(verb: Verb) -> Request {
    Request::new(verb, "", "v1", "namespaces")
}

fn namespace(name: &str) -> Value {
    json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}})
}

#[tokio::test]
async fn a_namespace_ends_when_it_is_finalized() {
    let f = fixture().await;
    let made = f.tree(namespaces(Verb::Create).body(namespace("n"))).await;
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "n");
    let marked = f.tree(namespaces(Verb::Delete).name("n")).await;
    assert_eq!(marked["status"]["phase"], "Terminating");
    let status = f.refused(maps(Verb::Create).namespace("n").body(map("a", "1"))).await;
    let expected =
        "configmaps \"a\" is forbidden: unable to create new content in namespace n because it is being terminated";
    assert_eq!((status.code, status.message.as_str()), (403, expected));
    let mut last = marked.clone();
    last["spec"] = json!({});
    f.tree(namespaces(Verb::Update).name("n").subresource("finalize").body(last)).await;
    assert_eq!(f.refused(namespaces(Verb::Get).name("n")).await.code, 404);
    let status = f.refused(namespaces(Verb::Delete).name("default")).await;
    assert_eq!(status.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}
