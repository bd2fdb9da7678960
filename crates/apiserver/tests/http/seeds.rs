//! Valid objects of kinds with much structure, to be broken, by path.

use serde_json::{Value, json};

pub type Seed = (&'static str, Value);

pub fn all() -> Vec<Seed> {
    [workloads(), of_namespaces(), others()].concat()
}

fn pod() -> Value {
    json!({
        "metadata": {"labels": {"app": "a"}, "annotations": {"k": "v"}},
        "spec": {
            "containers": [{
                "name": "c", "image": "nginx:1", "command": ["a"], "env": [{"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 3},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "securityContext": {"runAsUser": 1, "capabilities": {"add": ["NET_ADMIN"]}},
                "lifecycle": {"preStop": {"exec": {"command": ["x"]}}},
            }],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}]}}},
            "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "a"}}}],
        },
    })
}

fn workloads() -> Vec<Seed> {
    let pod = pod();
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod["spec"]});
    let selector = json!({"matchLabels": {"app": "a"}});
    vec![
        ("/api/v1/namespaces/default/pods", pod),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            json!({"metadata": {}, "spec": {"replicas": 2, "selector": selector, "template": template,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}}}),
        ),
        (
            "/apis/apps/v1/namespaces/default/statefulsets",
            json!({"metadata": {}, "spec": {"serviceName": "s", "selector": selector, "template": template,
                "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}]}}),
        ),
    ]
}

fn of_namespaces() -> Vec<Seed> {
    vec![
        (
            "/apis/batch/v1/namespaces/default/cronjobs",
            json!({"metadata": {}, "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template":
                {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}}),
        ),
        (
            "/api/v1/namespaces/default/services",
            json!({"metadata": {}, "spec": {"selector": {"a": "b"}, "type": "NodePort",
                "ports": [{"name": "p", "port": 80, "targetPort": "http", "protocol": "TCP"}]}}),
        ),
        (
            "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
            json!({"metadata": {}, "spec": {"rules": [{"host": "a.b", "http": {"paths": [{"path": "/",
                "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
        ),
        (
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            json!({"metadata": {}, "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment",
                "name": "d"}, "maxReplicas": 3, "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}]}}),
        ),
    ]
}

fn others() -> Vec<Seed> {
    vec![
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            json!({"metadata": {}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}),
        ),
        (
            "/api/v1/namespaces/default/secrets",
            json!({"metadata": {}, "type": "Opaque", "data": {"a": "YQ=="}, "stringData": {"b": "c"}}),
        ),
        (
            "/api/v1/nodes",
            json!({"metadata": {}, "spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "k", "effect": "NoSchedule"}]},
                "status": {"capacity": {"cpu": "1"}, "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}]}}),
        ),
        (
            "/apis/events.k8s.io/v1/namespaces/default/events",
            json!({"metadata": {}, "regarding": {"kind": "Pod", "namespace": "default", "name": "p"}, "note": "n",
                "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "c", "reportingInstance": "i",
                "action": "A", "reason": "R", "type": "Normal"}),
        ),
        (
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            json!({"metadata": {}, "spec": {"user": "u",
            "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
        ),
    ]
}
