//! LimitRanges and default classes.

use machinery::request::{Request, Verb};
use serde_json::{Value, json};

use super::{Fixture, fixture};

async fn limited(f: &Fixture, limits: Value) {
    let accounts = Request::new(Verb::Create, "", "v1", "serviceaccounts").namespace("default");
    f.tree(accounts.body(json!({"metadata": {"name": "default"}}))).await;
    let ranges = Request::new(Verb::Create, "", "v1", "limitranges").namespace("default");
    f.tree(ranges.body(json!({"metadata": {"name": "l"}, "spec": {"limits": [limits]}}))).await;
}

fn pod(resources: Value) -> Request {
    let spec = json!({"containers": [{"name": "c", "image": "i", "resources": resources}]});
    let tree = json!({"metadata": {"name": "p"}, "spec": spec});
    Request::new(Verb::Create, "", "v1", "pods").namespace("default").body(tree)
}

#[tokio::test]
async fn containers_get_defaults() {
    let f = fixture().await;
    let defaults = json!({"type": "Container", "default": {"cpu": "200m"}, "defaultRequest": {"cpu": "100m"}});
    limited(&f, defaults).await;
    let made = f.tree(pod(json!({}))).await;
    let expected = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}});
    assert_eq!(made["spec"]["containers"][0]["resources"], expected);
    let said = "LimitRanger plugin set: cpu request for container c; cpu limit for container c";
    assert_eq!(made["metadata"]["annotations"]["kubernetes.io/limit-ranger"], said);
    assert_eq!(made["status"]["qosClass"], "Burstable");
}

#[tokio::test]
async fn pods_stay_in_their_bounds() {
    let f = fixture().await;
    let bounds = json!({"type": "Container", "min": {"memory": "10Mi"}, "max": {"memory": "1Gi"}});
    limited(&f, bounds).await;
    let status = f.refused(pod(json!({"requests": {"memory": "2Gi"}, "limits": {"memory": "2Gi"}}))).await;
    let expected = "pods \"p\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi";
    assert_eq!((status.code, status.message.as_str()), (403, expected));
    let status = f.refused(pod(json!({"requests": {"memory": "1Mi"}, "limits": {"memory": "1Mi"}}))).await;
    let expected = "pods \"p\" is forbidden: minimum memory usage per Container is 10Mi, but request is 1Mi";
    assert_eq!(status.message, expected);
    // One that is wrong as a pod too is told that first.
    let status = f.refused(pod(json!({"requests": {"memory": "3Gi"}, "limits": {"memory": "2Gi"}}))).await;
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    f.tree(pod(json!({"requests": {"memory": "20Mi"}, "limits": {"memory": "20Mi"}}))).await;
}

#[tokio::test]
async fn claims_get_the_default_class() {
    let f = fixture().await;
    let class = |name: &str, default: &str| {
        let mark = json!({"storageclass.kubernetes.io/is-default-class": default});
        let tree = json!({"metadata": {"name": name, "annotations": mark}, "provisioner": "x.io/y"});
        Request::new(Verb::Create, "storage.k8s.io", "v1", "storageclasses").body(tree)
    };
    f.tree(class("a", "false")).await;
    f.tree(class("b", "true")).await;
    let claim = |name: &str, class: Value| {
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        spec["storageClassName"] = class;
        let tree = json!({"metadata": {"name": name}, "spec": spec});
        Request::new(Verb::Create, "", "v1", "persistentvolumeclaims").namespace("default").body(tree)
    };
    assert_eq!(f.tree(claim("one", Value::Null)).await["spec"]["storageClassName"], "b");
    assert_eq!(f.tree(claim("two", json!(""))).await["spec"]["storageClassName"], "");
}
