//! Server-side apply.

use api::Kind;
use machinery::identity::User;
use machinery::request::{Answer, Request};
use machinery::status::Status;

use super::update::Part;
use crate::Registry;

impl Registry {
    /// # Errors
    /// 415: not served yet.
    pub(crate) async fn apply(
        &self,
        _: &User,
        _: &'static Kind,
        _: &Request,
        _: Part,
    ) -> Result<Answer, Status> {
        Err(Status::unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json",
        ))
    }
}
