//! The front door: authorization, then the registry, which asks back for reviews, tokens and escalation.
//!
//! Callers in the same process come through [`Front::transport`] with an identity of their own and are
//! authorized as everybody else is.

use std::sync::Arc;

use client::Transport;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use machinery::identity::User;
use machinery::request::{Answer, PatchKind, Request, Verb, WatchEvent};
use machinery::status::Status;
use registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::authn::{Authenticator, Issuer};
use crate::authz::{Attributes, Authorizer};
use crate::config::Config;
use crate::identity::{self, MASTERS};
use crate::pki::Pki;
use crate::{escalation, review};

pub type Events = BoxStream<'static, Result<WatchEvent, Status>>;

pub struct Front {
    pub(crate) registry: Arc<Registry>,
    pub(crate) authenticator: Authenticator,
    pub(crate) authorizer: Arc<Authorizer>,
}

impl Front {
    /// Writes the bootstrap objects that are missing and opens the authorizers' indexes.
    ///
    /// # Errors
    /// The signing key is not usable, or the registry refused the bootstrap objects.
    pub async fn open(
        config: &Config,
        registry: Arc<Registry>,
        pki: &Pki,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, Status> {
        let issuer = Issuer::new(&config.issuer, &pki.service_account_key).map_err(Status::internal)?;
        crate::bootstrap::run(&registry, pki).await?;
        let authorizer = Authorizer::open(registry.clone(), stop).await?;
        let authenticator = Authenticator::new(Arc::new(issuer), registry.clone());
        let front = Arc::new(Self { registry, authenticator, authorizer });
        review::register(&front);
        escalation::register(&front);
        Ok(front)
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Every verb but watch and connect, as this user.
    ///
    /// # Errors
    /// 403, or as the registry refuses.
    pub async fn call(&self, user: &User, request: Request) -> Result<Answer, Status> {
        self.authorize(user, &request).await?;
        self.registry.call(user, request).await
    }

    /// Whether the user may make this request. What an update or an apply would create needs that permission too.
    ///
    /// # Errors
    /// 403.
    pub(crate) async fn authorize(&self, user: &User, request: &Request) -> Result<(), Status> {
        self.authorizer.check(user, &Attributes::of(request)).await?;
        let creates = request.subresource.is_empty()
            && match request.verb {
                Verb::Patch(PatchKind::Apply) => true,
                Verb::Update => api::by_plural(&request.group, &request.version, &request.resource)
                    .is_some_and(|kind| kind.create_on_update),
                _ => false,
            };
        if !creates || user.in_group(MASTERS) {
            return Ok(());
        }
        let mut get = Request::new(Verb::Get, &request.group, &request.version, &request.resource);
        (get.namespace, get.name) = (request.namespace.clone(), request.name.clone());
        match self.registry.call(&identity::apiserver(), get).await {
            Err(status) if status.is_not_found() => {
                self.authorizer.check(user, &Attributes::with_verb(request, "create")).await
            }
            // What else is wrong the write itself will say.
            _ => Ok(()),
        }
    }

    /// A watch as this user.
    ///
    /// # Errors
    /// 403, or as the registry refuses.
    pub async fn watch(&self, user: &User, request: Request) -> Result<Events, Status> {
        self.authorizer.check(user, &Attributes::of(&request)).await?;
        self.registry.watch(user, request).await
    }

    /// The API as one identity, without bytes in between. Only the binary's wiring calls this.
    pub fn transport(self: &Arc<Self>, user: User) -> Arc<dyn Transport> {
        Arc::new(InProcess { front: self.clone(), user: crate::identity::authenticated(user) })
    }
}

struct InProcess {
    front: Arc<Front>,
    user: User,
}

impl Transport for InProcess {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Answer, Status>> {
        Box::pin(self.front.call(&self.user, request))
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<client::Events, Status>> {
        Box::pin(self.front.watch(&self.user, request))
    }
}
