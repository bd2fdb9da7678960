//! The objects that every cluster has from its first moment on. Made when absent, never changed.

use machinery::identity::User;
use machinery::request::{PatchKind, Request, Verb};
use machinery::status::Status;
use serde_json::{Value, json};

use crate::Registry;
use crate::allocate::addresses::default_cidr;

const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];
/// As upstream: the server acts as itself.
const USER: &str = "system:apiserver";
const MANAGER: &str = "kube-apiserver";
const SERVICE_CIDRS: (&str, &str, &str) = ("networking.k8s.io", "v1", "servicecidrs");

impl Registry {
    pub(crate) async fn bootstrap(&self) -> Result<(), Status> {
        let user = User::new(USER, ["system:masters", "system:authenticated"]);
        for name in NAMESPACES {
            let metadata = json!({"name": name, "labels": {"kubernetes.io/metadata.name": name}});
            let tree = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata});
            self.make(&user, ("", "v1", "namespaces"), tree).await?;
        }
        for (name, value, what) in [
            ("system-node-critical", 2_000_001_000, "node critical"),
            ("system-cluster-critical", 2_000_000_000, "cluster critical"),
        ] {
            self.make(&user, ("scheduling.k8s.io", "v1", "priorityclasses"), priority_class(name, value, what)).await?;
        }
        let cidr = default_cidr(&self.config.service_cidr);
        self.make(&user, SERVICE_CIDRS, cidr).await?;
        self.say_cidr_ready(&user).await
    }

    /// The default range is ready as soon as it is there; upstream's server says so too.
    async fn say_cidr_ready(&self, user: &User) -> Result<(), Status> {
        let (group, version, plural) = SERVICE_CIDRS;
        let unsaid = |cidr: &Value| cidr["status"]["conditions"].as_array().is_none_or(Vec::is_empty);
        if !self.peek(group, plural, "", "kubernetes").is_some_and(|cidr| unsaid(&cidr)) {
            return Ok(());
        }
        let condition = json!({
            "type": "Ready", "status": "True", "reason": "", "lastTransitionTime": self.world.now_text(),
            "message": "Kubernetes default Service CIDR is ready",
        });
        let patch = Request::new(Verb::Patch(PatchKind::Merge), group, version, plural);
        let mut patch =
            patch.name("kubernetes").subresource("status").body(json!({"status": {"conditions": [condition]}}));
        patch.options.field_manager = MANAGER.into();
        self.call(user, patch).await.map(|_| ())
    }

    /// Creates an object of a kind that is served, unless it is there.
    async fn make(&self, user: &User, (group, version, plural): (&str, &str, &str), tree: Value) -> Result<(), Status> {
        if api::by_plural(group, version, plural).is_none() {
            return Ok(());
        }
        let name = tree["metadata"]["name"].as_str().unwrap_or_default();
        if self.peek(group, plural, "", name).is_some() {
            return Ok(());
        }
        let mut request = Request::new(Verb::Create, group, version, plural).body(tree);
        request.options.field_manager = MANAGER.into();
        match self.call(user, request).await {
            Err(status) if !status.is_already_exists() => Err(status),
            _ => Ok(()),
        }
    }
}

fn priority_class(name: &str, value: i64, what: &str) -> Value {
    let description = match what {
        "node critical" => "Used for system critical pods that must not be moved from their current node.",
        _ => {
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."
        }
    };
    json!({
        "kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "metadata": {"name": name},
        "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
    })
}
