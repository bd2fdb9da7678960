//! ReplicaSets in a small world.

#![allow(clippy::unwrap_used)]

mod world;

use control::plan::Act;
use controllers::replicaset::ReplicaSets;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use machinery::status::Status;
use serde_json::json;
use world::{Stop, World, nodes, still};

fn set(world: &mut World, replicas: i32) {
    world.create::<ReplicaSet>(json!({
        "metadata": { "name": "frontend", "namespace": "d" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "x" } },
            "template": { "metadata": { "labels": { "app": "x" } }, "spec": { "containers": [{ "name": "c" }] } },
        },
    }));
}

fn status(world: &World) -> k8s_openapi::api::apps::v1::ReplicaSetStatus {
    world.get::<ReplicaSet>("d", "frontend").unwrap().status.clone().unwrap()
}

#[test]
fn it_makes_as_many_pods_as_wished() {
    let mut world = World::default();
    set(&mut world, 3);
    let mut end = world.holds(&[&ReplicaSets], nodes);
    assert_eq!(end.all::<Pod>().len(), 3);
    assert_eq!(status(&end).available_replicas, Some(3));
    assert_eq!(status(&end).observed_generation, Some(1));
    assert!(end.events[0].starts_with("Normal SuccessfulCreate Created pod: frontend-"), "{:?}", end.events);
    end.patch::<ReplicaSet>("d", "frontend", json!({ "spec": { "replicas": 1 } }));
    let end = end.holds(&[&ReplicaSets], nodes);
    assert_eq!(end.all::<Pod>().len(), 1);
}

#[test]
fn a_pod_that_is_not_ready_goes_first() {
    let mut world = World::default();
    set(&mut world, 2);
    world.settle(&[&ReplicaSets], nodes, Stop::Never);
    let name = world.all::<Pod>()[0].metadata.name.clone().unwrap();
    world.patch::<Pod>("d", &name, json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } }));
    world.patch::<ReplicaSet>("d", "frontend", json!({ "spec": { "replicas": 1 } }));
    let end = world.holds(&[&ReplicaSets], nodes);
    assert!(end.get::<Pod>("d", &name).is_none());
}

#[test]
fn orphans_are_adopted_and_strays_let_go() {
    let mut world = World::default();
    set(&mut world, 2);
    world.create::<Pod>(json!({ "metadata": { "name": "orphan", "namespace": "d", "labels": { "app": "x" } } }));
    let mut end = world.holds(&[&ReplicaSets], still);
    assert_eq!(end.all::<Pod>().len(), 2);
    let owners = |world: &World| world.get::<Pod>("d", "orphan").unwrap().metadata.owner_references.clone();
    assert_eq!(owners(&end).unwrap()[0].name, "frontend");
    end.patch::<Pod>("d", "orphan", json!({ "metadata": { "labels": { "app": "y" } } }));
    let end = end.holds(&[&ReplicaSets], still);
    assert!(owners(&end).is_none());
    assert_eq!(end.all::<Pod>().len(), 3, "the one let go is replaced");
}

#[test]
fn a_set_on_its_way_out_adopts_and_makes_nothing() {
    let mut world = World::default();
    set(&mut world, 2);
    world.patch::<ReplicaSet>(
        "d",
        "frontend",
        json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"] } }),
    );
    world.create::<Pod>(json!({ "metadata": { "name": "orphan", "namespace": "d", "labels": { "app": "x" } } }));
    let end = world.holds(&[&ReplicaSets], still);
    assert!(end.get::<Pod>("d", "orphan").unwrap().metadata.owner_references.is_none());
    assert_eq!(end.all::<Pod>().len(), 1);
}

#[test]
fn a_refused_pod_is_a_condition_until_one_is_accepted() {
    let mut world = World::default();
    set(&mut world, 1);
    world.refuse = |write| {
        let refused = matches!(&write.act, Act::Create { resource, .. } if resource.kind == "Pod");
        refused.then(|| Status::forbidden("", "pods", "", "exceeded quota"))
    };
    let key = machinery::key::Key::new("d", "frontend");
    world.turn(&ReplicaSets, &key, &mut Stop::Never);
    let failure = status(&world).conditions.unwrap().remove(0);
    assert_eq!((failure.type_.as_str(), failure.reason.as_deref()), ("ReplicaFailure", Some("FailedCreate")));
    assert_eq!(failure.message.as_deref(), Some("pods is forbidden: exceeded quota"));
    assert_eq!(world.events, ["Warning FailedCreate Error creating: pods is forbidden: exceeded quota"]);
    world.refuse = |_| None;
    let end = world.holds(&[&ReplicaSets], still);
    assert_eq!(status(&end).conditions, None);
}
