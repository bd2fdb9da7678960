//! What is asked for: the verb and the resource or path, as authorization names them.

use machinery::identity::User;
use machinery::request::{Request, Verb};
use machinery::status::Status;

/// A resource or a path that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Resource {
        group: String,
        version: String,
        resource: String,
        subresource: String,
        namespace: String,
        name: String,
        /// `spec.nodeName` of the field selector; reading pods may depend on it.
        node_selected: Option<String>,
    },
    Path(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub verb: String,
    pub target: Target,
}

impl Attributes {
    pub fn path(method: &str, path: &str) -> Self {
        Self { verb: method.to_ascii_lowercase(), target: Target::Path(path.to_owned()) }
    }

    /// A resource by group and plural; `rest` is namespace, name and subresource.
    pub fn resource(verb: &str, group: &str, resource: &str, rest: [&str; 3]) -> Self {
        let [namespace, name, subresource] = rest.map(str::to_owned);
        let target = Target::Resource {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            subresource,
            namespace,
            name,
            node_selected: None,
        };
        Self { verb: verb.into(), target }
    }

    pub fn of(request: &Request) -> Self {
        Self::with_verb(request, request.verb.name())
    }

    /// The attributes under another verb: connects are named by their HTTP method.
    pub fn with_verb(request: &Request, verb: &str) -> Self {
        let mut name = request.name.clone();
        // Reading a collection narrowed to one name counts as reading that name.
        if name.is_empty() && matches!(request.verb, Verb::List | Verb::Watch) {
            name = selected(&request.options.field_selector, "metadata.name").unwrap_or_default();
        }
        // A namespace itself is authorized within itself.
        let itself = request.group.is_empty() && request.resource == "namespaces" && request.namespace.is_empty();
        let namespace = if itself { request.name.clone() } else { request.namespace.clone() };
        let target = Target::Resource {
            group: request.group.clone(),
            version: request.version.clone(),
            resource: request.resource.clone(),
            subresource: request.subresource.clone(),
            namespace,
            name,
            node_selected: selected(&request.options.field_selector, "spec.nodeName"),
        };
        Self { verb: verb.into(), target }
    }

    /// The 403 that a user gets, in upstream's words.
    pub fn forbidden(&self, user: &User, reason: &str) -> Status {
        let suffix = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let who = format!("User {:?} cannot {}", user.name, self.verb);
        match &self.target {
            Target::Path(path) => {
                let why = sanitized(&format!("{who} path {path:?}"));
                let message = format!("forbidden: {why}{suffix}");
                Status::failure(403, "Forbidden", message).with_details("", "", "")
            }
            Target::Resource { group, resource, subresource, namespace, name, .. } => {
                let what = if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
                let place = match namespace.as_str() {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                let why = sanitized(&format!("{who} resource {what:?} in API group {group:?} {place}"));
                Status::forbidden(group, resource, name, &format!("{why}{suffix}"))
            }
        }
    }
}

/// The value that a field selector requires of a field exactly.
pub fn selected(selector: &str, field: &str) -> Option<String> {
    selector.split(',').find_map(|part| {
        let (name, value) = part.split_once("==").or_else(|| part.split_once('='))?;
        (name == field && !name.ends_with('!')).then(|| value.to_owned())
    })
}

/// Messages must not look like HTML.
fn sanitized(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_in_upstreams_words() {
        let anonymous = User::new("system:anonymous", ["system:unauthenticated"]);
        let asked = Attributes::of(&Request::new(Verb::List, "", "v1", "pods").namespace("default"));
        assert_eq!(
            asked.forbidden(&anonymous, "").message,
            "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
        );
        assert_eq!(
            Attributes::path("GET", "/apis").forbidden(&anonymous, "").message,
            "forbidden: User \"system:anonymous\" cannot get path \"/apis\""
        );
    }

    #[test]
    fn a_field_selector_narrows_to_a_name() {
        assert_eq!(selected("a!=b,metadata.name=x", "metadata.name").as_deref(), Some("x"));
        assert_eq!(selected("metadata.name!=x", "metadata.name"), None);
    }
}
