//! What the access reviews have in common: one question, about a resource or about a path.

use machinery::field::Problems;

use crate::cursor::Field;

/// Exactly one of the two questions.
pub fn question(spec: &Field, problems: &mut Problems) {
    let (resource, path) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
    match (resource.is_set(), path.is_set()) {
        (true, true) => path.invalid(problems, "cannot be specified in combination with resourceAttributes"),
        (false, false) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            resource.invalid(problems, detail);
        }
        _ => {}
    }
}

pub fn subject(spec: &Field, problems: &mut Problems) {
    if spec.get("user").is_empty() && spec.get("groups").is_empty() {
        spec.get("user").invalid_as(problems, "", "at least one of user or group must be specified");
    }
}

/// Reviews are not objects: they have no names. `but` may be set; the server's own fields do not count.
pub fn no_metadata(root: &Field, but: &[&str], detail: &str, problems: &mut Problems) {
    const SERVERS: [&str; 4] = ["managedFields", "creationTimestamp", "uid", "generation"];
    let metadata = root.get("metadata");
    if metadata.entries().any(|(name, _)| !but.contains(&name) && !SERVERS.contains(&name)) {
        metadata.invalid(problems, detail);
    }
}
