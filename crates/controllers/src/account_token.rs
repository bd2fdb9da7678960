//! Secrets of type `kubernetes.io/service-account-token`: filled with a token, deleted with their ServiceAccount.
//!
//! Source: <https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets>. Keys are Secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use control::{Ask, Controller, Heard, Index, Live, Plan, Target, View, Watch, Write};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use machinery::key::Key;
use serde_json::json;

const SELECTOR: &str = "type=kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Token Secrets by `namespace/name` of their ServiceAccount.
static BY_ACCOUNT: Index<Secret> = Index {
    name: "token-secrets-by-account",
    values: |secret| {
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        annotation(secret, ACCOUNT_NAME).map(|name| format!("{namespace}/{name}")).into_iter().collect()
    },
};

pub struct AccountTokens {
    /// PEM of the API server's authority, which pods are given with their token.
    pub ca_bundle: String,
}

impl Controller for AccountTokens {
    fn name(&self) -> &'static str {
        "serviceaccount-token"
    }

    /// Minting tokens for all is no service account's right.
    fn account(&self) -> &'static str {
        ""
    }

    fn component(&self) -> &'static str {
        "serviceaccount-token-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::of::<Secret>().fields(SELECTOR).index(&BY_ACCOUNT).own::<Secret>(),
            Watch::of::<ServiceAccount>().keys(|account: &ServiceAccount, view| {
                let secrets = view.by::<Secret>(&BY_ACCOUNT, &control::watch::own_key(account).to_string());
                secrets.iter().map(|secret| control::watch::own_key(&**secret)).collect()
            }),
        ]
    }

    fn reconcile(&self, key: &Key, view: &View<'_>, heard: &Heard, _: Timestamp) -> Plan {
        let Some(secret) = view.get::<Secret>(&key.namespace, &key.name) else { return Plan::idle() };
        let Some(name) = annotation(&secret, ACCOUNT_NAME).filter(|_| secret.metadata.deletion_timestamp.is_none())
        else {
            return Plan::idle();
        };
        let account = view.get::<ServiceAccount>(&key.namespace, name);
        let uid = account.as_ref().and_then(|account| account.metadata.uid.clone());
        let named = annotation(&secret, ACCOUNT_UID);
        if let (Some(uid), true) = (&uid, named.is_none_or(|named| Some(named) == uid.as_deref())) {
            return self.fill(&secret, name, uid, heard);
        }
        // The account that it was for seems gone: the store must say so.
        match heard.live::<ServiceAccount>(&key.namespace, name) {
            Live::Unasked => Plan::ask(vec![Ask::get::<ServiceAccount>(&key.namespace, name)]),
            Live::Present(live) if named.is_none_or(|named| live.metadata.uid.as_deref() == Some(named)) => {
                Plan::idle()
            }
            _ => {
                let mut plan = Plan::idle();
                plan.write(Write::delete(Target::exactly(&*secret)));
                plan
            }
        }
    }
}

fn annotation<'a>(secret: &'a Secret, name: &str) -> Option<&'a str> {
    secret.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

impl AccountTokens {
    /// Puts in what is missing or old: the token once, authority and namespace as they are.
    fn fill(&self, secret: &Secret, account: &str, uid: &str, heard: &Heard) -> Plan {
        let namespace = secret.metadata.namespace.clone().unwrap_or_default();
        let held = |name: &str| secret.data.as_ref().and_then(|data| data.get(name)).map(|bytes| bytes.0.as_slice());
        let mut data = serde_json::Map::new();
        for (name, wanted) in [("ca.crt", self.ca_bundle.as_str()), ("namespace", namespace.as_str())] {
            if held(name) != Some(wanted.as_bytes()) {
                data.insert(name.into(), STANDARD.encode(wanted).into());
            }
        }
        if held("token").is_none_or(|token| token.is_empty()) {
            let ask = Ask::Token {
                namespace: namespace.clone(),
                account: account.to_owned(),
                secret: secret.metadata.name.clone().unwrap_or_default(),
                secret_uid: secret.metadata.uid.clone().unwrap_or_default(),
            };
            let Some(token) = heard.secret(&ask) else { return Plan::ask(vec![ask]) };
            data.insert("token".into(), STANDARD.encode(token).into());
        }
        let mut plan = Plan::idle();
        if !data.is_empty() || annotation(secret, ACCOUNT_UID) != Some(uid) {
            let tree = json!({ "metadata": { "annotations": { ACCOUNT_UID: uid } }, "data": data });
            plan.write(Write::patch(Target::exactly(secret), tree));
        }
        plan
    }
}
