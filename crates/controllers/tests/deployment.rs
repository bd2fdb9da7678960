//! Deployments and their ReplicaSets in a small world.

#![allow(clippy::unwrap_used)]

mod world;

use control::Controller;
use controllers::deployment::Deployments;
use controllers::replicaset::ReplicaSets;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use world::{Stop, World, nodes, still};

const MINDS: &[&dyn Controller] = &[&Deployments, &ReplicaSets];

fn deploy(world: &mut World, spec: Value) {
    let mut tree = json!({
        "metadata": { "name": "web", "namespace": "d" },
        "spec": {
            "replicas": 3,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "selector": { "matchLabels": { "app": "web" } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": "nginx:1" }] },
            },
        },
    });
    tree["spec"] = machinery::patch::merge(&tree["spec"], &spec);
    world.create::<Deployment>(tree);
}

fn status(world: &World) -> DeploymentStatus {
    world.get::<Deployment>("d", "web").unwrap().status.clone().unwrap()
}

fn condition(world: &World, kind: &str) -> (String, String, String) {
    let condition = status(world).conditions.unwrap().into_iter().find(|c| c.type_ == kind).unwrap();
    (condition.status, condition.reason.unwrap(), condition.message.unwrap())
}

fn image(world: &mut World, image: &str) {
    let containers = json!([{ "name": "c", "image": image }]);
    world.patch::<Deployment>("d", "web", json!({ "spec": { "template": { "spec": { "containers": containers } } } }));
}

fn sizes(world: &World) -> Vec<(String, i32)> {
    let sets = world.all::<ReplicaSet>();
    let mut sizes: Vec<_> = sets
        .iter()
        .map(|set| {
            let revision = set.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"].clone();
            (revision, set.spec.as_ref().unwrap().replicas.unwrap())
        })
        .collect();
    sizes.sort();
    sizes
}

#[test]
fn it_makes_a_set_of_its_template() {
    let mut world = World::default();
    deploy(&mut world, json!({}));
    let end = world.holds(MINDS, nodes);
    assert_eq!(end.all::<Pod>().len(), 3);
    let set = &end.all::<ReplicaSet>()[0];
    let name = set.metadata.name.clone().unwrap();
    assert_eq!(end.events[0], format!("Normal ScalingReplicaSet Scaled up replica set {name} from 0 to 3"));
    let hash = set.metadata.labels.as_ref().unwrap()["pod-template-hash"].clone();
    assert_eq!(name, format!("web-{hash}"));
    assert_eq!(status(&end).available_replicas, Some(3));
    let annotations = end.get::<Deployment>("d", "web").unwrap().metadata.annotations.clone().unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "1");
    let progressed = format!("ReplicaSet {name:?} has successfully progressed.");
    assert_eq!(condition(&end, "Progressing"), ("True".into(), "NewReplicaSetAvailable".into(), progressed));
    assert_eq!(condition(&end, "Available").1, "MinimumReplicasAvailable");
}

#[test]
fn a_rolling_update_stays_within_its_bounds() {
    let mut world = World::default();
    deploy(&mut world, json!({ "replicas": 4 }));
    let mut world = world.holds(MINDS, nodes);
    world.pass(10);
    image(&mut world, "nginx:2");
    let end = world.holds(MINDS, nodes);
    assert_eq!(sizes(&end), [("1".into(), 0), ("2".into(), 4)]);
    // Turn by turn: at most 5 pods, at least 3 ready ones.
    let mut stop = Stop::Never;
    for _ in 0..40 {
        for mind in MINDS {
            for key in world.keys(*mind) {
                world.turn(*mind, &key, &mut stop);
                let wished: i32 = sizes(&world).iter().map(|(_, size)| size).sum();
                assert!(wished <= 5, "{:?}", sizes(&world));
                let ready = |pod: &&std::sync::Arc<Pod>| {
                    pod.metadata.deletion_timestamp.is_none()
                        && pod
                            .status
                            .as_ref()
                            .is_some_and(|s| s.conditions.as_ref().is_some_and(|c| c[0].status == "True"))
                };
                let ready = world.all::<Pod>().iter().filter(ready).count();
                assert!(ready >= 3, "{ready}");
            }
        }
        nodes(&mut world);
    }
    assert_eq!(world.gist(), end.gist());
}

#[test]
fn no_pod_comes_before_the_one_whose_place_it_takes_goes() {
    let mut world = World::default();
    deploy(&mut world, json!({ "replicas": 4 }));
    let mut world = world.holds(MINDS, nodes);
    let mut stop = Stop::Never;
    for round in 0..60 {
        if round % 3 == 0 && round < 30 {
            image(&mut world, if round % 2 == 0 { "nginx:2" } else { "nginx:1" });
        }
        for mind in [MINDS[0], MINDS[0], MINDS[0], MINDS[1]] {
            let mut keys = world.keys(mind);
            // The sets in both orders: the new one may be served first.
            if round % 12 < 6 {
                keys.reverse();
            }
            for key in keys {
                world.turn(mind, &key, &mut stop);
                let pods = world.all::<Pod>();
                let active = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).count();
                assert!(active <= 5, "round {round}: {active} pods of {:?}", sizes(&world));
            }
        }
        nodes(&mut world);
    }
    assert_eq!(status(&world).updated_replicas, Some(4));
    assert_eq!(status(&world).replicas, Some(4));
}

/// A turn of the one or the other at random, the template changing meanwhile: at most 5 pods, at least 3 ready.
#[test]
fn overlapping_roll_outs_stay_within_their_bounds_in_any_order() {
    for seed in 1..20_u64 {
        let mut world = World::default();
        deploy(&mut world, json!({ "replicas": 4 }));
        let mut world = world.holds(MINDS, nodes);
        let (mut stop, mut state) = (Stop::Never, seed);
        let mut roll = |sides: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % sides
        };
        for turn in 0..150 {
            match roll(8) {
                0 if turn < 100 => image(&mut world, if roll(2) == 0 { "nginx:2" } else { "nginx:1" }),
                1 => nodes(&mut world),
                side => {
                    let mind = MINDS[usize::from(side > 4)];
                    let keys: Vec<_> = world.keys(mind).into_iter().collect();
                    world.turn(mind, &keys[roll(keys.len() as u64) as usize], &mut stop);
                }
            }
            let pods = world.all::<Pod>();
            let active: Vec<_> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
            let is_ready = |pod: &&&std::sync::Arc<Pod>| {
                let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
                conditions.is_some_and(|all| all[0].status == "True")
            };
            let ready = active.iter().filter(is_ready).count();
            let sizes = sizes(&world);
            assert!(
                active.len() <= 5 && ready >= 3,
                "seed {seed}, turn {turn}: {} pods, {ready} ready of {sizes:?}",
                active.len()
            );
        }
    }
}

#[test]
fn a_roll_back_finds_its_old_set() {
    let mut world = World::default();
    deploy(&mut world, json!({}));
    let mut world = world.holds(MINDS, nodes);
    image(&mut world, "nginx:2");
    let mut world = world.holds(MINDS, nodes);
    image(&mut world, "nginx:1");
    let end = world.holds(MINDS, nodes);
    assert_eq!(sizes(&end), [("2".into(), 0), ("3".into(), 3)]);
    let sets = end.all::<ReplicaSet>();
    let back = sets.iter().find(|set| set.spec.as_ref().unwrap().replicas == Some(3)).unwrap();
    assert_eq!(back.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision-history"], "1");
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let mut world = World::default();
    deploy(&mut world, json!({ "strategy": { "type": "Recreate", "rollingUpdate": null } }));
    let mut world = world.holds(MINDS, nodes);
    image(&mut world, "nginx:2");
    // Without a node the old pods stay on their way out for ever.
    let end = world.holds(MINDS, still);
    assert_eq!(sizes(&end), [("1".into(), 0)]);
    let end = end.holds(MINDS, nodes);
    assert_eq!(sizes(&end), [("1".into(), 0), ("2".into(), 3)]);
}

#[test]
fn resizing_in_the_middle_of_a_roll_out_is_proportional() {
    let mut world = World::default();
    let strategy = json!({ "rollingUpdate": { "maxSurge": 3, "maxUnavailable": 2 } });
    deploy(&mut world, json!({ "replicas": 10, "strategy": strategy }));
    let mut world = world.holds(MINDS, nodes);
    image(&mut world, "nginx:broken");
    // New pods never get ready.
    let mut world = world.holds(MINDS, still);
    world.settle(MINDS, deleted_are_gone, Stop::Never);
    assert_eq!(sizes(&world), [("1".into(), 8), ("2".into(), 5)]);
    world.patch::<Deployment>("d", "web", json!({ "spec": { "replicas": 15 } }));
    world.settle(MINDS, still, Stop::Never);
    assert_eq!(sizes(&world), [("1".into(), 11), ("2".into(), 7)]);
}

fn deleted_are_gone(world: &mut World) {
    for pod in world.all::<Pod>() {
        if pod.metadata.deletion_timestamp.is_some() {
            world.remove::<Pod>("d", pod.metadata.name.as_deref().unwrap());
        }
    }
}

#[test]
fn a_pause_holds_the_roll_out_but_not_the_size() {
    let mut world = World::default();
    deploy(&mut world, json!({}));
    let mut world = world.holds(MINDS, nodes);
    world.patch::<Deployment>("d", "web", json!({ "spec": { "paused": true, "replicas": 5 } }));
    image(&mut world, "nginx:2");
    let mut world = world.holds(MINDS, nodes);
    assert_eq!(sizes(&world), [("1".into(), 5)]);
    assert_eq!(condition(&world, "Progressing").1, "DeploymentPaused");
    world.patch::<Deployment>("d", "web", json!({ "spec": { "paused": null } }));
    let end = world.holds(MINDS, nodes);
    assert_eq!(sizes(&end), [("1".into(), 0), ("2".into(), 5)]);
}

#[test]
fn a_roll_out_without_progress_is_late() {
    let mut world = World::default();
    deploy(&mut world, json!({}));
    let mut world = world.holds(MINDS, still);
    let key = machinery::key::Key::new("d", "web");
    let wake = world.decide(&Deployments, &key, None).wake.unwrap();
    assert_eq!(wake.duration_since(world.now).as_secs(), 601);
    world.pass(601);
    let end = world.holds(MINDS, still);
    let (state, reason, _) = condition(&end, "Progressing");
    assert_eq!((state.as_str(), reason.as_str()), ("False", "ProgressDeadlineExceeded"));
}

#[test]
fn old_sets_beyond_the_history_are_deleted() {
    let mut world = World::default();
    deploy(&mut world, json!({ "revisionHistoryLimit": 1 }));
    for version in 2..5 {
        world = world.holds(MINDS, nodes);
        world.pass(10);
        image(&mut world, &format!("nginx:{version}"));
    }
    let end = world.holds(MINDS, nodes);
    assert_eq!(sizes(&end), [("3".into(), 0), ("4".into(), 3)]);
}

#[test]
fn a_foreign_set_of_its_name_is_a_collision() {
    let mut world = World::default();
    deploy(&mut world, json!({}));
    let end = world.holds(MINDS, nodes);
    let name = end.all::<ReplicaSet>()[0].metadata.name.clone().unwrap();
    world.create::<ReplicaSet>(json!({
        "metadata": { "name": name, "namespace": "d" },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "other" } } },
    }));
    world.settle(MINDS, nodes, Stop::Never);
    assert_eq!(status(&world).collision_count, Some(1));
    assert_eq!(world.all::<ReplicaSet>().len(), 2);
    assert_eq!(world.all::<Pod>().len(), 3);
}
