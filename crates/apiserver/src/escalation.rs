//! Nobody grants more than he has: roles and bindings are checked against the writer's own rules.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>.

use std::sync::{Arc, Weak};

use machinery::identity::User;
use machinery::status::Status;
use registry::Guard;
use registry::admission::{Asked, Operation};
use serde_json::Value;

use crate::authz::{Attributes, Authorizer, Rule, uncovered};
use crate::front::Front;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Has the registry ask before it commits roles and bindings.
pub fn register(front: &Arc<Front>) {
    front.registry().guarded_by(Arc::new(Escalation(Arc::downgrade(front))));
}

/// Holds the front weakly: the front holds the registry that holds this.
struct Escalation(Weak<Front>);

impl Guard for Escalation {
    fn check(&self, asked: &Asked<'_>) -> Result<(), Status> {
        let writes = matches!(asked.operation, Operation::Create | Operation::Update);
        if asked.kind.group != GROUP || !writes || !asked.subresource.is_empty() {
            return Ok(());
        }
        let front = self.0.upgrade().ok_or_else(|| Status::unavailable("the server is shutting down"))?;
        let same = |field: &str| asked.object[field] == asked.old[field];
        let unchanged =
            !asked.old.is_null() && same("rules") && same("aggregationRule") && same("roleRef") && same("subjects");
        match asked.kind.plural {
            _ if unchanged => Ok(()),
            "roles" | "clusterroles" => role(&front.authorizer, asked),
            "rolebindings" | "clusterrolebindings" => binding(&front.authorizer, asked),
            _ => Ok(()),
        }
    }
}

fn name<'a>(asked: &Asked<'a>) -> &'a str {
    asked.object["metadata"]["name"].as_str().unwrap_or(asked.name)
}

fn role(authorizer: &Authorizer, asked: &Asked<'_>) -> Result<(), Status> {
    let wanted = Attributes::resource("escalate", GROUP, asked.kind.plural, [asked.namespace, name(asked), ""]);
    if authorizer.decide_roles(asked.user, &wanted).allowed() {
        return Ok(());
    }
    let owned = authorizer.rules_for(asked.user, asked.namespace).0;
    let all = [Rule::everything(), Rule::every_path()];
    if !asked.object["aggregationRule"].is_null() && !uncovered(&owned, &all).is_empty() {
        let why = "must have cluster-admin privileges to use an aggregationRule";
        return Err(Status::forbidden(GROUP, asked.kind.plural, name(asked), why));
    }
    covered(asked, &owned, &Rule::list(&asked.object["rules"]))
}

fn binding(authorizer: &Authorizer, asked: &Asked<'_>) -> Result<(), Status> {
    let reference = &asked.object["roleRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, role) = (text(&reference["kind"]), text(&reference["name"]));
    let (resource, home) = if kind == "Role" { ("roles", asked.namespace) } else { ("clusterroles", "") };
    // Binding a ClusterRole within a namespace needs the permission there only.
    let wanted = Attributes::resource("bind", GROUP, resource, [asked.namespace, &role, ""]);
    if authorizer.decide_roles(asked.user, &wanted).allowed() {
        return Ok(());
    }
    let Some(rules) = authorizer.role_rules(&kind, home, &role) else {
        return Err(Status::not_found(GROUP, resource, &role));
    };
    covered(asked, &authorizer.rules_for(asked.user, asked.namespace).0, &rules)
}

fn covered(asked: &Asked<'_>, owned: &[Rule], wanted: &[Rule]) -> Result<(), Status> {
    let missing = uncovered(owned, wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<_> = missing.iter().map(Rule::compact).collect();
    lines.sort();
    let why = format!(
        "{} is attempting to grant RBAC permissions not currently held:\n{}",
        who(asked.user),
        lines.join("\n")
    );
    Err(Status::forbidden(GROUP, asked.kind.plural, name(asked), &why))
}

fn who(user: &User) -> String {
    let groups: Vec<_> = user.groups.iter().map(|g| format!("{g:?}")).collect();
    format!("user {:?} (groups=[{}])", user.name, groups.join(" "))
}
