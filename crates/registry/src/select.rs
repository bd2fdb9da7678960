//! What a list, a watch or a deletecollection selects: namespace, labels and fields.

use api::Kind;
use machinery::request::Request;
use machinery::selector::{FieldSelector, LabelSelector};
use machinery::status::Status;

use crate::cache::{Held, Lane};
use crate::keys;

pub struct Selection {
    kind: &'static Kind,
    pub namespace: String,
    /// The only name that can be selected, if the request says so.
    pub name: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    /// # Errors
    /// A selector that cannot be read, or an unknown field: 400 in upstream's words.
    pub fn of(kind: &'static Kind, request: &Request) -> Result<Self, Status> {
        let options = &request.options;
        let labels = LabelSelector::parse(&options.label_selector).map_err(Status::bad_request)?;
        let fields = FieldSelector::parse(&options.field_selector).map_err(Status::bad_request)?;
        for requirement in &fields.requirements {
            known_field(kind, &requirement.field)?;
        }
        let mut name = fields.exact("metadata.name").map(str::to_owned);
        if !request.name.is_empty() {
            if name.as_ref().is_some_and(|n| *n != request.name) {
                return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"));
            }
            name = Some(request.name.clone());
        }
        let namespace = match request.namespace.as_str() {
            "" => fields.exact("metadata.namespace").unwrap_or_default().to_owned(),
            namespace => namespace.to_owned(),
        };
        Ok(Self { kind, namespace, name, labels, fields })
    }

    /// Neither labels nor fields are asked for: every object of the namespace is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.name.is_none()
    }

    /// The key that alone can be selected.
    pub fn key(&self) -> Option<String> {
        let name = self.name.as_ref()?;
        let namespaced = self.kind.scope == api::Scope::Namespaced;
        (!namespaced || !self.namespace.is_empty()).then(|| keys::key(&self.namespace, name))
    }

    /// The narrowest lane in which everything selected is heard of.
    pub fn lane(&self) -> Lane {
        if let Some(key) = self.key() {
            return Lane::Key(key);
        }
        let exact = |name: &str| self.fields.exact(name).map(str::to_owned);
        let stored = self.kind.stored_as.is_none();
        let field = self.kind.selectable.iter().enumerate().find_map(|(i, (name, _))| Some((i, exact(name)?)));
        match field {
            // An empty value selects many; the lane of the namespace is then no wider.
            Some((index, value)) if stored && !value.is_empty() => Lane::Field(index, value),
            _ if !self.namespace.is_empty() => Lane::Namespace(self.namespace.clone()),
            _ => Lane::All,
        }
    }

    /// Whether the object at this key is selected.
    pub fn matches(&self, key: &str, held: &Held) -> bool {
        let (namespace, name) = (keys::namespace_of(key), keys::name_of(key));
        if !self.namespace.is_empty() && namespace != self.namespace {
            return false;
        }
        if self.name.as_ref().is_some_and(|only| only != name) {
            return false;
        }
        if self.labels.is_everything() && self.fields.is_everything() {
            return true;
        }
        let projection = held.projection(Some(keys::storing(self.kind)));
        self.labels.matches(&projection.labels) && self.fields.matches(|field| self.field(field, key, held))
    }

    fn field(&self, field: &str, key: &str, held: &Held) -> Option<String> {
        match field {
            "metadata.name" => return Some(keys::name_of(key).to_owned()),
            "metadata.namespace" => return Some(keys::namespace_of(key).to_owned()),
            _ => {}
        }
        let (index, (_, read)) = self.kind.selectable.iter().enumerate().find(|(_, (name, _))| *name == field)?;
        match &self.kind.stored_as {
            None => held.projection(Some(self.kind)).fields.get(index).cloned(),
            Some(form) => Some(read(&(form.from_stored)((*held.object.tree()).clone()))),
        }
    }
}

/// Upstream has two wordings: kinds with fields of their own, and kinds with metadata only.
fn known_field(kind: &Kind, field: &str) -> Result<(), Status> {
    let known = matches!(field, "metadata.name" | "metadata.namespace");
    if known || kind.selectable.iter().any(|(name, _)| *name == field) {
        return Ok(());
    }
    Err(Status::bad_request(match kind.selectable {
        [] => format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
        _ => format!("field label not supported: {field}"),
    }))
}
