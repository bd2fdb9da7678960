//! Service account tokens for projected volumes: bound to the pod, kept until they are due.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use client::{Client, Resource};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::plan::spec;
use crate::plan::volumes::{self, Token, Tokens};

/// A token is replaced when this part of its life is over, in percent.
const REFRESH_PERCENT: i64 = 80;
/// And at the latest at this age.
const REFRESH_S_MAX: i64 = 24 * 3600;

struct Held {
    text: String,
    refresh: Timestamp,
}

/// The tokens of all pods of this node.
#[derive(Default)]
pub struct Keyring {
    held: Mutex<BTreeMap<(String, Token), Held>>,
}

impl Keyring {
    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, Token), Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All tokens that the pod's volumes ask for, and when the first of them is to be replaced.
    ///
    /// # Errors
    /// The API server did not issue one.
    pub async fn tokens(
        &self,
        client: &Client,
        pod: &Pod,
        now: Timestamp,
    ) -> Result<(Tokens, Option<Timestamp>), String> {
        let (mut out, mut first) = (Tokens::new(), None::<Timestamp>);
        for wish in volumes::tokens(pod) {
            let key = (spec::uid(pod).to_owned(), wish.clone());
            let held = self.table().get(&key).filter(|h| now < h.refresh).map(|h| (h.text.clone(), h.refresh));
            let (text, refresh) = match held {
                Some(held) => held,
                None => {
                    let (text, refresh) = issue(client, pod, &wish, now).await?;
                    self.table().insert(key, Held { text: text.clone(), refresh });
                    (text, refresh)
                }
            };
            first = Some(first.map_or(refresh, |f| f.min(refresh)));
            out.insert(wish, text);
        }
        Ok((out, first))
    }

    pub fn forget(&self, uid: &str) {
        self.table().retain(|(of, _), _| of != uid);
    }
}

async fn issue(client: &Client, pod: &Pod, wish: &Token, now: Timestamp) -> Result<(String, Timestamp), String> {
    let account = spec::spec(pod).service_account_name.as_deref().unwrap_or("default");
    let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": spec::name(pod), "uid": spec::uid(pod)});
    let audiences: Vec<&str> = Some(wish.audience.as_str()).filter(|a| !a.is_empty()).into_iter().collect();
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec":
        {"audiences": audiences, "expirationSeconds": wish.seconds, "boundObjectRef": bound}});
    let accounts = Resource::of::<k8s_openapi::api::core::v1::ServiceAccount>();
    let answer = client.create_tree(&accounts, spec::namespace(pod), account, "token", request).await;
    let answer: std::sync::Arc<Value> = answer.map_err(|e| format!("failed to fetch token: {e}"))?;
    let text = answer["status"]["token"].as_str().ok_or("failed to fetch token: the answer holds none")?;
    let expires = machinery::time::from_tree(&answer["status"]["expirationTimestamp"]);
    let life = expires.map_or(wish.seconds, |e| e.duration_since(now).as_secs());
    let refresh = now + SignedDuration::from_secs((life * REFRESH_PERCENT / 100).clamp(1, REFRESH_S_MAX));
    Ok((text.to_owned(), refresh))
}
