//! networking.k8s.io/v1.

use machinery::field::Problems;

use crate::cursor::Field;
use crate::rule;

pub mod ingress;
pub mod ingress_class;
pub mod ip_address;
pub mod network_policy;
pub mod service_cidr;

const GROUP: &str = "networking.k8s.io";

/// A reference to an object of some kind: of backends, and of a class's parameters.
fn reference(reference: &Field, problems: &mut Problems) {
    if reference.get("apiGroup").is_set() {
        rule::dns_subdomain(&reference.get("apiGroup"), problems);
    }
    for (field, detail) in [("kind", "kind is required"), ("name", "name is required")] {
        let field = reference.get(field);
        if field.is_empty() {
            field.required(problems, detail);
        } else {
            rule::path_segment(&field, problems);
        }
    }
}
