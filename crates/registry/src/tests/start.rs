//! What every cluster has from its first moment on.

use machinery::request::{Request, Verb};
use store::embedded::{self, Embedded};

use super::{fixture, names};
use crate::{Registry, World};

#[tokio::test]
async fn the_first_objects_are_made_once() {
    let f = fixture().await;
    let all = f.list(Request::new(Verb::List, "", "v1", "namespaces")).await;
    assert_eq!(names(&all), ["default", "kube-node-lease", "kube-public", "kube-system"]);
    let classes = f.list(Request::new(Verb::List, "scheduling.k8s.io", "v1", "priorityclasses")).await;
    assert_eq!(names(&classes), ["system-cluster-critical", "system-node-critical"]);
    let cidr = f.tree(Request::new(Verb::Get, "networking.k8s.io", "v1", "servicecidrs").name("kubernetes")).await;
    assert_eq!(cidr["spec"]["cidrs"][0], "10.96.0.0/16");
    assert_eq!(cidr["status"]["conditions"][0]["type"], "Ready");
    let before = f.registry.revision();
    f.store.close();
    let store = Embedded::open(f.folder.path(), embedded::Config::default()).unwrap();
    let again = Registry::open(store, World::real()).await.unwrap();
    assert_eq!(again.revision(), before);
}
