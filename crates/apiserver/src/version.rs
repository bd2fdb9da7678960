//! `/version`: what we claim to be. Clients read the Kubernetes version from it; the build is our own.

use serde_json::{Value, json};

pub const MAJOR: &str = "1";
pub const MINOR: &str = "36";
/// The Kubernetes version whose behaviour we have, with ours as build metadata.
pub const GIT_VERSION: &str = concat!("v1.36.0+kybern-", env!("CARGO_PKG_VERSION"));

pub fn info() -> Value {
    json!({
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": option_env!("KYBERN_COMMIT").unwrap_or("unknown"),
        "gitTreeState": "clean",
        "buildDate": option_env!("KYBERN_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}
