//! What was read and is written back changes nothing, and neither does what was applied before.

use machinery::request::{FieldValidation, PatchKind, Request, Verb};
use serde_json::{Value, json};

use super::{Fixture, fixture};

fn template() -> Value {
    let probe = json!({"httpGet": {"path": "/", "port": 80}});
    let containers =
        json!([{"name": "c", "image": "nginx:1", "ports": [{"containerPort": 80}], "readinessProbe": probe}]);
    json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": containers}})
}

fn samples() -> Vec<Value> {
    let selector = json!({"matchLabels": {"app": "a"}});
    let mut job = template();
    job["metadata"] = json!({});
    job["spec"]["restartPolicy"] = "Never".into();
    let of = |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
    vec![
        of("v1", "Pod", template()["spec"].clone()),
        of("v1", "Service", json!({"type": "NodePort", "selector": {"app": "a"}, "ports": [{"port": 80}]})),
        of("apps/v1", "Deployment", json!({"selector": selector, "template": template()})),
        of("apps/v1", "StatefulSet", json!({"serviceName": "a", "selector": selector, "template": template()})),
        of("apps/v1", "DaemonSet", json!({"selector": selector, "template": template()})),
        of("batch/v1", "Job", json!({"template": job.clone()})),
        of("batch/v1", "CronJob", json!({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": job}}})),
    ]
}

async fn account(f: &Fixture) {
    let request = Request::new(Verb::Create, "", "v1", "serviceaccounts").namespace("default");
    f.call(request.body(json!({"metadata": {"name": "default"}}))).await.unwrap();
}

#[tokio::test]
async fn what_is_written_back_changes_nothing() {
    let f = fixture().await;
    account(&f).await;
    for sample in samples() {
        let version = machinery::names::GroupVersion::parse(sample["apiVersion"].as_str().unwrap()).unwrap();
        let kind = api::by_kind(&version.group, &version.version, sample["kind"].as_str().unwrap()).unwrap();
        let request = |verb: Verb, body: Value| {
            let mut request = Request::new(verb, kind.group, kind.version, kind.plural).namespace("default").body(body);
            request.options.field_validation = FieldValidation::Strict;
            request
        };
        let made = f.tree(request(Verb::Create, sample.clone())).await;
        let put = f.tree(request(Verb::Update, made.clone()).name("a")).await;
        assert_eq!(put, made);
        let patched = f.tree(request(Verb::Patch(PatchKind::Strategic), sample.clone()).name("a")).await;
        assert_eq!(patched, made);
    }
}
