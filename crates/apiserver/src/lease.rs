//! The API server's identity Lease in kube-system: who serves this cluster, and whether it is alive.
//!
//! Source: <https://kubernetes.io/docs/concepts/architecture/leases/#api-server-identity>.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use machinery::request::{PatchKind, Request, Verb};
use machinery::status::Status;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::front::Front;
use crate::identity;

const LEASE_SECONDS: u64 = 3600;
/// An idle cluster does nothing but renew leases, and this one seldom.
const RENEW_EVERY: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_secs(10);
const GROUP: &str = "coordination.k8s.io";

/// Keeps the Lease until dropped; a Lease left behind is collected after its hour.
pub async fn keep(front: Arc<Front>, hostname: &str) -> Infallible {
    let name = name(hostname);
    let holder = format!("{name}_{}", front.registry().world().uid());
    loop {
        let wait = match renew(&front, &name, &holder, hostname).await {
            Ok(()) => RENEW_EVERY,
            Err(status) => {
                tracing::warn!(%status, "renewing the API server's identity lease");
                RETRY
            }
        };
        (front.registry().world().sleep)(wait).await;
    }
}

/// `apiserver-` and a hash of the host: the same after a restart.
fn name(hostname: &str) -> String {
    let digest = Sha256::digest(hostname.as_bytes());
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest[..16]);
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("apiserver-{}", plain.to_ascii_lowercase())
}

async fn renew(front: &Front, name: &str, holder: &str, hostname: &str) -> Result<(), Status> {
    let user = identity::apiserver();
    let now = front.registry().world().now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now});
    let request = |verb| Request::new(verb, GROUP, "v1", "leases").namespace("kube-system");
    let patch = request(Verb::Patch(PatchKind::Merge)).name(name).body(json!({"spec": spec}));
    match front.registry().call(&user, patch).await {
        Err(status) if status.is_not_found() => {}
        other => return other.map(|_| ()),
    }
    let labels = json!({"apiserver.kubernetes.io/identity": "kube-apiserver", "kubernetes.io/hostname": hostname});
    let metadata = json!({"name": name, "namespace": "kube-system", "labels": labels});
    let tree = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Lease", "metadata": metadata, "spec": spec});
    front.registry().call(&user, request(Verb::Create).body(tree)).await.map(|_| ())
}
