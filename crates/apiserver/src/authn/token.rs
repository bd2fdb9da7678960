//! Checks a verified token's claims against the clock and the objects that it is bound to.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use machinery::identity::User;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::claims::{Claims, Reference};
use super::issuer::{Issuer, LEGACY_ISSUER};
use super::{Identified, Live};
use crate::identity::SERVICE_ACCOUNTS;

/// Clocks differ; upstream's JWT library allows the same.
const LEEWAY_SECONDS: i64 = 60;
const RECENT_TOKENS_MAX: usize = 1024;

/// Tokens whose signature was found good. A signature stays good; everything else is checked on every request.
#[derive(Default)]
pub struct Recent(Mutex<BTreeMap<[u8; 32], Claims>>);

impl Recent {
    pub fn verified(&self, token: &str, issuer: &Issuer) -> Option<Claims> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if known.is_some() {
            return known;
        }
        let claims = issuer.verify(token)?;
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT_TOKENS_MAX {
            recent.clear();
        }
        recent.insert(digest, claims.clone());
        Some(claims)
    }
}

/// The user of a token, or upstream's words for why there is none.
pub async fn check(
    claims: &Claims,
    token: &str,
    audiences: &[String],
    issuer: &Issuer,
    live: &Live,
    now: Timestamp,
) -> Result<Identified, String> {
    let own = if claims.aud.is_empty() { issuer.audiences() } else { &claims.aud };
    let shared: Vec<_> = own.iter().filter(|a| audiences.contains(a)).cloned().collect();
    if shared.is_empty() {
        return Err(format!(
            "token audiences {} is invalid for the target audiences {}",
            quoted(own),
            quoted(audiences)
        ));
    }
    let legacy = claims.iss == LEGACY_ISSUER;
    let (user, warnings) =
        if legacy { legacy_user(claims, token, live).await? } else { bound_user(claims, live, now).await? };
    Ok(Identified { user, audiences: shared, warnings })
}

async fn bound_user(claims: &Claims, live: &Live, now: Timestamp) -> Result<(User, Vec<String>), String> {
    let seconds = now.as_second();
    if claims.exp.is_none_or(|exp| seconds - LEEWAY_SECONDS > exp) {
        return Err("service account token has expired".into());
    }
    if claims.nbf.is_some_and(|nbf| seconds + LEEWAY_SECONDS < nbf) {
        return Err("service account token is not valid yet".into());
    }
    if claims.iat.is_some_and(|iat| seconds + LEEWAY_SECONDS < iat) {
        return Err("service account token is issued in the future".into());
    }
    let bound = claims.kubernetes.as_ref().ok_or("sub claim is missing")?;
    let (namespace, account) = (bound.namespace.as_str(), &bound.serviceaccount);
    let dead = now - SignedDuration::from_secs(LEEWAY_SECONDS);
    let object = live.get("serviceaccounts", namespace, &account.name).await.map_err(|s| s.message)?;
    if deleted_before(&object, dead) {
        return Err(format!("service account {namespace}/{} has been deleted", account.name));
    }
    if object["metadata"]["uid"] != account.uid.as_str() {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        return Err(format!("service account UID ({uid}) does not match claim ({})", account.uid));
    }
    let mut user = user_of(namespace, account);
    let key = |name: &str| format!("authentication.kubernetes.io/{name}");
    if let Some(secret) = &bound.secret {
        alive(live, ("secrets", "secret"), namespace, secret, dead).await?;
    }
    if let Some(pod) = &bound.pod {
        alive(live, ("pods", "pod"), namespace, pod, dead).await?;
        user.extra.insert(key("pod-name"), vec![pod.name.clone()]);
        user.extra.insert(key("pod-uid"), vec![pod.uid.clone()]);
    }
    if let Some(node) = &bound.node {
        // A pod's token only remembers its node; a token bound to the node itself dies with it.
        if bound.pod.is_none() {
            alive(live, ("nodes", "node"), "", node, dead).await?;
        }
        user.extra.insert(key("node-name"), vec![node.name.clone()]);
        if !node.uid.is_empty() {
            user.extra.insert(key("node-uid"), vec![node.uid.clone()]);
        }
    }
    if !claims.jti.is_empty() {
        user.extra.insert(key("credential-id"), vec![format!("JTI={}", claims.jti)]);
    }
    Ok((user, Vec::new()))
}

/// The object that a token is bound to is there, with the same uid, and not long deleted.
async fn alive(
    live: &Live,
    (resource, word): (&str, &str),
    namespace: &str,
    bound: &Reference,
    dead: Timestamp,
) -> Result<(), String> {
    let gone = "service account token has been invalidated";
    let object = live.get(resource, namespace, &bound.name).await.map_err(|_| gone)?;
    if deleted_before(&object, dead) {
        return Err(gone.into());
    }
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    if uid != bound.uid {
        let claim = if word == "node" { "node ref claim" } else { &format!("service account {word} ref claim") };
        return Err(format!("{word} UID ({uid}) does not match {claim} ({})", bound.uid));
    }
    Ok(())
}

async fn legacy_user(claims: &Claims, token: &str, live: &Live) -> Result<(User, Vec<String>), String> {
    let namespace = claims.legacy_namespace.as_str();
    let account = Reference { name: claims.legacy_account.clone(), uid: claims.legacy_uid.clone() };
    if claims.sub != format!("system:serviceaccount:{namespace}:{}", account.name) {
        return Err("sub claim is invalid".into());
    }
    let gone = "Token has been invalidated";
    let secret = live.get("secrets", namespace, &claims.legacy_secret).await.map_err(|_| gone)?;
    if !secret["metadata"]["deletionTimestamp"].is_null() {
        return Err(gone.into());
    }
    use base64::Engine;
    let stored = secret["data"]["token"].as_str().unwrap_or_default();
    let stored = base64::engine::general_purpose::STANDARD.decode(stored).unwrap_or_default();
    if aws_lc_rs::constant_time::verify_slices_are_equal(&stored, token.as_bytes()).is_err() {
        return Err("Token does not match server's copy".into());
    }
    let object = live.get("serviceaccounts", namespace, &account.name).await.map_err(|s| s.message)?;
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Err(format!("ServiceAccount {namespace}/{} has been deleted", account.name));
    }
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    if uid != account.uid {
        return Err(format!("ServiceAccount UID ({uid}) does not match claim ({})", account.uid));
    }
    let listed = object["secrets"].as_array().into_iter().flatten();
    let generated = listed.into_iter().any(|s| s["name"] == claims.legacy_secret.as_str());
    let warning = "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated \
                   secret-based tokens.";
    let warnings = if generated { vec![warning.to_owned()] } else { Vec::new() };
    Ok((user_of(namespace, &account), warnings))
}

fn user_of(namespace: &str, account: &Reference) -> User {
    let groups = [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")];
    let mut user = User::new(format!("system:serviceaccount:{namespace}:{}", account.name), groups);
    user.uid.clone_from(&account.uid);
    user
}

fn deleted_before(object: &Value, dead: Timestamp) -> bool {
    let at = object["metadata"]["deletionTimestamp"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
    at.is_some_and(|at| at < dead)
}

fn quoted(list: &[String]) -> String {
    let quoted: Vec<_> = list.iter().map(|s| format!("{s:?}")).collect();
    format!("[{}]", quoted.join(" "))
}
