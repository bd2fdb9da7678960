//! Who asks the kubelet, and may they: client certificates or TokenReview, then SubjectAccessReview, remembered
//! for a moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::{Client, Resource};
use http::{Request, StatusCode};
use machinery::identity::User;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use x509_parser::prelude::FromDer;

use super::route::Route;
use super::{Answer, text};

const ALLOWED_FOR: Duration = Duration::from_secs(300);
const DENIED_FOR: Duration = Duration::from_secs(30);
const TOKENS_FOR: Duration = Duration::from_secs(120);
const REMEMBERED_MAX: usize = 1024;

/// Answers that are remembered until a time.
struct Memory<K, V> {
    held: Mutex<BTreeMap<K, (V, Instant)>>,
}

impl<K: Ord, V: Clone> Memory<K, V> {
    fn new() -> Self {
        Self { held: Mutex::new(BTreeMap::new()) }
    }

    fn get(&self, key: &K) -> Option<V> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(key).filter(|(_, until)| Instant::now() < *until).map(|(value, _)| value.clone())
    }

    fn put(&self, key: K, value: V, time: Duration) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if held.len() >= REMEMBERED_MAX {
            held.retain(|_, (_, until)| now < *until);
        }
        if held.len() < REMEMBERED_MAX {
            held.insert(key, (value, now + time));
        }
    }
}

/// The door of the kubelet's API.
pub struct Gate {
    client: Client,
    node: String,
    /// By the token's hash: tokens themselves are not kept.
    users: Memory<[u8; 32], User>,
    verdicts: Memory<(String, Vec<String>, String, String), bool>,
}

fn unauthorized() -> Answer {
    text(StatusCode::UNAUTHORIZED, "Unauthorized")
}

/// Common name and organizations of a certificate that TLS has verified.
fn certified(der: &[u8]) -> Option<User> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups: Vec<String> = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    Some(User::new(name, groups.into_iter().chain(["system:authenticated".to_owned()])))
}

impl Gate {
    pub fn new(client: Client, node: String) -> Self {
        Self { client, node, users: Memory::new(), verdicts: Memory::new() }
    }

    /// Lets the request pass, or answers why not.
    ///
    /// # Errors
    /// The answer to send: 401, 403, or 500 when the API server could not be asked.
    pub async fn pass<B>(&self, certificate: Option<&[u8]>, request: &Request<B>, route: &Route) -> Result<(), Answer> {
        let user = match certificate.and_then(certified) {
            Some(user) => user,
            None => self.bearer(request).await?,
        };
        let verb = match request.method().as_str() {
            "GET" | "HEAD" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        };
        for subresource in route.finer().into_iter().chain([route.subresource()]) {
            if self.allowed(&user, verb, subresource).await? {
                return Ok(());
            }
        }
        let (name, subresource, node) = (&user.name, route.subresource(), &self.node);
        let message = format!("Forbidden (user={name}, verb={verb}, resource=nodes, subresource(s)=[{subresource}])");
        tracing::info!("{message} on node {node}");
        Err(text(StatusCode::FORBIDDEN, message))
    }

    async fn bearer<B>(&self, request: &Request<B>) -> Result<User, Answer> {
        let header = request.headers().get("authorization").and_then(|h| h.to_str().ok());
        let token = header.and_then(|h| h.strip_prefix("Bearer ")).ok_or_else(unauthorized)?.trim();
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(user) = self.users.get(&key) {
            return Ok(user);
        }
        let reviews = Resource::new("authentication.k8s.io", "v1", "tokenreviews", "TokenReview");
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let answer = self.client.create_tree(&reviews, "", "", "", review).await.map_err(|e| broken(&e.message))?;
        if answer["status"]["authenticated"] != true {
            return Err(unauthorized());
        }
        let user = user_of(&answer["status"]["user"]);
        self.users.put(key, user.clone(), TOKENS_FOR);
        Ok(user)
    }

    async fn allowed(&self, user: &User, verb: &str, subresource: &str) -> Result<bool, Answer> {
        let key = (user.name.clone(), user.groups.clone(), verb.to_owned(), subresource.to_owned());
        if let Some(verdict) = self.verdicts.get(&key) {
            return Ok(verdict);
        }
        let reviews = Resource::new("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview");
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": user.name, "groups": user.groups, "uid": user.uid, "resourceAttributes":
            {"verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource, "name": self.node}}});
        let answer = self.client.create_tree(&reviews, "", "", "", review).await.map_err(|e| broken(&e.message))?;
        let verdict = answer["status"]["allowed"] == true;
        self.verdicts.put(key, verdict, if verdict { ALLOWED_FOR } else { DENIED_FOR });
        Ok(verdict)
    }
}

fn broken(why: &str) -> Answer {
    tracing::warn!("the API server could not review a request to the kubelet: {why}");
    text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Error")
}

fn user_of(tree: &Value) -> User {
    let texts = |v: &Value| v.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    User {
        name: tree["username"].as_str().unwrap_or_default().to_owned(),
        uid: tree["uid"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&tree["groups"]),
        ..User::default()
    }
}
