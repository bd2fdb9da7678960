//! Reading: lists, tables, watches, discovery, OpenAPI.

use std::io::Read;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::harness::{As, Harness, request, with_header};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn filled(count: usize) -> Harness {
    let server = Harness::start().await;
    for i in 0..count {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{i}")},
            "data": {"k": "v".repeat(4000)}});
        assert_eq!(server.post(&As::Admin, MAPS, body).await.code, 201);
    }
    server
}

#[tokio::test]
async fn lists_come_whole_and_compressed() {
    let server = filled(40).await;
    let plain = server.get(&As::Admin, MAPS).await;
    assert_eq!(plain.headers["content-length"], plain.body.len().to_string());
    let tree = plain.json();
    assert_eq!((tree["kind"].as_str(), tree["items"].as_array().unwrap().len()), (Some("ConfigMapList"), 40));
    let asked = with_header(request("GET", MAPS, "", ""), "accept-encoding", "gzip");
    let packed = server.send(&As::Admin, asked).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut bytes).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["items"], tree["items"]);
}

#[tokio::test]
async fn other_shapes() {
    let server = filled(1).await;
    let ask = async |accept: &str| {
        let asked = with_header(request("GET", MAPS, "", ""), "accept", accept);
        server.send(&As::Admin, asked).await
    };
    let table = ask("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await.json();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["rows"][0]["cells"][0], "c0");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let old = ask("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json").await.json();
    assert_eq!((&old["kind"], &old["apiVersion"]), (&"Table".into(), &"meta.k8s.io/v1beta1".into()));
    let partial = ask("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").await.json();
    assert_eq!(partial["items"][0]["metadata"]["name"], "c0");
    assert_eq!(ask("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").await.code, 406);
    let yaml = ask("application/yaml").await;
    assert!(yaml.body.starts_with(b"apiVersion: v1\n"), "{:?}", yaml.body);
}

#[tokio::test]
async fn a_watch_sends_each_event_at_once() {
    let server = filled(1).await;
    let list = server.get(&As::Admin, MAPS).await.json();
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?watch=true&resourceVersion={revision}");
    let mut watch = server.open(&As::Admin, request("GET", &path, "", "")).await;
    assert_eq!(watch.status(), 200);
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}});
    server.post(&As::Admin, MAPS, body).await;
    let event = next_event(watch.body_mut()).await;
    assert_eq!((event["type"].as_str(), event["object"]["metadata"]["name"].as_str()), (Some("ADDED"), Some("new")));
    server.delete(&format!("{MAPS}/new")).await;
    assert_eq!(next_event(watch.body_mut()).await["type"], "DELETED");
}

async fn next_event(body: &mut hyper::body::Incoming) -> Value {
    let wait = std::time::Duration::from_secs(10);
    let frame = tokio::time::timeout(wait, body.frame()).await.unwrap().unwrap().unwrap();
    serde_json::from_slice(frame.data_ref().unwrap()).unwrap()
}

#[tokio::test]
async fn discovery_old_and_aggregated() {
    let server = Harness::start().await;
    let groups = server.get(&As::Admin, "/apis").await.json();
    assert_eq!(groups["groups"][0]["name"], "apps");
    let resources = server.get(&As::Admin, "/api/v1").await.json();
    let names: Vec<_> =
        resources["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"configmaps") && names.contains(&"pods/log"), "{names:?}");
    assert_eq!(server.get(&As::Admin, "/apis/apps/v1").await.json()["groupVersion"], "apps/v1");
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let ask = || with_header(request("GET", "/apis", "", ""), "accept", accept);
    let got = server.send(&As::Admin, ask()).await;
    assert_eq!(got.json()["kind"], "APIGroupDiscoveryList");
    let tag = got.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(server.send(&As::Admin, with_header(ask(), "if-none-match", &tag)).await.code, 304);
}

#[tokio::test]
async fn openapi_documents() {
    let server = Harness::start().await;
    let v2 = server.get(&As::Admin, "/openapi/v2").await.json();
    let pod = &v2["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(pod["x-kubernetes-patch-merge-key"], "name");
    let dangling = dangling(&v2, "#/definitions/", &v2["definitions"]);
    assert!(dangling.is_empty(), "{dangling:?}");
    let index = server.get(&As::Admin, "/openapi/v3").await.json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let v3 = server.get(&As::Admin, url).await.json();
    let patch = &v3["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation"));
    assert!(!v3.to_string().contains("\"parameters\":[]"), "clients written in Go would not give it back");
    let dangling = self::dangling(&v3, "#/components/schemas/", &v3["components"]["schemas"]);
    assert!(dangling.is_empty(), "{dangling:?}");
}

/// References that lead nowhere.
fn dangling(tree: &Value, prefix: &str, schemas: &Value) -> Vec<String> {
    let inner = |tree: &Value| dangling(tree, prefix, schemas);
    match tree {
        Value::Object(map) => {
            let mut found: Vec<_> = map.values().flat_map(inner).collect();
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(prefix)) {
                found.extend(schemas.get(name).is_none().then(|| name.to_owned()));
            }
            found.sort();
            found.dedup();
            found
        }
        Value::Array(list) => list.iter().flat_map(inner).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn component_statuses_are_deprecated_and_answered() {
    let server = Harness::start().await;
    let got = server.get(&As::Admin, "/api/v1/componentstatuses").await;
    assert_eq!(got.headers["warning"], "299 - \"v1 ComponentStatus is deprecated in v1.19+\"");
    assert_eq!(got.json()["items"].as_array().unwrap().len(), 3);
    let one = server.get(&As::Admin, "/api/v1/componentstatuses/etcd-0").await.json();
    assert_eq!(one["conditions"][0]["status"], "True");
}

#[tokio::test]
async fn checks_are_gauges_too() {
    let server = Harness::start().await;
    let got = server.get(&As::Admin, "/metrics/slis").await;
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    assert_eq!(got.code, 200);
    assert!(text.contains("kubernetes_healthcheck{name=\"etcd\",type=\"healthz\"} 1\n"), "{text}");
    assert!(text.contains("kubernetes_healthcheck{name=\"shutdown\",type=\"readyz\"} 1\n"), "{text}");
    assert_eq!(server.get(&As::Nobody, "/metrics/slis").await.code, 403);
}
