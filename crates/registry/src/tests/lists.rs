//! Lists: selectors, pages, revisions.

use machinery::request::{RevisionMatch, Verb};

use super::{fixture, fixture_with, labelled, map, maps, names};
use crate::{Config, Limits};

#[tokio::test]
async fn a_list_is_sorted_and_selected() {
    let f = fixture().await;
    for (name, label) in [("b", "x"), ("a", "y"), ("c", "x")] {
        f.make(labelled(name, label)).await;
    }
    let list = f.list(maps(Verb::List)).await;
    assert_eq!((names(&list), list.kind.as_str()), (vec!["a".into(), "b".into(), "c".into()], "ConfigMapList"));
    assert_eq!(list.revision, f.registry.revision());
    let mut request = maps(Verb::List);
    request.options.label_selector = "app in (x),app!=z".into();
    assert_eq!(names(&f.list(request).await), ["b", "c"]);
    let mut request = maps(Verb::List).namespace("");
    request.options.field_selector = "metadata.name=a".into();
    assert_eq!(names(&f.list(request).await), ["a"]);
    let mut request = maps(Verb::List);
    request.options.field_selector = "spec.x=1".into();
    let status = f.refused(request).await;
    let expected = "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    assert_eq!((status.code, status.message.as_str()), (400, expected));
    let mut request = maps(Verb::List);
    request.options.label_selector = "a b".into();
    assert_eq!(f.refused(request).await.code, 400);
}

#[tokio::test]
async fn pages_show_one_revision_while_others_write() {
    let f = fixture().await;
    for name in ["a", "b", "c", "d", "e"] {
        f.make(map(name, "1")).await;
    }
    let mut request = maps(Verb::List);
    request.options.limit = Some(2);
    let first = f.list(request.clone()).await;
    assert_eq!((names(&first), first.remaining), (vec!["a".into(), "b".into()], Some(3)));
    f.call(maps(Verb::Delete).name("d")).await.unwrap();
    f.make(map("bb", "1")).await;
    request.options.continue_token = first.continue_token;
    let second = f.list(request.clone()).await;
    assert_eq!((names(&second), second.remaining), (vec!["c".into(), "d".into()], Some(1)));
    assert_eq!(second.revision, first.revision);
    request.options.continue_token = second.continue_token;
    let last = f.list(request.clone()).await;
    assert_eq!((names(&last), last.continue_token.as_str(), last.remaining), (vec!["e".into()], "", None));
    request.options.resource_version = "5".into();
    request.options.continue_token = "x".into();
    assert_eq!(f.refused(request).await.code, 400);
}

#[tokio::test]
async fn the_past_can_be_listed_until_it_is_forgotten() {
    let limits = Limits { bytes: 4000, age_seconds: 3600 };
    let f = fixture_with(Config { history: limits, ..Config::default() }).await;
    let made = f.make(map("a", "1")).await;
    let then = made["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    f.make(map("b", "1")).await;
    f.patch("a", serde_json::json!({"data": {"k": "2"}})).await.unwrap();
    let mut page = maps(Verb::List);
    page.options.limit = Some(1);
    page.options.continue_token = f.list(page.clone()).await.continue_token;
    let mut request = maps(Verb::List);
    request.options.resource_version = then;
    request.options.resource_version_match = Some(RevisionMatch::Exact);
    let list = f.list(request.clone()).await;
    assert_eq!(list.items[0].tree()["data"]["k"], "1");
    for n in 0..20 {
        f.patch("a", serde_json::json!({"data": {"k": n.to_string()}})).await.unwrap();
    }
    let status = f.refused(request).await;
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert_eq!(status.to_tree()["metadata"], serde_json::json!({}));
    // A page that is too old says how to go on at the newest.
    let status = f.refused(page.clone()).await;
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    page.options.continue_token = status.to_tree()["metadata"]["continue"].as_str().unwrap().to_owned();
    assert_eq!(names(&f.list(page).await), ["b"]);
}

#[tokio::test]
async fn the_future_is_waited_for_and_then_refused() {
    let f = fixture().await;
    let next = f.registry.revision() + 1;
    let mut request = maps(Verb::List);
    request.options.resource_version = next.to_string();
    let (list, _) = tokio::join!(f.list(request), f.make(map("a", "1")));
    assert!(list.revision >= next);
    let mut request = maps(Verb::Get).name("a");
    request.options.resource_version = "1000000".into();
    let status = f.refused(request).await;
    let expected = format!("Timeout: Too large resource version: 1000000, current: {}", f.registry.revision());
    assert_eq!((status.code, status.message), (504, expected));
    let mut request = maps(Verb::List);
    request.options.resource_version = "x".into();
    assert_eq!(f.refused(request).await.code, 400);
}
