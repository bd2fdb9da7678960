//! The namespaces that the cluster itself uses.

use control::{Controller, Heard, Plan, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use machinery::key::Key;
use serde_json::json;

const NAMES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

pub struct SystemNamespaces;

impl Controller for SystemNamespaces {
    fn name(&self) -> &'static str {
        "system-namespaces"
    }

    fn account(&self) -> &'static str {
        super::api_service::SERVER
    }

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::of::<Namespace>().own::<Namespace>()]
    }

    fn first_keys(&self) -> Vec<Key> {
        NAMES.map(|name| Key::new("", name)).to_vec()
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, _: &Heard, _: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        if NAMES.contains(&&*key.name) && view.get::<Namespace>("", &key.name).is_none() {
            plan.write(Write::create::<Namespace>(json!({ "metadata": { "name": &*key.name } })));
        }
        plan
    }
}
