//! Every active namespace has a ConfigMap with the certificate authority of the API server, for pods to trust it.
//!
//! Keys are namespaces.

use control::{Controller, Heard, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use machinery::key::Key;
use serde_json::json;

use crate::namespace::is_active;

const NAME: &str = "kube-root-ca.crt";
const SELECTOR: &str = "metadata.name=kube-root-ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
/// Upstream's text, which people read in the object.
const DESCRIBED: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
     endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
     distributions of Kubernetes clusters.";

pub struct RootCa {
    /// PEM.
    pub bundle: String,
}

impl Controller for RootCa {
    fn name(&self) -> &'static str {
        "root-ca-certificate-publisher"
    }

    fn account(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Namespace>().own::<Namespace>(),
            Watch::of::<ConfigMap>()
                .fields(SELECTOR)
                .keys(|map: &ConfigMap, _| vec![Key::new("", map.metadata.namespace.as_deref().unwrap_or_default())]),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, _: &Heard, _: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        if !view.get::<Namespace>("", &key.name).is_some_and(|namespace| is_active(&namespace)) {
            return plan;
        }
        let annotations = json!({ DESCRIPTION: DESCRIBED });
        let data = json!({ "ca.crt": self.bundle });
        match view.get::<ConfigMap>(&key.name, NAME) {
            None => plan.write(Write::create::<ConfigMap>(json!({
                "metadata": { "name": NAME, "namespace": &*key.name, "annotations": annotations },
                "data": data,
            }))),
            Some(map) if !self.is_right(&map) => {
                let kept = map.data.iter().flatten().filter(|(name, _)| *name != "ca.crt");
                let mut tree = json!({ "metadata": { "annotations": annotations }, "data": data });
                for (name, _) in kept {
                    tree["data"][name] = serde_json::Value::Null;
                }
                plan.write(Write::patch(Target::exactly(&*map), tree));
            }
            Some(_) => {}
        }
        plan
    }
}

impl RootCa {
    fn is_right(&self, map: &ConfigMap) -> bool {
        let data = map.data.as_ref();
        let annotations = map.metadata.annotations.as_ref();
        data.is_some_and(|data| data.len() == 1 && data.get("ca.crt") == Some(&self.bundle))
            && annotations.and_then(|annotations| annotations.get(DESCRIPTION)).is_some_and(|text| text == DESCRIBED)
    }
}
