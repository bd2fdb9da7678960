//! Objects that must be there before anybody but the superuser can work: the RBAC policy, and what extension API
//! servers trust front proxies by.
//!
//! Not here: namespaces, PriorityClasses and ServiceCIDRs (the registry's), the Service `kubernetes` (a controller's).

use machinery::request::{Request, Verb};
use machinery::status::Status;
use registry::Registry;
use serde_json::json;

use crate::authz::bootstrap;
use crate::identity;
use crate::pki::Pki;

/// Writes what is missing, all at once.
///
/// # Errors
/// The first write that was refused.
pub async fn run(registry: &Registry, pki: &Pki) -> Result<(), Status> {
    let policy = bootstrap::policy().map_err(Status::internal)?;
    let (policy, authentication) = tokio::join!(bootstrap::reconcile(registry, &policy), authentication(registry, pki));
    policy.and(authentication)
}

async fn authentication(registry: &Registry, pki: &Pki) -> Result<(), Status> {
    let name = "extension-apiserver-authentication";
    if registry.peek("", "configmaps", "kube-system", name).is_some() {
        return Ok(());
    }
    let tree = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": {
            "client-ca-file": pki.ca_pem(),
            "requestheader-client-ca-file": pki.front_proxy_ca_pem(),
            "requestheader-allowed-names": "[\"front-proxy-client\"]",
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-username-headers": "[\"X-Remote-User\"]",
        },
    });
    let request = Request::new(Verb::Create, "", "v1", "configmaps").namespace("kube-system").body(tree);
    match registry.call(&identity::apiserver(), request).await {
        Err(status) if !status.is_already_exists() => Err(status),
        _ => Ok(()),
    }
}
