//! Authorization over HTTP: roles, nodes, impersonation, escalation, reviews.

use serde_json::{Value, json};

use crate::harness::{As, Got, Harness, request, with_header};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const EVE: As = As::Certificate("eve", "devs");

async fn grant(server: &Harness, role: &str, rules: Value) {
    let kind = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": role}, "rules": rules});
    let got = server.post(&As::Admin, &format!("{RBAC}/namespaces/default/roles"), kind).await;
    assert_eq!(got.code, 201, "{}", got.message());
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"}]});
    let got = server.post(&As::Admin, &format!("{RBAC}/namespaces/default/rolebindings"), binding).await;
    assert_eq!(got.code, 201, "{}", got.message());
}

/// Asks until the index has heard of the binding.
async fn until(server: &Harness, who: &As, path: &str, code: u16) -> Got {
    for _ in 0..200 {
        let got = server.get(who, path).await;
        if got.code == code {
            return got;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.get(who, path).await
}

#[tokio::test]
async fn a_role_holds_where_it_is_bound() {
    let server = Harness::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    assert_eq!(server.get(&EVE, maps).await.code, 403);
    grant(&server, "reader", json!([{"verbs": ["list"], "apiGroups": [""], "resources": ["configmaps"]}])).await;
    assert_eq!(until(&server, &EVE, maps, 200).await.code, 200);
    assert_eq!(server.get(&EVE, "/api/v1/namespaces/kube-system/configmaps").await.code, 403);
    let spec = json!({"resourceAttributes": {"verb": "list", "resource": "configmaps", "namespace": "default"}});
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let got = server.post(&EVE, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body).await.json();
    assert_eq!(got["status"]["allowed"], true);
    assert_eq!(
        got["status"]["reason"],
        "RBAC: allowed by RoleBinding \"reader/default\" of Role \"reader\" to Group \"devs\""
    );
}

#[tokio::test]
async fn nobody_grants_more_than_he_has() {
    let server = Harness::start().await;
    let all = json!(["create", "list", "update", "get"]);
    grant(
        &server,
        "admin",
        json!([{"verbs": all, "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"]}]),
    )
    .await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    assert_eq!(until(&server, &EVE, &roles, 200).await.code, 200);
    let role = |verbs: Value, group: &str, resource: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "x"},
            "rules": [{"verbs": verbs, "apiGroups": [group], "resources": [resource]}]})
    };
    let got = server.post(&EVE, &roles, role(json!(["get"]), "", "secrets")).await;
    assert_eq!(got.code, 403);
    assert_eq!(
        got.message(),
        "roles.rbac.authorization.k8s.io \"x\" is forbidden: user \"eve\" (groups=[\"devs\" \"system:authenticated\"]) is \
         attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
    );
    let got = server.post(&EVE, &roles, role(json!(["get"]), "rbac.authorization.k8s.io", "roles")).await;
    assert_eq!(got.code, 201, "{}", got.message());
}

#[tokio::test]
async fn acting_as_another_needs_the_permission() {
    let server = Harness::start().await;
    let asked = || {
        let plain = request("GET", "/api/v1/namespaces/default/pods", "", "");
        with_header(with_header(plain, "impersonate-user", "bob"), "impersonate-group", "system:masters")
    };
    assert_eq!(server.send(&As::Admin, asked()).await.code, 200);
    let got = server.send(&EVE, asked()).await;
    assert_eq!(got.code, 403);
    assert_eq!(
        got.message(),
        "users \"bob\" is forbidden: User \"eve\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
}

#[tokio::test]
async fn a_node_sees_what_its_pods_name() {
    let server = Harness::start().await;
    let node = As::Certificate("system:node:n1", "system:nodes");
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    for name in ["mine", "other"] {
        server.post(&As::Admin, "/api/v1/namespaces/default/secrets", secret(name)).await;
    }
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    server.post(&As::Admin, "/api/v1/namespaces/default/serviceaccounts", account).await;
    assert_eq!(server.get(&node, "/api/v1/namespaces/default/secrets/mine").await.code, 403);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n1",
        "containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "secret": {"secretName": "mine"}}]}});
    let got = server.post(&As::Admin, "/api/v1/namespaces/default/pods", pod).await;
    assert_eq!(got.code, 201, "{}", got.message());
    // At once: the graph may not have heard of the pod, and must look.
    assert_eq!(server.get(&node, "/api/v1/namespaces/default/secrets/mine").await.code, 200);
    let got = server.get(&node, "/api/v1/namespaces/default/secrets/other").await;
    assert_eq!(got.code, 403);
    assert!(got.message().ends_with(": no relationship found between node 'n1' and this object"), "{}", got.message());
    assert_eq!(server.get(&node, "/api/v1/pods").await.code, 403);
    assert_eq!(server.get(&node, "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await.code, 200);
}

#[tokio::test]
async fn what_a_write_creates_needs_that_permission_too() {
    let server = Harness::start().await;
    let verbs = json!(["get", "update", "patch"]);
    let rule = |group: &str, resource: &str| json!({"verbs": verbs, "apiGroups": [group], "resources": [resource]});
    grant(&server, "writer", json!([rule("coordination.k8s.io", "leases"), rule("", "configmaps")])).await;
    let map = "/api/v1/namespaces/default/configmaps/m";
    assert_eq!(until(&server, &EVE, map, 404).await.code, 404);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}}).to_string();
    let got = server.send(&EVE, request("PUT", lease, "application/json", body.clone())).await;
    assert_eq!(got.code, 403);
    assert!(got.message().contains("cannot create resource \"leases\""), "{}", got.message());
    assert_eq!(server.send(&As::Admin, request("PUT", lease, "application/json", body.clone())).await.code, 201);
    // It is there now: she may, and is told that a Lease is not updated without its resourceVersion.
    assert_eq!(server.send(&EVE, request("PUT", lease, "application/json", body)).await.code, 422);
    let body = "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\"}";
    let apply = || request("PATCH", &format!("{map}?fieldManager=x"), "application/apply-patch+yaml", body);
    assert_eq!(server.send(&EVE, apply()).await.code, 403);
    assert_eq!(server.send(&As::Admin, apply()).await.code, 201);
    assert_eq!(server.send(&EVE, apply()).await.code, 200);
}
