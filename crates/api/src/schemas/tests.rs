use machinery::schema::{canonicalize, check, decode, strict_error};
use serde_json::{Value, json};

use super::*;

fn schema(kind: &str) -> &'static machinery::schema::Schema {
    ["", "apps", "meta"].into_iter().find_map(|g| schemas().by_kind(g, "v1", kind)).unwrap()
}

fn decoded(kind: &str, tree: Value) -> Value {
    let (decoded, unknown) = decode(schema(kind), tree.to_string().as_bytes()).unwrap();
    assert_eq!(unknown, []);
    let (checked, _) = check(schema(kind), tree.clone()).unwrap();
    assert_eq!(checked, decoded);
    let mut canonical = tree;
    canonicalize(schema(kind), &mut canonical);
    assert_eq!(canonical, decoded);
    canonicalize(schema(kind), &mut canonical);
    assert_eq!(canonical, decoded);
    decoded
}

fn refused(kind: &str, json: &str) -> String {
    decode(schema(kind), json.as_bytes()).unwrap_err().message
}

#[test]
fn everything_is_there() {
    let pod = schemas().get("io.k8s.api.core.v1.Pod").unwrap();
    assert_eq!((pod.kind(), pod.version()), ("Pod", "v1"));
    assert!(schemas().get("io.k8s.api.core.v1.PodList").is_some());
    assert!(descriptions().field("io.k8s.api.core.v1.Pod", "spec").starts_with("Specification of"));
    assert!(schemas().iter().count() > 500);
}

#[test]
fn every_kind_has_its_schema() {
    for kind in crate::KINDS {
        let schema = schemas().get(kind.definition).unwrap_or_else(|| panic!("no definition {}", kind.definition));
        let gvks = &schema.definition().gvks;
        assert!(gvks.iter().any(|g| g.group == kind.group && g.version == kind.version && g.kind == kind.kind));
    }
}

#[test]
fn a_pod_has_gos_form() {
    let tree = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "creationTimestamp": null, "labels": {}, "annotations": null},
        "spec": {
            "hostNetwork": false, "serviceAccountName": "", "nodeSelector": {}, "restartPolicy": "Always",
            "containers": [{
                "name": "c", "image": "i", "args": [], "tty": false, "ports": [{"containerPort": 80, "hostPort": 0}],
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                "env": [{"name": "A", "value": ""}], "securityContext": {"privileged": false},
                "livenessProbe": {"httpGet": {"port": "http"}},
            }],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
        "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00.5+01:00"}]},
    });
    let expected = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
        "spec": {
            "restartPolicy": "Always",
            "containers": [{
                "name": "c", "image": "i", "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                "env": [{"name": "A"}], "securityContext": {"privileged": false},
                "livenessProbe": {"httpGet": {"port": "http"}},
            }],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
        "status": {"conditions": [
            {"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2023-12-31T23:00:00Z"},
        ]},
    });
    assert_eq!(decoded("Pod", tree), expected);
}

#[test]
fn structs_by_value_are_always_there() {
    let tree = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}});
    let expected = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "status": {},
        "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}},
    });
    assert_eq!(decoded("Deployment", tree), expected);
}

#[test]
fn unknown_and_duplicate_fields_have_gos_paths() {
    let json = r#"{"kind":"Pod","foo":1,"metadata":{"name":"a","name":"b","labels":{"x":"1","x":"2"}},
        "spec":{"containers":[{"name":"c","bar":{"baz":[1]},"Image":"i"}]}}"#;
    let (tree, unknown) = decode(schema("Pod"), json.as_bytes()).unwrap();
    let texts: Vec<_> = unknown.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "unknown field \"foo\"",
            "duplicate field \"metadata.name\"",
            "duplicate field \"metadata.labels.x\"",
            "unknown field \"spec.containers[0].bar\"",
            "unknown field \"spec.containers[0].Image\"",
        ]
    );
    assert_eq!(tree["metadata"], json!({"name": "b", "labels": {"x": "2"}}));
    let status = strict_error(schema("Pod"), &unknown[..1]);
    let expected = "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"foo\"";
    assert_eq!((status.code, status.message.as_str()), (400, expected));
}

#[test]
fn a_syntax_error_goes_before_a_wrong_type() {
    let status = decode(schema("Pod"), br#"{"spec":{"hostname":1},}"#).unwrap_err();
    let why = "json parse error: invalid character '}' looking for beginning of object key string";
    assert!(status.message.contains(why), "{status}");
}

#[test]
fn wrong_types_are_refused_in_gos_words() {
    let head = "Pod in version \"v1\" cannot be handled as a Pod: ";
    for (json, expected) in [
        (
            r#"{"spec":{"containers":[{"ports":[{"containerPort":"80"}]}]}}"#,
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            r#"{"spec":{"containers":{}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            r#"{"metadata":{"labels":{"a":1}}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            r#"{"spec":{"containers":[{"image":true}]}}"#,
            "json: cannot unmarshal bool into Go struct field Container.spec.containers.image of type string",
        ),
        (
            r#"{"spec":{"containers":[{"imagePullPolicy":1}]}}"#,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            r#"{"spec":{"priority":3000000000}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (r#"{"spec":[]}"#, "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
        (
            r#"{"metadata":{"creationTimestamp":"x"}}"#,
            "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"",
        ),
    ] {
        assert_eq!(refused("Pod", json), format!("{head}{expected}"));
    }
    assert_eq!(
        refused("Pod", "{\"kind\":"),
        "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input ({\"kind\":)"
    );
}

#[test]
fn a_new_deployment_is_managed_as_upstream_shows_it() {
    let mut tree = decoded(
        "Deployment",
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "nginx", "labels": {"app": "nginx"}},
            "spec": {
                "progressDeadlineSeconds": 600, "replicas": 1, "revisionHistoryLimit": 10,
                "selector": {"matchLabels": {"app": "nginx"}},
                "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": "RollingUpdate"},
                "template": {"metadata": {"labels": {"app": "nginx"}}, "spec": {
                    "containers": [{
                        "image": "nginx", "imagePullPolicy": "Always", "name": "nginx", "ports": [{"containerPort": 80}],
                        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    }],
                    "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                    "securityContext": {}, "terminationGracePeriodSeconds": 30, "volumes": [{"name": "v", "emptyDir": {}}],
                }},
            },
        }),
    );
    let writer =
        machinery::managed::Writer { manager: "kubectl-create", api_version: "apps/v1", subresource: "", now: "T" };
    machinery::managed::track(schema("Deployment"), &Value::Null, &mut tree, &writer);
    let port = "k:{\"containerPort\":80,\"protocol\":\"TCP\"}";
    assert_eq!(
        tree["metadata"]["managedFields"][0]["fieldsV1"],
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:progressDeadlineSeconds": {}, "f:replicas": {}, "f:revisionHistoryLimit": {}, "f:selector": {},
                "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}, "f:type": {}},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {
                        "f:containers": {"k:{\"name\":\"nginx\"}": {
                            ".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:resources": {},
                            "f:ports": {".": {}, port: {".": {}, "f:containerPort": {}}},
                            "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {},
                        }},
                        "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {},
                        "f:terminationGracePeriodSeconds": {},
                        "f:volumes": {".": {}, "k:{\"name\":\"v\"}": {".": {}, "f:emptyDir": {}, "f:name": {}}},
                    },
                },
            },
        })
    );
}

#[test]
fn the_patch_of_kubectl_apply_uses_the_real_merge_keys() {
    let pod = |image: &str, env: Value| {
        json!({"spec": {"containers": [{"name": "c", "image": image, "env": env, "ports": [{"containerPort": 80}]}],
            "volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {"a": "b"}}})
    };
    let (original, modified) =
        (pod("i:1", json!([{"name": "A", "value": "1"}])), pod("i:2", json!([{"name": "B", "value": "2"}])));
    let mut modified = modified;
    modified["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/x"}}]);
    let current = decoded("Pod", original.clone());
    let patch = machinery::patch::three_way(schema("Pod"), &original, &modified, &current).unwrap();
    assert_eq!(
        patch,
        json!({"spec": {
            "$setElementOrder/containers": [{"name": "c"}], "$setElementOrder/volumes": [{"name": "v"}],
            "containers": [{
                "name": "c", "image": "i:2", "$setElementOrder/env": [{"name": "B"}],
                "env": [{"name": "B", "value": "2"}, {"name": "A", "$patch": "delete"}],
            }],
            "volumes": [{"name": "v", "$retainKeys": ["hostPath", "name"], "emptyDir": null, "hostPath": {"path": "/x"}}],
        }})
    );
    let patched = machinery::patch::strategic(schema("Pod"), &current, &patch).unwrap();
    assert_eq!(decoded("Pod", patched), decoded("Pod", modified));
}
