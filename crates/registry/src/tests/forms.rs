//! Tables and metadata alone.

use machinery::object::Object;
use machinery::request::{Content, Verb};
use serde_json::json;

use super::{fixture, map, maps};
use crate::present::{self, Include};

#[tokio::test]
async fn a_list_is_shown_as_a_table() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let kind = api::by_plural("", "v1", "configmaps").unwrap();
    let content = f.call(maps(Verb::List)).await.unwrap().content;
    let table = present::table(kind, &content, Include::Metadata, f.registry.world().now()).unwrap();
    assert_eq!((table["kind"].as_str(), table["apiVersion"].as_str()), (Some("Table"), Some("meta.k8s.io/v1")));
    let columns: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(columns, ["Name", "Data", "Age"]);
    let row = &table["rows"][0];
    assert_eq!((&row["cells"][0], &row["object"]["kind"]), (&"a".into(), &"PartialObjectMetadata".into()));
    let none = present::table(kind, &content, Include::None, f.registry.world().now()).unwrap();
    assert!(none["rows"][0]["object"].is_null());
    assert!(
        present::table(kind, &Content::Status(Default::default()), Include::None, f.registry.world().now()).is_none()
    );
    assert_eq!(Include::parse("x").unwrap_err().message, "unrecognized includeObject value: \"x\"");
}

#[tokio::test]
async fn rows_of_finished_pods_say_so() {
    let f = fixture().await;
    let kind = api::by_plural("", "v1", "pods").unwrap();
    let row = |phase: &str| {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": []}, "status": {"phase": phase}});
        let object = Object::from_stored(pod.to_string().into(), 1).unwrap();
        let content = Content::Object(object);
        let table = present::table(kind, &content, Include::None, f.registry.world().now()).unwrap();
        table["rows"][0]["conditions"].clone()
    };
    assert!(row("Running").is_null());
    let message = "The pod has completed successfully.";
    let expected = json!([{"type": "Completed", "status": "True", "reason": "Succeeded", "message": message}]);
    assert_eq!(row("Succeeded"), expected);
    assert_eq!(row("Failed")[0]["message"], "The pod failed.");
}

#[tokio::test]
async fn a_list_is_shown_as_metadata() {
    let f = fixture().await;
    f.make(map("a", "1")).await;
    let content = f.call(maps(Verb::List)).await.unwrap().content;
    let partial = present::partial(&content).unwrap().unwrap();
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert_eq!(partial["items"][0]["metadata"]["name"], "a");
    assert!(partial["items"][0]["data"].is_null());
}
