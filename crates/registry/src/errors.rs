//! The registry's own failures as `Status`.

use machinery::field::Problems;
use machinery::status::Status;
use store::StoreError;

/// A read of the store failed.
pub fn store(error: StoreError) -> Status {
    match error {
        StoreError::Closed(_) => closed(),
        StoreError::Compacted { .. } => Status::expired("The resourceVersion for the provided list is too old."),
        other => Status::internal(other),
    }
}

/// A transaction failed: whether it was committed is not known.
pub fn unknown_outcome(error: StoreError) -> Status {
    Status::timeout(format!("whether the request was carried out is not known: {error}"))
}

pub fn closed() -> Status {
    Status::unavailable("the store is closed")
}

/// Options of a verb that do not go together: `ListOptions.meta.k8s.io "" is invalid: …`.
pub fn options(kind: &str, problems: &Problems) -> Result<(), Status> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid("meta.k8s.io", kind, "", problems)),
    }
}
