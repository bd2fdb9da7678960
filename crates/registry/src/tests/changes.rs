//! Patches, status, scale.

use machinery::request::{Body, Content, PatchKind, Request, Verb};
use serde_json::{Value, json};

use super::{Fixture, fixture, map, maps};

fn deployments(verb: Verb) -> Request {
    Request::new(verb, "apps", "v1", "deployments").namespace("default")
}

async fn deployment(f: &Fixture) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": "d"}},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
    });
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "d"}}, "template": template});
    let tree = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"}, "spec": spec});
    f.tree(deployments(Verb::Create).body(tree)).await
}

#[tokio::test]
async fn merge_and_json_patches_apply() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    f.patch("a", json!({"data": {"k": null, "l": "2"}})).await.unwrap();
    let tree = f.tree(maps(Verb::Get).name("a")).await;
    assert_eq!(tree["data"], json!({"l": "2"}));
    let ops = json!([{"op": "replace", "path": "/data/l", "value": "3"}]);
    let patched = f.tree(maps(Verb::Patch(PatchKind::Json)).name("a").body(ops)).await;
    assert_eq!(patched["data"]["l"], "3");
}

#[tokio::test]
async fn bad_patches_are_refused() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let mut broken = maps(Verb::Patch(PatchKind::Merge)).name("a");
    broken.body = Body::Json("{".into());
    assert_eq!(f.refused(broken).await.code, 400);
    let missing = json!([{"op": "replace", "path": "/data/none/x", "value": 1}]);
    assert_eq!(f.refused(maps(Verb::Patch(PatchKind::Json)).name("a").body(missing)).await.code, 422);
    let wrong = f.patch("a", json!({"data": {"k": 1}})).await.unwrap_err();
    assert_eq!(wrong.code, 422);
    assert!(wrong.message.starts_with(" \"\" is invalid: patch: Invalid value: "), "{wrong}");
    let stale = f.patch("a", json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "9"}})).await.unwrap_err();
    assert_eq!(stale.code, 409);
    let renamed = f.patch("a", json!({"metadata": {"name": "b"}})).await.unwrap_err();
    assert_eq!(renamed.message, "the name of the object (b) does not match the name on the URL (a)");
}

#[tokio::test]
async fn a_generation_counts_spec_changes_only() {
    let f = fixture().await;
    let made = deployment(&f).await;
    assert_eq!(made["metadata"]["generation"], 1);
    let patch = |body: Value| deployments(Verb::Patch(PatchKind::Strategic)).name("d").body(body);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}}});
    let changed = f.tree(patch(image)).await;
    assert_eq!(changed["metadata"]["generation"], 2);
    let labelled = f.tree(patch(json!({"metadata": {"labels": {"x": "y"}}}))).await;
    assert_eq!(labelled["metadata"]["generation"], 2);
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let f = fixture().await;
    let made = deployment(&f).await;
    let mut both = made.clone();
    both["spec"]["replicas"] = 9.into();
    both["status"] = json!({"replicas": 1, "observedGeneration": 1});
    let after = f.tree(deployments(Verb::Update).name("d").subresource("status").body(both)).await;
    assert_eq!((&after["spec"]["replicas"], &after["status"]["replicas"]), (&json!(2), &json!(1)));
    assert_eq!(after["metadata"]["generation"], 1);
    let mut both = after.clone();
    both["spec"]["replicas"] = 5.into();
    both["status"]["replicas"] = 7.into();
    let after = f.tree(deployments(Verb::Update).name("d").body(both)).await;
    assert_eq!((&after["spec"]["replicas"], &after["status"]["replicas"]), (&json!(5), &json!(1)));
    assert_eq!(after["metadata"]["generation"], 2);
}

#[tokio::test]
async fn a_scale_shows_and_changes_replicas() {
    let f = fixture().await;
    deployment(&f).await;
    let scale = |verb: Verb| deployments(verb).name("d").subresource("scale");
    let read = |content: Content| match content {
        Content::Tree(tree) => (*tree).clone(),
        other => panic!("{other:?}"),
    };
    let shown = read(f.call(scale(Verb::Get)).await.unwrap().content);
    assert_eq!((&shown["spec"]["replicas"], &shown["status"]["selector"]), (&json!(2), &json!("app=d")));
    let patch = scale(Verb::Patch(PatchKind::Merge)).body(json!({"spec": {"replicas": 4}}));
    let after = read(f.call(patch).await.unwrap().content);
    assert_eq!(after["spec"]["replicas"], 4);
    assert_eq!(f.tree(deployments(Verb::Get).name("d")).await["spec"]["replicas"], 4);
    let stale = f.refused(scale(Verb::Update).body(shown)).await;
    assert_eq!(stale.code, 409);
    let negative = scale(Verb::Patch(PatchKind::Merge)).body(json!({"spec": {"replicas": -1}}));
    assert_eq!(f.refused(negative).await.code, 422);
}

#[tokio::test]
async fn managers_are_written_down() {
    let f = fixture().await;
    let mut request = maps(Verb::Create).body(map("a", "1"));
    request.options.field_manager = "one".into();
    let made = f.tree(request).await;
    let fields = &made["metadata"]["managedFields"];
    assert_eq!((&fields[0]["manager"], &fields[0]["operation"]), (&json!("one"), &json!("Update")));
    assert_eq!(fields[0]["fieldsV1"]["f:data"], json!({".": {}, "f:k": {}}));
    let mut request = maps(Verb::Patch(PatchKind::Merge)).name("a").body(json!({"data": {"l": "1"}}));
    request.options.field_manager = "two".into();
    let patched = f.tree(request).await;
    assert_eq!(patched["metadata"]["managedFields"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_applied_is_owned() {
    let f = fixture().await;
    let apply = |manager: &str, data: Value, force: bool| {
        let tree = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": data});
        let mut request = maps(Verb::Patch(PatchKind::Apply)).name("a").body(tree);
        request.options.field_manager = manager.into();
        request.options.force = force;
        request
    };
    let made = f.call(apply("one", json!({"k": "1", "l": "1"}), false)).await.unwrap();
    assert_eq!(made.code, 201);
    let first = f.registry.revision();
    assert_eq!(f.call(apply("one", json!({"k": "1", "l": "1"}), false)).await.unwrap().code, 200);
    assert_eq!(f.registry.revision(), first);
    let status = f.refused(apply("two", json!({"k": "2"}), false)).await;
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    f.call(apply("two", json!({"k": "2"}), true)).await.unwrap();
    let left = f.tree(apply("one", json!({}), false)).await;
    assert_eq!(left["data"], json!({"k": "2"}));
    let mut nobody = apply("", json!({}), false);
    nobody.options.field_manager = String::new();
    let expected =
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    assert_eq!(f.refused(nobody).await.message, expected);
}
