//! The scheduler as its driver sees it.

use serde_json::json;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn node(name: &str, cpu: &str) -> Event {
    let node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}},
    });
    Event::Node(Arc::new(serde_json::from_value(node).unwrap()))
}

fn pod(name: &str, extra: serde_json::Value) -> serde_json::Value {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "600m"}}}]},
    });
    for (key, value) in extra.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    pod
}

fn seen(pod: serde_json::Value) -> Event {
    Event::Pod(Arc::new(serde_json::from_value(pod).unwrap()))
}

fn nodes_of(decisions: &[Decision]) -> Vec<&str> {
    let node = |d: &Decision| match d {
        Decision::Bind(binding) => binding.node.clone(),
        Decision::Fail(failure) => failure.message.clone(),
    };
    decisions.iter().map(|d| Box::leak(node(d).into_boxed_str()) as &str).collect()
}

#[test]
fn load_is_spread_and_what_does_not_fit_is_said() {
    let mut scheduler = Scheduler::new(DEFAULT_NAME);
    scheduler.apply(node("a", "1"), at(0));
    scheduler.apply(node("b", "1"), at(0));
    for name in ["p1", "p2", "p3"] {
        scheduler.apply(seen(pod(name, json!({}))), at(0));
    }
    let decisions = scheduler.decide(at(0), 10);
    let mut placed = nodes_of(&decisions);
    placed[..2].sort_unstable();
    let why = "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are \
               available: 2 No preemption victims found for incoming pod.";
    assert_eq!(placed, ["a", "b", why]);
    // The third waits for an event: nothing is due until a pod goes.
    assert!(scheduler.decide(at(1), 10).is_empty());
    scheduler.apply(Event::PodGone { uid: "p1".into() }, at(2));
    assert_eq!(scheduler.decide(at(2), 10).len(), 1);
}

#[test]
fn an_unseen_binding_counts_and_a_refused_one_does_not() {
    let mut scheduler = Scheduler::new(DEFAULT_NAME);
    scheduler.apply(node("a", "1"), at(0));
    scheduler.apply(seen(pod("p1", json!({}))), at(0));
    assert_eq!(nodes_of(&scheduler.decide(at(0), 10)), ["a"]);
    scheduler.apply(seen(pod("p1", json!({}))), at(0));
    scheduler.apply(seen(pod("p2", json!({}))), at(0));
    assert!(nodes_of(&scheduler.decide(at(0), 10))[0].starts_with("0/1 nodes are available: 1 Insufficient cpu. "));
    scheduler.apply(Event::BindingFailed { uid: "p1".into() }, at(0));
    assert!(scheduler.decide(at(0), 10).is_empty());
    assert_eq!(nodes_of(&scheduler.decide(at(1), 10)), ["a"]);
}

#[test]
fn selectors_taints_and_ports_keep_pods_away() {
    let mut scheduler = Scheduler::new(DEFAULT_NAME);
    let tainted = json!({
        "metadata": {"name": "t"},
        "spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    });
    scheduler.apply(Event::Node(Arc::new(serde_json::from_value(tainted).unwrap())), at(0));
    scheduler.apply(node("a", "4"), at(0));
    let port = json!([{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]}]);
    scheduler.apply(seen(pod("p1", json!({"containers": port}))), at(0));
    scheduler.apply(seen(pod("p2", json!({"containers": port}))), at(0));
    scheduler.apply(seen(pod("p3", json!({"nodeSelector": {"disk": "ssd"}}))), at(0));
    scheduler.apply(seen(pod("p4", json!({"tolerations": [{"operator": "Exists"}], "nodeSelector": {}}))), at(0));
    let decisions = scheduler.decide(at(0), 10);
    let texts = nodes_of(&decisions);
    assert_eq!(texts[0], "a");
    assert_eq!(
        texts[1],
        "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, \
         1 node(s) had untolerated taint {k: v}. no new claims to deallocate, preemption: 0/2 nodes are available: \
         1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
    );
    assert_eq!(
        texts[2],
        "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
         1 node(s) had untolerated taint {k: v}. no new claims to deallocate, preemption: 0/2 nodes are available: \
         2 Preemption is not helpful for scheduling."
    );
    assert_eq!(texts[3], "t");
}

#[test]
fn gated_and_foreign_pods_are_left_alone_and_priority_goes_first() {
    let mut scheduler = Scheduler::new(DEFAULT_NAME);
    scheduler.apply(node("a", "1"), at(0));
    scheduler.apply(seen(pod("p1", json!({"schedulingGates": [{"name": "g"}]}))), at(0));
    scheduler.apply(seen(pod("p2", json!({"schedulerName": "other"}))), at(0));
    scheduler.apply(seen(pod("p3", json!({}))), at(0));
    scheduler.apply(seen(pod("p4", json!({"priority": 10}))), at(0));
    let decisions = scheduler.decide(at(0), 10);
    assert!(matches!(&decisions[0], Decision::Bind(b) if b.name == "p4"));
    assert!(matches!(&decisions[1], Decision::Fail(f) if f.name == "p3"));
    assert_eq!(decisions.len(), 2);
}

#[test]
fn preemption_is_told_of_where_it_would_not_help() {
    let mut scheduler = Scheduler::new(DEFAULT_NAME);
    scheduler.apply(node("a", "1"), at(0));
    let large = json!([{"name": "c", "resources": {"requests": {"cpu": "2"}}}]);
    scheduler.apply(seen(pod("p1", json!({"containers": large}))), at(0));
    scheduler.apply(seen(pod("p2", json!({}))), at(0));
    scheduler.apply(seen(pod("p3", json!({"preemptionPolicy": "Never"}))), at(0));
    let decisions = scheduler.decide(at(0), 10);
    let texts = nodes_of(&decisions);
    fn tail(text: &str) -> &str {
        text.split_once("preemption: ").map_or("", |(_, tail)| tail)
    }
    assert_eq!(tail(texts[0]), "0/1 nodes are available: 1 Preemption is not helpful for scheduling.");
    assert_eq!(tail(texts[2]), "not eligible due to preemptionPolicy=Never.");
    // A more important pod has a victim, which nobody drives off.
    scheduler.apply(seen(pod("p4", json!({"priority": 10}))), at(0));
    assert_eq!(nodes_of(&scheduler.decide(at(0), 10)), ["0/1 nodes are available: 1 Insufficient cpu."]);
}
