//! Every active namespace has a ServiceAccount `default`.
//!
//! Source: <https://kubernetes.io/docs/concepts/security/service-accounts/#default-service-accounts>. Keys are
//! namespaces.

use control::{Controller, Heard, Plan, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use machinery::key::Key;
use serde_json::json;

use crate::namespace::is_active;

const NAME: &str = "default";

pub struct DefaultAccounts;

impl Controller for DefaultAccounts {
    fn name(&self) -> &'static str {
        "serviceaccount"
    }

    fn account(&self) -> &'static str {
        "service-account-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Namespace>().own::<Namespace>(),
            Watch::of::<ServiceAccount>().keys(|account: &ServiceAccount, _| {
                let meta = &account.metadata;
                let is_default = meta.name.as_deref() == Some(NAME);
                is_default.then(|| Key::new("", meta.namespace.as_deref().unwrap_or_default())).into_iter().collect()
            }),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, _: &Heard, _: Timestamp) -> Plan {
        let mut plan = Plan::idle();
        let active = view.get::<Namespace>("", &key.name).is_some_and(|namespace| is_active(&namespace));
        if active && view.get::<ServiceAccount>(&key.name, NAME).is_none() {
            let meta = json!({ "name": NAME, "namespace": &*key.name });
            plan.write(Write::create::<ServiceAccount>(json!({ "metadata": meta })));
        }
        plan
    }
}
