//! ServiceAccount: every pod has one that exists, with its token mounted and its pull secrets.

use std::sync::Arc;

use machinery::status::Status;
use machinery::{meta, tree};
use serde_json::{Value, json};

use super::{Asked, Awaited, Edit, Operation, Patch, Refusal, View};

const ACCOUNTS: &str = "core/serviceaccounts";
const MIRROR: &str = "kubernetes.io/config.mirror";
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// One hour and seven seconds: upstream's mark for tokens that its admission put in.
const TOKEN_SECONDS: u32 = 3607;

pub fn admit(asked: &Asked<'_>, view: &View<'_>) -> Result<Patch, Refusal> {
    if !asked.is("", "pods") || !asked.subresource.is_empty() || asked.operation != Operation::Create {
        return Ok(Patch::new());
    }
    let pod = asked.object;
    if meta::annotation(pod, MIRROR).is_some() {
        return mirror(asked).map(|()| Patch::new());
    }
    let name = match tree::str(pod, "spec.serviceAccountName") {
        "" => "default",
        name => name,
    };
    let account = account(asked, view, name)?;
    if meta::annotation(&account, ENFORCE).is_some_and(|v| matches!(v, "1" | "t" | "T" | "true" | "TRUE" | "True")) {
        only_known_secrets(asked, &account)?;
    }
    let mut patch = vec![Edit::new("spec.serviceAccountName", name), Edit::new("spec.serviceAccount", name)];
    if tree::items(pod, "spec.imagePullSecrets").is_empty() && !tree::items(&account, "imagePullSecrets").is_empty() {
        patch.push(Edit::new("spec.imagePullSecrets", account["imagePullSecrets"].clone()));
    }
    let own = pod["spec"]["automountServiceAccountToken"].as_bool();
    if own.or(account["automountServiceAccountToken"].as_bool()).unwrap_or(true) {
        patch.extend(mount_token(pod, view));
    }
    Ok(patch)
}

fn account(asked: &Asked<'_>, view: &View<'_>, name: &str) -> Result<Arc<Value>, Refusal> {
    if let Some(account) = view.get(ACCOUNTS, asked.namespace, name) {
        return Ok(account);
    }
    let missing = Status::not_found("", "serviceaccount", name).message;
    let why = format!("error looking up service account {}/{name}: {missing}", asked.namespace);
    let status = asked.forbidden(&why).into_status();
    // The default account of a new namespace is made by a controller.
    match name {
        "default" => {
            let key = format!("{}/{name}", asked.namespace);
            Err(Refusal::Awaits(Box::new(Awaited { collection: ACCOUNTS, key, status })))
        }
        _ => Err(Refusal::Denied(status)),
    }
}

/// A mirror pod shows what a node runs by itself: it can use nothing of the API's.
fn mirror(asked: &Asked<'_>) -> Result<(), Refusal> {
    let pod = asked.object;
    if !tree::str(pod, "spec.serviceAccountName").is_empty() {
        return Err(asked.forbidden("a mirror pod may not reference service accounts"));
    }
    if super::node_restriction::names_secrets(pod) {
        return Err(asked.forbidden("a mirror pod may not reference secrets"));
    }
    let sources = tree::items(pod, "spec.volumes").iter().flat_map(|v| tree::items(v, "projected.sources"));
    if sources.into_iter().any(|source| !source["serviceAccountToken"].is_null()) {
        return Err(asked.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

/// Mounts the token volume where nothing is mounted at its path, and adds the volume when it is used.
fn mount_token(pod: &Value, view: &View<'_>) -> Patch {
    let volumes = tree::items(pod, "spec.volumes");
    let known = volumes.iter().filter_map(|v| v["name"].as_str()).find(|name| name.starts_with(VOLUME_PREFIX));
    let volume = known.map_or_else(|| format!("{VOLUME_PREFIX}{}", view.name_suffix()), str::to_owned);
    let mut patch = Patch::new();
    for (at, list) in [("spec.initContainers", "initContainers"), ("spec.containers", "containers")] {
        let mut containers = pod["spec"][list].as_array().cloned().unwrap_or_default();
        let missing = |c: &Value| !tree::items(c, "volumeMounts").iter().any(|m| m["mountPath"] == MOUNT_PATH);
        let mut changed = false;
        for container in containers.iter_mut().filter(|c| missing(c)) {
            let mut mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
            container["volumeMounts"] = mounts.into();
            changed = true;
        }
        if changed {
            patch.push(Edit::new(at, containers));
        }
    }
    if known.is_none() && !patch.is_empty() {
        let mut all = volumes.to_vec();
        all.push(token_volume(&volume));
        patch.push(Edit::new("spec.volumes", all));
    }
    patch
}

/// Token, cluster CA and namespace, as upstream projects them.
fn token_volume(name: &str) -> Value {
    let namespace = json!({"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}});
    let sources = json!([
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]);
    json!({"name": name, "projected": {"defaultMode": 420, "sources": sources}})
}

/// Where the account asks for it, a pod can use only the secrets that the account lists.
fn only_known_secrets(asked: &Asked<'_>, account: &Value) -> Result<(), Refusal> {
    let (pod, name) = (asked.object, meta::name(account));
    let lists = |field: &str, secret: &str| tree::items(account, field).iter().any(|s| s["name"] == secret);
    for volume in tree::items(pod, "spec.volumes") {
        let secret = volume["secret"]["secretName"].as_str();
        if let Some(secret) = secret.filter(|secret| !lists("secrets", secret)) {
            return Err(asked.forbidden(&format!(
                "volume with secret.secretName={secret:?} is not allowed because service account {name} does not \
                 reference that secret"
            )));
        }
    }
    for (list, what) in [("spec.initContainers", "init container"), ("spec.containers", "container")] {
        for (container, variable) in
            tree::items(pod, list).iter().flat_map(|c| tree::items(c, "env").iter().map(move |e| (c, e)))
        {
            let secret = variable["valueFrom"]["secretKeyRef"]["name"].as_str();
            if let Some(secret) = secret.filter(|secret| !lists("secrets", secret)) {
                return Err(asked.forbidden(&format!(
                    "{what} {} with envVar {} referencing secret.secretName={secret:?} is not allowed because service \
                     account {name} does not reference that secret",
                    container["name"].as_str().unwrap_or_default(),
                    variable["name"].as_str().unwrap_or_default(),
                )));
            }
        }
    }
    for (i, reference) in tree::items(pod, "spec.imagePullSecrets").iter().enumerate() {
        let secret = reference["name"].as_str().unwrap_or_default();
        if !lists("imagePullSecrets", secret) {
            return Err(asked.forbidden(&format!(
                "imagePullSecrets[{i}].name={secret:?} is not allowed because service account {name} does not reference \
                 that imagePullSecret"
            )));
        }
    }
    Ok(())
}
