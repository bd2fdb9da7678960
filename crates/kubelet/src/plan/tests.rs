//! The plan of whole pods, step by step.

use serde_json::json;

use super::seen::{Container, Image, Sandbox, State, Volumes};
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn pod(spec: serde_json::Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec})).unwrap()
}

fn seen() -> Seen {
    Seen { observed: true, runtime: "kybern".into(), ..Seen::default() }
}

fn with_sandbox() -> Seen {
    let sandbox = Sandbox {
        id: "s".into(),
        attempt: 0,
        ready: true,
        created: at(0),
        host_network: false,
        ips: vec!["10.0.0.2".into()],
    };
    Seen { sandboxes: vec![sandbox], volumes: Volumes::Ready, ..seen() }
}

fn container(pod: &Pod, name: &str, state: State, code: i32, restarts: u32) -> Container {
    Container {
        id: format!("{name}{restarts}"),
        name: name.into(),
        sandbox: "s".into(),
        state,
        created: at(0),
        started: Some(at(0)),
        finished: (state == State::Exited).then(|| at(1)),
        exit_code: code,
        reason: if code == 0 { "Completed" } else { "Error" }.into(),
        message: String::new(),
        image: "i".into(),
        image_id: "sha".into(),
        hash: spec::hash(&spec::find(pod, name).unwrap()),
        restarts,
        log_path: String::new(),
        user: None,
    }
}

fn ready(mut seen: Seen, names: &[(&str, u32)]) -> Seen {
    for (name, attempt) in names {
        seen.images.insert((*name).into(), Image::Ready { attempt: *attempt });
    }
    seen
}

fn starts(plan: &Plan) -> Vec<&str> {
    let name = |s: &'_ Step| matches!(s, Step::StartContainer { .. });
    let of = |s: &'static str| s;
    let _ = of;
    plan.steps
        .iter()
        .filter(|s| name(s))
        .map(|s| match s {
            Step::StartContainer { container, .. } => container.as_str(),
            _ => "",
        })
        .collect()
}

#[test]
fn a_new_pod_prepares_sandbox_volumes_and_images_at_once() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]}));
    let plan = plan(&pod, &seen(), at(0));
    assert_eq!(plan.steps.len(), 4, "{:?}", plan.steps);
    assert_eq!(plan.status.phase.as_deref(), Some("Pending"));
    let waiting = plan.status.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("ContainerCreating"));
}

#[test]
fn init_containers_run_before_the_others_and_failed_ones_end_a_never_pod() {
    let spec = json!({"restartPolicy": "Never", "initContainers": [{"name": "i1", "image": "i"}, {"name": "i2", "image": "i"}],
        "containers": [{"name": "a", "image": "i"}]});
    let pod = pod(spec);
    let mut s = ready(with_sandbox(), &[("i1", 0), ("i2", 0), ("a", 0)]);
    assert_eq!(starts(&plan(&pod, &s, at(0))), ["i1"]);
    s.containers = vec![container(&pod, "i1", State::Running, 0, 0)];
    assert!(starts(&plan(&pod, &s, at(0))).is_empty());
    s.containers = vec![container(&pod, "i1", State::Exited, 0, 0)];
    assert_eq!(starts(&plan(&pod, &s, at(2))), ["i2"]);
    s.containers.insert(0, container(&pod, "i2", State::Exited, 3, 0));
    let failed = plan(&pod, &s, at(2));
    assert!(failed.ending && starts(&failed).is_empty());
    assert_eq!(failed.status.phase.as_deref(), Some("Failed"));
}

#[test]
fn a_crashing_container_is_restarted_at_once_and_then_backs_off() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "i"}]}));
    let mut s = ready(with_sandbox(), &[("a", 1)]);
    s.containers = vec![container(&pod, "a", State::Exited, 1, 0)];
    let first = plan(&pod, &s, at(1));
    let Some(Step::StartContainer { backoff: Some(entry), attempt: 1, .. }) = first.steps.first() else {
        panic!("{:?}", first.steps)
    };
    s.backoffs.insert("a".into(), entry.clone());
    s.containers.insert(0, Container { finished: Some(at(3)), ..container(&pod, "a", State::Exited, 1, 1) });
    let held = plan(&pod, &s, at(5));
    assert!(held.steps.is_empty(), "{:?}", held.steps);
    assert_eq!(held.wake, Some(at(13)));
    let status = &held.status.container_statuses.unwrap()[0];
    let waiting = status.state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(waiting.message.as_deref(), Some("back-off 10s restarting failed container=a pod=p_n(u)"));
    assert_eq!(status.last_state.clone().unwrap().terminated.unwrap().exit_code, 1);
}

#[test]
fn a_running_pod_is_ready_and_its_plan_is_empty() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "i"}]}));
    let mut s = with_sandbox();
    s.containers = vec![container(&pod, "a", State::Running, 0, 0)];
    let plan = plan(&pod, &s, at(1));
    assert!(plan.steps.is_empty(), "{:?}", plan.steps);
    assert_eq!(plan.status.phase.as_deref(), Some("Running"));
    let conditions = plan.status.conditions.unwrap();
    assert!(conditions.iter().all(|c| c.status == "True"), "{conditions:?}");
}

#[test]
fn a_deleted_pod_stops_tears_down_and_is_forgotten_when_its_status_is_written() {
    let mut pod = pod(json!({"terminationGracePeriodSeconds": 7, "containers": [{"name": "a", "image": "i"}]}));
    pod.metadata.deletion_timestamp = Some(container_status::time(at(9)));
    pod.metadata.deletion_grace_period_seconds = Some(7);
    let mut s = with_sandbox();
    s.containers = vec![container(&pod, "a", State::Running, 0, 0)];
    let stop = plan(&pod, &s, at(2));
    assert!(matches!(&stop.steps[..], [Step::StopContainer { grace_s: 7, .. }]), "{:?}", stop.steps);
    s.containers = vec![container(&pod, "a", State::Exited, 137, 0)];
    assert!(matches!(&plan(&pod, &s, at(2)).steps[..], [Step::StopSandbox { .. }]));
    s.sandboxes[0].ready = false;
    assert!(matches!(&plan(&pod, &s, at(2)).steps[..], [Step::TearDown]));
    s.volumes = Volumes::Absent;
    s.torn_down = true;
    let last = plan(&pod, &s, at(2));
    assert!(last.steps.is_empty(), "{:?}", last.steps);
    assert_eq!(last.status.phase.as_deref(), Some("Failed"));
    s.reported = last.status.clone();
    s.latest = last.status;
    assert!(matches!(&plan(&pod, &s, at(3)).steps[..], [Step::Forget]));
}

#[test]
fn sidecars_start_before_the_others_and_do_not_keep_a_finished_pod_alive() {
    let spec = json!({"restartPolicy": "OnFailure",
        "initContainers": [{"name": "side", "image": "i", "restartPolicy": "Always"}], "containers": [{"name": "a", "image": "i"}]});
    let pod = pod(spec);
    let mut s = ready(with_sandbox(), &[("side", 0), ("a", 0)]);
    assert_eq!(starts(&plan(&pod, &s, at(0))), ["side"]);
    s.containers = vec![container(&pod, "side", State::Running, 0, 0)];
    assert_eq!(starts(&plan(&pod, &s, at(0))), ["a"]);
    s.containers.insert(0, container(&pod, "a", State::Exited, 0, 0));
    let done = plan(&pod, &s, at(2));
    assert!(matches!(&done.steps[..], [Step::StopContainer { container, .. }] if container == "side"));
    assert_eq!(done.status.phase.as_deref(), Some("Pending"), "not told before the sidecar has stopped");
}

#[test]
fn a_failed_liveness_probe_kills_with_its_own_grace() {
    let probe = json!({"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 3});
    let pod = pod(json!({"containers": [{"name": "a", "image": "i", "livenessProbe": probe}]}));
    let mut s = with_sandbox();
    s.containers = vec![container(&pod, "a", State::Running, 0, 0)];
    s.probes.insert("a0".into(), seen::Probes { liveness: Some(false), ..seen::Probes::default() });
    let plan = plan(&pod, &s, at(1));
    let [Step::StopContainer { grace_s: 3, message, .. }] = &plan.steps[..] else { panic!("{:?}", plan.steps) };
    assert_eq!(message, "Container a failed liveness probe, will be restarted");
}

#[test]
fn a_container_stays_ready_while_the_kubelet_is_started_again() {
    let probe = json!({"tcpSocket": {"port": 1}});
    let containers = json!([{"name": "a", "image": "i", "readinessProbe": probe, "startupProbe": probe}]);
    let pod = pod(json!({"containers": containers}));
    let mut s = with_sandbox();
    s.containers = vec![container(&pod, "a", State::Running, 0, 0)];
    let of = |s: &Seen| plan(&pod, s, at(1)).status.container_statuses.unwrap()[0].clone();
    assert!(!of(&s).ready, "no probe has succeeded yet");
    s.probes.insert("a0".into(), seen::Probes { startup: Some(true), liveness: None, readiness: Some(true) });
    let told = plan(&pod, &s, at(1)).status;
    assert!(of(&s).ready);
    s.probes = seen::remembered(&told);
    assert!(of(&s).ready, "as it was told before");
    s.containers[0].id = "another".into();
    assert!(!of(&s).ready, "another container");
}

#[test]
fn a_plan_never_wakes_before_the_time_that_it_was_made_for() {
    let pod = pod(json!({"containers": [{"name": "c", "image": "i"}]}));
    let failed_at = at(0) + SignedDuration::from_millis(94);
    let (reason, message) = ("ErrImagePull".to_owned(), "no".to_owned());
    let retry = failed_at + SignedDuration::from_secs(10);
    let mut seen = with_sandbox();
    seen.images.insert("c".into(), Image::Failed { reason, message, at: failed_at, retry, delay_s: 10 });
    for millis in [94, 95, 1093, 1094, 1095, 10_093] {
        let now = at(0) + SignedDuration::from_millis(millis);
        assert!(plan(&pod, &seen, now).wake.unwrap() > now, "{millis} ms");
    }
}

#[test]
fn a_container_with_a_new_image_is_not_told_as_stopped_while_it_is_replaced() {
    let before = pod(json!({"containers": [{"name": "a", "image": "i"}]}));
    let after = pod(json!({"containers": [{"name": "a", "image": "j"}]}));
    let mut s = ready(with_sandbox(), &[("a", 1)]);
    s.containers = vec![container(&before, "a", State::Running, 0, 0)];
    s.latest = plan(&before, &s, at(0)).status;
    let running = s.latest.container_statuses.clone();
    s.containers = vec![container(&before, "a", State::Exited, 0, 0)];
    let told = plan(&after, &s, at(1)).status;
    assert_eq!(told.container_statuses, running);
    assert!(told.conditions.unwrap().iter().all(|c| c.status == "True"));
    // What takes longer is told, and so is an end that nobody asked for.
    let late = plan(&after, &s, at(3)).status.container_statuses.unwrap().remove(0);
    assert!(!late.ready && late.state.unwrap().terminated.is_some());
    let crashed = plan(&before, &s, at(1)).status.container_statuses.unwrap().remove(0);
    assert!(!crashed.ready);
    s.containers.insert(0, container(&after, "a", State::Running, 0, 1));
    let new = plan(&after, &s, at(1)).status.container_statuses.unwrap().remove(0);
    assert!(new.ready && new.restart_count == 1 && new.last_state.unwrap().terminated.is_some());
}
