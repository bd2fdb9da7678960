//! A pod is scheduled and runs.

#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use sim::cluster::Cluster;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn a_pod_is_scheduled_runs_and_ends() {
    let begun = std::time::Instant::now();
    runtime().block_on(async {
        let mut cluster = Cluster::start(1).await.unwrap();
        println!("started {:?}", begun.elapsed());
        cluster.add_node().await.unwrap();
        println!("node {:?}", begun.elapsed());
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": "default" },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "busybox", "command": ["sleep", "30"] }] },
        }))
        .unwrap();
        let admin = cluster.admin();
        admin.create(&pod).await.unwrap();
        let mut phases = Vec::new();
        while phases.last().is_none_or(|phase| phase != "Succeeded") {
            let phase = admin.get::<Pod>("default", "p").await.unwrap().status.clone().unwrap().phase.unwrap();
            if phases.last() != Some(&phase) {
                phases.push(phase);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(phases, ["Pending", "Running", "Succeeded"]);
        println!("end {:?}", begun.elapsed());
    });
}
