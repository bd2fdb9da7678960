//! Compiled seccomp filters: each profile is compiled once, however many containers have it. Not here: profiles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use container::filter::Filter;
use serde_json::Value;

/// Profiles whose filters are kept, about 10 KiB each. A node has few; what is forgotten is compiled again.
const KEPT_MAX: usize = 16;

#[derive(Default)]
pub struct Filters(Mutex<BTreeMap<String, Arc<[u8]>>>);

impl Filters {
    /// The filter of an OCI `linux.seccomp` tree, in bytes.
    pub fn of(&self, profile: &Value) -> container::Result<Arc<[u8]>> {
        let key = profile.to_string();
        // Held while compiling: of fifty containers that start at once one does it, and the others wait for it.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filter) = known.get(&key) {
            return Ok(filter.clone());
        }
        let parsed = serde_json::from_value(profile.clone());
        let parsed = parsed.map_err(|problem| container::Error::Invalid(format!("bad seccomp profile: {problem}")))?;
        let filter: Arc<[u8]> = Filter::compile(&parsed)?.to_bytes().into();
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(key, filter.clone());
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_compiled_once() {
        let filters = Filters::default();
        let profile = container::seccomp::default_profile(&Default::default());
        let first = filters.of(&profile).unwrap();
        assert!(Arc::ptr_eq(&first, &filters.of(&profile).unwrap()));
        assert!(filters.of(&serde_json::json!({"defaultAction": "SCMP_ACT_NOTIFY"})).is_err());
    }
}
