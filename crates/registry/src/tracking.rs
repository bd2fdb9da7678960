//! Who set which field: managedFields, on every write.

use api::Kind;
use machinery::managed::{self, Writer};
use machinery::request::Request;
use machinery::status::Status;
use serde_json::Value;

use crate::Registry;
use crate::generic::decode::schema_of;

/// The manager of a request that names none; the front names it after the user agent.
const UNKNOWN: &str = "unknown";

impl Registry {
    /// Writes into managedFields who set what; `old` is null on create.
    ///
    /// # Errors
    /// 500: the kind has no schema.
    pub(crate) fn track(&self, kind: &Kind, request: &Request, old: &Value, new: &mut Value) -> Result<(), Status> {
        let (version, now) = (kind.api_version(), self.world.now_text());
        managed::track(schema_of(kind.definition)?, old, new, &writer(request, &version, &now));
        Ok(())
    }
}

/// Who writes, as managedFields names it.
pub fn writer<'a>(request: &'a Request, api_version: &'a str, now: &'a str) -> Writer<'a> {
    let manager = Some(request.options.field_manager.as_str()).filter(|m| !m.is_empty()).unwrap_or(UNKNOWN);
    Writer { manager, api_version, subresource: &request.subresource, now }
}
