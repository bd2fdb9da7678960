//! Who are you: client certificates, bearer tokens, or nobody.
//!
//! ```text
//!   certificate of the connection ─┐
//!   Authorization: Bearer …        ├─▶ User (+ audiences) ─▶ impersonation ─▶ the user that is authorized
//!   nothing                        ┘
//! ```

mod certificate;
mod claims;
pub mod impersonate;
mod issuer;
mod live;
mod token;

use std::sync::Arc;

use jiff::Timestamp;
use machinery::identity::User;
use machinery::status::Status;
use registry::Registry;

pub use certificate::Peer;
pub use claims::{Bound, Claims, Reference};
pub use issuer::Issuer;
pub use live::Live;

use crate::identity;

/// A user with what else authentication found out.
#[derive(Clone, Debug)]
pub struct Identified {
    pub user: User,
    /// Which of the asked audiences the token is for; empty for certificates.
    pub audiences: Vec<String>,
    /// Warnings for the answer's header.
    pub warnings: Vec<String>,
}

/// The authenticators.
pub struct Authenticator {
    issuer: Arc<Issuer>,
    live: Live,
    recent: token::Recent,
}

impl Authenticator {
    pub fn new(issuer: Arc<Issuer>, registry: Arc<Registry>) -> Self {
        Self { issuer, live: Live::new(registry), recent: token::Recent::default() }
    }

    pub fn issuer(&self) -> &Arc<Issuer> {
        &self.issuer
    }

    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Who makes the request. Credentials that are wrong are an error, none at all are `system:anonymous`.
    ///
    /// # Errors
    /// 401.
    pub async fn identify(
        &self,
        peer: &Peer,
        authorization: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Identified, Status> {
        let plain = |user| Identified { user, audiences: vec![], warnings: vec![] };
        if let Peer::Known(known) = peer
            && known.holds_at(now)
        {
            return Ok(plain(known.user.clone()));
        }
        if let Some(token) = authorization.and_then(bearer) {
            let found = self.token(token, self.issuer.audiences(), now).await;
            return found.map_err(|why| refused(&why));
        }
        match peer {
            Peer::None => Ok(plain(identity::anonymous())),
            Peer::Known(known) => Err(refused(&format!("the certificate of {} has expired", known.user.name))),
            Peer::Unknown(why) => Err(refused(why)),
        }
    }

    /// The service account behind a token that is good for one of the audiences.
    ///
    /// # Errors
    /// Upstream's words for why it is not, as TokenReview shows them.
    pub async fn token(&self, token: &str, audiences: &[String], now: Timestamp) -> Result<Identified, String> {
        let claims = self.recent.verified(token, &self.issuer).ok_or("invalid bearer token")?;
        let refused = |why: String| format!("[invalid bearer token, {why}]");
        let mut found =
            token::check(&claims, token, audiences, &self.issuer, &self.live, now).await.map_err(refused)?;
        found.user = identity::authenticated(found.user);
        Ok(found)
    }
}

/// 401. Why is for the log only: it would help who guesses.
fn refused(why: &str) -> Status {
    tracing::debug!(why, "credentials were refused");
    Status::unauthorized()
}

/// The token in `Authorization: Bearer TOKEN`; other schemes are no credentials for us, as upstream.
fn bearer(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok()?.trim();
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
