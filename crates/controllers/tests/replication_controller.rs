//! ReplicationControllers in a small world: what they do otherwise than ReplicaSets, and the laws.

#![allow(clippy::unwrap_used)]

mod world;

use control::plan::Act;
use controllers::replicaset::ReplicaSets;
use controllers::replication_controller::ReplicationControllers;
use k8s_openapi::api::core::v1::{Pod, ReplicationController, ReplicationControllerStatus};
use machinery::status::Status;
use serde_json::json;
use world::{Stop, World, nodes, still};

fn controller(world: &mut World, replicas: i32) {
    world.create::<ReplicationController>(json!({
        "metadata": { "name": "frontend", "namespace": "d" },
        "spec": {
            "replicas": replicas,
            "selector": { "app": "x" },
            "template": { "metadata": { "labels": { "app": "x" } }, "spec": { "containers": [{ "name": "c" }] } },
        },
    }));
}

fn status(world: &World) -> ReplicationControllerStatus {
    world.get::<ReplicationController>("d", "frontend").unwrap().status.clone().unwrap()
}

#[test]
fn it_makes_as_many_pods_as_wished() {
    let mut world = World::default();
    controller(&mut world, 3);
    let mut end = world.holds(&[&ReplicationControllers], nodes);
    let pods = end.all::<Pod>();
    let owner = &pods[0].metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.api_version.as_str(), owner.kind.as_str(), pods.len()), ("v1", "ReplicationController", 3));
    let counted = status(&end);
    assert_eq!((counted.replicas, counted.fully_labeled_replicas), (3, Some(3)));
    assert_eq!(
        (counted.ready_replicas, counted.available_replicas, counted.observed_generation),
        (Some(3), Some(3), Some(1))
    );
    assert!(end.events[0].starts_with("Normal SuccessfulCreate Created pod: frontend-"), "{:?}", end.events);
    end.patch::<ReplicationController>("d", "frontend", json!({ "spec": { "replicas": 1 } }));
    let end = end.holds(&[&ReplicationControllers], nodes);
    assert_eq!(end.all::<Pod>().len(), 1);
}

#[test]
fn its_status_has_no_field_of_sets_only() {
    let mut world = World::default();
    controller(&mut world, 1);
    world.settle(&[&ReplicationControllers], still, Stop::Never);
    let tree = serde_json::to_value(status(&world)).unwrap();
    assert!(tree.get("terminatingReplicas").is_none(), "{tree}");
}

#[test]
fn orphans_are_adopted_and_strays_let_go() {
    let mut world = World::default();
    controller(&mut world, 2);
    world.create::<Pod>(json!({ "metadata": { "name": "orphan", "namespace": "d", "labels": { "app": "x" } } }));
    let mut end = world.holds(&[&ReplicationControllers], still);
    assert_eq!(end.all::<Pod>().len(), 2);
    let owners = |world: &World| world.get::<Pod>("d", "orphan").unwrap().metadata.owner_references.clone();
    assert_eq!(owners(&end).unwrap()[0].kind, "ReplicationController");
    end.patch::<Pod>("d", "orphan", json!({ "metadata": { "labels": { "app": "y" } } }));
    let end = end.holds(&[&ReplicationControllers], still);
    assert!(owners(&end).is_none());
    assert_eq!(end.all::<Pod>().len(), 3, "the one let go is replaced");
}

/// Pods of a set of the same name and labels are somebody else's.
#[test]
fn pods_of_sets_are_left_alone() {
    let mut world = World::default();
    world.create::<k8s_openapi::api::apps::v1::ReplicaSet>(json!({
        "metadata": { "name": "frontend", "namespace": "d" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "x" } },
            "template": { "metadata": { "labels": { "app": "x" } }, "spec": { "containers": [{ "name": "c" }] } },
        },
    }));
    controller(&mut world, 1);
    let end = world.holds(&[&ReplicaSets, &ReplicationControllers], still);
    assert_eq!(end.all::<Pod>().len(), 2);
}

#[test]
fn a_refused_pod_is_a_condition_until_one_is_accepted() {
    let mut world = World::default();
    controller(&mut world, 1);
    world.refuse = |write| {
        let refused = matches!(&write.act, Act::Create { resource, .. } if resource.kind == "Pod");
        refused.then(|| Status::forbidden("", "pods", "", "exceeded quota"))
    };
    let key = machinery::key::Key::new("d", "frontend");
    world.turn(&ReplicationControllers, &key, &mut Stop::Never);
    let failure = status(&world).conditions.unwrap().remove(0);
    assert_eq!((failure.type_.as_str(), failure.reason.as_deref()), ("ReplicaFailure", Some("FailedCreate")));
    world.refuse = |_| None;
    let end = world.holds(&[&ReplicationControllers], still);
    assert_eq!(status(&end).conditions, None);
}
