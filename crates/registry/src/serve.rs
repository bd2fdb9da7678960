//! Which verb serves a request: one table for subresources, one match for verbs.

use api::kind::Held;
use api::{Kind, Scope};
use machinery::identity::User;
use machinery::request::{Answer, Body, Request, Verb};
use machinery::schema;
use machinery::status::Status;
use serde_json::Value;

use crate::admission::{Asked, Operation};
use crate::verbs::update::Part;
use crate::verbs::watch::Events;
use crate::{Registry, Virtual};

impl Registry {
    /// Serves every verb but watch and connect.
    ///
    /// # Errors
    /// What the client is to see.
    pub async fn call(&self, user: &User, request: Request) -> Result<Answer, Status> {
        let kind = resolve(&request)?;
        if let Some(by) = self.virtual_at(&request) {
            return self.virtually(user, kind, &request, &*by).await;
        }
        let mut answer = self.stored(user, kind, &request).await?;
        if !kind.deprecated.is_empty() {
            answer.warnings.insert(0, kind.deprecated.to_owned());
        }
        Ok(answer)
    }

    async fn stored(&self, user: &User, kind: &'static Kind, request: &Request) -> Result<Answer, Status> {
        match request.subresource.as_str() {
            "" if kind.plural == "bindings" && request.verb == Verb::Create => self.bind(user, request).await,
            "" if kind.held == Held::Virtual => Err(Status::method_not_allowed()),
            "" => self.main(user, kind, request).await,
            part => self.part(user, kind, request, part).await,
        }
    }

    /// Opens a watch; the stream ends when its time is over, or with an error.
    ///
    /// # Errors
    /// What the client is to see.
    pub async fn watch(&self, user: &User, request: Request) -> Result<Events, Status> {
        let _ = user;
        let kind = resolve(&request)?;
        if kind.held == Held::Virtual || !request.subresource.is_empty() || !kind.verbs.contains(&"watch") {
            return Err(Status::method_not_allowed());
        }
        self.open_watch(kind, &request).await
    }

    async fn main(&self, user: &User, kind: &'static Kind, request: &Request) -> Result<Answer, Status> {
        if !kind.verbs.contains(&request.verb.name()) {
            return Err(Status::method_not_allowed());
        }
        match request.verb {
            Verb::Get => self.get(kind, request).await,
            Verb::List => self.list(kind, request).await,
            Verb::Create => self.create(user, kind, request).await,
            Verb::Update => self.update(user, kind, request, Part::Main).await,
            Verb::Patch(how) => self.patch(user, kind, request, how, Part::Main).await,
            Verb::Delete => self.delete(user, kind, request).await,
            Verb::DeleteCollection => self.delete_collection(user, kind, request).await,
            Verb::Watch | Verb::Connect => Err(Status::method_not_allowed()),
        }
    }

    async fn part(&self, user: &User, kind: &'static Kind, request: &Request, name: &str) -> Result<Answer, Status> {
        let subresource = kind.subresource(name).ok_or_else(Status::no_such_resource)?;
        if !subresource.verbs.contains(&request.verb.name()) {
            return Err(Status::method_not_allowed());
        }
        let part = match (name, subresource.update) {
            (_, Some(update)) => Part::Open(update),
            ("status", None) => Part::Status,
            ("scale", None) => return self.scale_verb(user, kind, request).await,
            ("binding", None) if kind.plural == "pods" => return self.bind(user, request).await,
            ("eviction", None) if kind.plural == "pods" => return self.evict(user, request).await,
            _ => return Err(Status::no_such_resource()),
        };
        match request.verb {
            Verb::Get => self.get(kind, request).await,
            Verb::Update => self.update(user, kind, request, part).await,
            Verb::Patch(how) => self.patch(user, kind, request, how, part).await,
            _ => Err(Status::method_not_allowed()),
        }
    }

    async fn scale_verb(&self, user: &User, kind: &'static Kind, request: &Request) -> Result<Answer, Status> {
        match request.verb {
            Verb::Get => self.get_scale(kind, request).await,
            Verb::Update => self.put_scale(user, kind, request).await,
            Verb::Patch(how) => self.patch_scale(user, kind, request, how).await,
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// What is not stored is admitted all the same: NodeRestriction judges token requests.
    async fn virtually(
        &self,
        user: &User,
        kind: &'static Kind,
        request: &Request,
        by: &dyn Virtual,
    ) -> Result<Answer, Status> {
        if request.verb == Verb::Create {
            let mut body = match &request.body {
                Body::Tree(tree) => tree.clone(),
                Body::None => Value::Null,
                Body::Json(bytes) => serde_json::from_slice(bytes).map_err(|error| {
                    Status::bad_request(schema::syntax_error(bytes).unwrap_or_else(|| error.to_string()))
                })?,
            };
            let asked = Asked {
                user,
                operation: Operation::Create,
                kind,
                subresource: &request.subresource,
                namespace: &request.namespace,
                name: &request.name,
                object: &Value::Null,
                old: &Value::Null,
                dry_run: request.options.dry_run,
            };
            self.admit(&asked, &mut body).await?;
        }
        by.call(user, request).await
    }
}

/// The kind that a request is about; its namespace and name must fit the kind and the verb.
fn resolve(request: &Request) -> Result<&'static Kind, Status> {
    let kind = api::by_plural(&request.group, &request.version, &request.resource);
    let kind = kind.ok_or_else(Status::no_such_resource)?;
    if kind.scope == Scope::Cluster && !request.namespace.is_empty() {
        return Err(Status::no_such_resource());
    }
    let (one, new) = match request.verb {
        Verb::Get | Verb::Update | Verb::Patch(_) | Verb::Delete => (true, false),
        Verb::Create => (false, true),
        _ => (false, false),
    };
    if kind.scope == Scope::Namespaced && request.namespace.is_empty() && (one || new) {
        let when = if one { "when a resource name is provided" } else { "during creation" };
        return Err(Status::bad_request(format!("an empty namespace may not be set {when}")));
    }
    if one && request.name.is_empty() {
        return Err(Status::bad_request("resource name may not be empty"));
    }
    Ok(kind)
}
