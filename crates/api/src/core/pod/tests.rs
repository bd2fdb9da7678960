use jiff::Timestamp;
use serde_json::{Value, json};

use super::KIND;
use crate::testing::{problems, status_problems, update_problems, with_defaults};

fn pod(spec: Value) -> Value {
    with_defaults(&KIND, json!({"metadata": {"name": "a", "namespace": "default"}, "spec": spec}))
}

fn container(more: Value) -> Value {
    let mut container = json!({"name": "c", "image": "busybox:1"});
    for (key, value) in more.as_object().unwrap() {
        container[key] = value.clone();
    }
    pod(json!({"containers": [container]}))
}

#[test]
fn a_plain_pod_is_right_and_filled_in() {
    let object = container(json!({"ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 80}}}));
    assert_eq!(problems(&KIND, &object), "");
    assert_eq!(
        object["spec"],
        json!({
            "containers": [{
                "name": "c", "image": "busybox:1", "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "livenessProbe": {
                    "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                },
            }],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
        })
    );
}

#[test]
fn a_negative_grace_is_a_second() {
    let object = pod(json!({"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": -1}));
    assert_eq!(object["spec"]["terminationGracePeriodSeconds"], 1);
}

#[test]
fn common_mistakes_have_upstreams_messages() {
    let cases = [
        (pod(json!({})), "spec.containers: Required value"),
        (container(json!({"image": ""})), "spec.containers[0].image: Required value"),
        (
            container(json!({"name": "A"})),
            "spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case \
             alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
        (
            container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            container(json!({"ports": [{"containerPort": 70000}]})),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            pod(json!({"restartPolicy": "Sometimes", "containers": [{"name": "c", "image": "b"}]})),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
        (
            container(json!({"livenessProbe": {}})),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            pod(json!({"containers": [{"name": "c", "image": "b"}, {"name": "c", "image": "b"}]})),
            "spec.containers[1].name: Duplicate value: \"c\"",
        ),
        (
            container(json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostname"}}}]})),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.hostname\": \
             error converting fieldPath: field label not supported: spec.hostname",
        ),
        (
            container(json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}})),
            "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: \
             cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
    ];
    for (object, message) in cases {
        assert_eq!(problems(&KIND, &object), message);
    }
}

#[test]
fn images_may_change_and_the_rest_may_not() {
    let old = container(json!({}));
    let mut new = old.clone();
    new["spec"]["containers"][0]["image"] = "busybox:2".into();
    assert_eq!(update_problems(&KIND, &new, &old), "");
    new["spec"]["containers"][0]["args"] = json!(["x"]);
    assert_eq!(
        update_problems(&KIND, &new, &old),
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
         `spec.tolerations` (only additions to existing tolerations),\
         `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n  \
         core.PodSpec{\n+ \tcontainers[0].args: [\"x\"],\n  }\n"
    );
}

#[test]
fn a_container_that_has_ended_stays_so() {
    let status = |state: Value| json!({"spec": {"restartPolicy": "Never"}, "status": {"containerStatuses": [{"name": "c", "state": state}]}});
    assert_eq!(
        status_problems(&KIND, &status(json!({"running": {}})), &status(json!({"terminated": {"exitCode": 0}}))),
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    );
}

fn printed(object: &Value) -> Vec<String> {
    let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
    (KIND.cells)(object, now).iter().map(|cell| cell.as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn the_status_column_says_how_it_is_doing() {
    let spec = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]});
    let with = |status: Value| json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec, "status": status});
    let cases = [
        (json!({"phase": "Pending"}), ["0/1", "Pending", "0"]),
        (
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
            ["0/1", "Init:0/1", "0"],
        ),
        (
            json!({"phase": "Running", "containerStatuses": [{
                "name": "c", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}}]}),
            ["0/1", "CrashLoopBackOff", "3 (5m ago)"],
        ),
        (
            json!({"phase": "Running", "containerStatuses": [{"name": "c", "ready": true, "state": {"running": {}}}]}),
            ["1/1", "Running", "0"],
        ),
        (
            json!({"phase": "Succeeded", "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}),
            ["0/1", "Completed", "0"],
        ),
    ];
    for (status, expected) in cases {
        assert_eq!(printed(&with(status))[1..4], expected);
    }
    let mut object = with(json!({"phase": "Running"}));
    object["metadata"]["deletionTimestamp"] = "2026-01-01T00:09:00Z".into();
    assert_eq!(printed(&object)[2], "Terminating");
    assert_eq!(printed(&object)[4], "10m");
}

#[test]
fn deletion_waits_for_what_runs_only() {
    let grace = |object: Value, asked| (KIND.grace)(&object, asked);
    let spec = json!({"nodeName": "n", "terminationGracePeriodSeconds": 30});
    assert_eq!(grace(json!({"spec": {"terminationGracePeriodSeconds": 30}}), None), Some(0));
    assert_eq!(grace(json!({"spec": spec}), None), Some(30));
    assert_eq!(grace(json!({"spec": spec}), Some(5)), Some(5));
    assert_eq!(grace(json!({"spec": spec}), Some(-1)), Some(1));
    assert_eq!(grace(json!({"spec": spec, "status": {"phase": "Failed"}}), None), Some(0));
}
