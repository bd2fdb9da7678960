//! The rules that many kinds share, with upstream's messages: names, labels, ports, addresses, object metadata.
//!
//! Rules over texts give the messages of what is wrong (none: it is right); rules over trees add [`Problem`]s
//! with paths. Rules of one kind are in that kind's file, not here.
//!
//! [`Problem`]: crate::field::Problem

mod names;
mod net;
mod object;
mod texts;

pub use names::{
    NameRule, dns1035_label, dns1123_label, dns1123_subdomain, dns1123_subdomain_underscore, label_value,
    name_is_dns1035_label, name_is_label, name_is_path_segment, name_is_subdomain, path_segment, qualified_name,
    wildcard_subdomain,
};
pub use net::{cidr, ip, ipv4, ipv6, parse_cidr, parse_ip, port_name, port_number};
pub use object::{
    IMMUTABLE, NEGATIVE, annotations, conditions, each, finalizers, immutable, int_or_percent, label_name,
    label_selector, labels, managed_fields, nonnegative, object_meta, object_meta_update, owner_references,
};
pub use texts::{
    absolute_path, c_identifier, config_map_key, env_var_name, env_var_name_strict, group_id, http_header_name,
    in_range, max_length, percent, qualified_path, sysctl, user_id,
};

/// Upstream's message for a text that does not match an expression.
pub fn regex_message(message: &str, expression: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{expression}')");
    }
    let examples: Vec<_> = examples.iter().map(|e| format!("'{e}'")).collect();
    format!("{message} (e.g. {}, regex used for validation is '{expression}')", examples.join(",  or "))
}
