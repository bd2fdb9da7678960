//! Patches, status, scale.

use machinery::request::{Body, Content, FieldValidation, PatchKind, Request, Verb};
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
async fn no_patch_makes_another_kind_of_an_object() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let patched = |how, patch: Value| maps(Verb::Patch(how)).name("a").body(patch);
    for patch in [json!({"kind": "Foo"}), json!({"apiVersion": "v2"}), json!({"kind": "Secret"}), json!({"kind": 1})] {
        let status = f.refused(patched(PatchKind::Merge, patch)).await;
        assert_eq!(status.code, 422, "{status}");
    }
    let replaced = json!([{"op": "replace", "path": "/kind", "value": "Foo"}]);
    let status = f.refused(patched(PatchKind::Json, replaced)).await;
    assert!(status.message.contains("no kind \"Foo\" is registered for version \"v1\""), "{status}");
    let removed = json!([{"op": "remove", "path": "/kind"}, {"op": "add", "path": "/apiVersion", "value": null}]);
    for (how, patch) in [
        (PatchKind::Json, removed),
        (PatchKind::Merge, json!({"kind": null})),
        (PatchKind::Strategic, json!({"kind": "Foo", "apiVersion": "v2"})),
    ] {
        let after = f.tree(patched(how, patch)).await;
        assert_eq!((&after["kind"], &after["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
    }
}

#[tokio::test]
async fn patches_of_wrong_types_are_refused_in_gos_words() {
    let f = fixture().await;
    deployment(&f).await;
    let said = async |how: PatchKind, patch: Value| {
        let status = f.refused(deployments(Verb::Patch(how)).name("d").body(patch)).await;
        assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{status}");
        status.message
    };
    let expected = [
        (json!({"replicas": "x"}), r#""map[spec:map[replicas:x]]": unrecognized type: int32"#),
        (json!({"replicas": 1.5}), r#""map[spec:map[replicas:1.5]]": cannot convert float64 to int32"#),
        (json!({"paused": "true"}), r#""map[spec:map[paused:true]]": unrecognized type: bool"#),
        (json!({"template": [1]}), r#""map[spec:map[template:[1]]]": cannot restore struct from: slice"#),
        (
            json!({"strategy": {"type": 3}}),
            r#""map[spec:map[strategy:map[type:3]]]": cannot convert int64 to v1.DeploymentStrategyType"#,
        ),
        (
            json!({"selector": {"matchLabels": "a"}}),
            r#""map[spec:map[selector:map[matchLabels:a]]]": cannot restore map from string"#,
        ),
    ];
    for (spec, why) in expected {
        let message = said(PatchKind::Strategic, json!({"spec": spec})).await;
        assert_eq!(message, format!(" \"\" is invalid: patch: Invalid value: {why}"));
    }
    let message = said(PatchKind::Merge, json!({"spec": {"replicas": "x"}})).await;
    let why = "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32";
    assert!(message.ends_with(&format!(": {why}")), "{message}");
}

#[tokio::test]
async fn patches_of_a_wrong_form_are_refused() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let refused = async |how: PatchKind, patch: &'static str| {
        let mut request = maps(Verb::Patch(how)).name("a");
        request.body = Body::Json(patch.into());
        f.refused(request).await
    };
    for (how, patch, why) in [
        (PatchKind::Strategic, "{", "unexpected end of JSON input"),
        (PatchKind::Strategic, "[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (PatchKind::Merge, "{", "error decoding patch: unexpected end of JSON input"),
        (
            PatchKind::Json,
            "{}",
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            PatchKind::Json,
            r#"[{"op": 1}]"#,
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
        ),
    ] {
        let status = refused(how, patch).await;
        assert_eq!((status.code, status.message.as_str()), (400, why));
    }
}

#[tokio::test]
async fn what_a_patch_says_twice_is_told() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let patch = r#"{"data": {"k": "2", "k": "3"}, "spec": 1}"#;
    let mut request = maps(Verb::Patch(PatchKind::Merge)).name("a");
    request.body = Body::Json(patch.into());
    let answer = f.call(request.clone()).await.unwrap();
    assert_eq!(answer.warnings, [r#"duplicate field "data.k""#, r#"unknown field "spec""#]);
    request.options.field_validation = FieldValidation::Strict;
    let status = f.refused(request).await;
    let why = r#"strict decoding error: duplicate field "data.k", unknown field "spec""#;
    assert!(status.message.ends_with(why), "{status}");
    let mut operations = maps(Verb::Patch(PatchKind::Json)).name("a");
    operations.body = Body::Json(r#"[{"op": "test", "path": "/data/k", "value": "3", "more": 1}]"#.into());
    assert_eq!(f.call(operations).await.unwrap().warnings, [r#"json patch unknown field "[0].more""#]);
}

#[tokio::test]
async fn a_scale_is_applied() {
    let f = fixture().await;
    deployment(&f).await;
    let apply = |manager: &str, replicas: i64, force: bool| {
        let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": replicas}});
        let mut request = deployments(Verb::Patch(PatchKind::Apply)).name("d").subresource("scale").body(scale);
        request.options.field_manager = manager.into();
        request.options.force = force;
        request
    };
    let status = f.refused(apply("scaler", 5, false)).await;
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let Content::Tree(scale) = f.call(apply("scaler", 5, true)).await.unwrap().content else { panic!("no tree") };
    assert_eq!(scale["spec"]["replicas"], 5);
    let after = f.tree(deployments(Verb::Get).name("d")).await;
    assert_eq!(after["spec"]["replicas"], 5);
    let entries = after["metadata"]["managedFields"].as_array().unwrap();
    let own = entries.iter().find(|entry| entry["manager"] == "scaler").unwrap();
    assert_eq!((&own["operation"], &own["subresource"]), (&json!("Apply"), &json!("scale")));
    assert_eq!(own["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
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
