//! `create role`, `clusterrole`, `rolebinding` and `clusterrolebinding`.

use std::collections::BTreeMap;

use clap::{ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::workload::name;
use super::{Generator, Make};
use crate::commands::run::pairs;
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::session::Session;

pub const CLUSTER_ROLE: Generator = Generator {
    build: build_cluster_role,
    make: Make::Asking(|matches, session| Box::pin(cluster_role(matches, session))),
};
pub const CLUSTER_ROLE_BINDING: Generator =
    Generator { build: build_cluster_role_binding, make: Make::Plain(cluster_role_binding) };
pub const ROLE: Generator =
    Generator { build: build_role, make: Make::Asking(|matches, session| Box::pin(role(matches, session))) };
pub const ROLE_BINDING: Generator = Generator { build: build_role_binding, make: Make::Plain(role_binding) };

const GROUP: &str = "rbac.authorization.k8s.io";
const VERSION: &str = "rbac.authorization.k8s.io/v1";
const VERBS: &[&str] = &[
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];

fn rules_flags(command: Command) -> Command {
    command
        .arg(name())
        .arg(
            flags::text("verb", "Verb that applies to the resources contained in the rule")
                .action(ArgAction::Append)
                .value_delimiter(','),
        )
        .arg(
            flags::text("resource", "Resource that the rule applies to").action(ArgAction::Append).value_delimiter(','),
        )
        .arg(
            flags::text(
                "resource-name",
                "Resource in the white list that the rule applies to, repeat this flag for multiple items",
            )
            .action(ArgAction::Append),
        )
}

fn build_role() -> Command {
    rules_flags(Command::new("role").about("Create a role with single rule."))
}

fn build_cluster_role() -> Command {
    rules_flags(Command::new("clusterrole").about("Create a cluster role."))
        .arg(
            flags::text("non-resource-url", "A partial url that user should have access to.")
                .action(ArgAction::Append)
                .value_delimiter(','),
        )
        .arg(
            flags::text("aggregation-rule", "An aggregation label selector for combining ClusterRoles.")
                .action(ArgAction::Append)
                .value_delimiter(','),
        )
}

async fn role(matches: &ArgMatches, session: &Session) -> Result<Value> {
    let verbs = verbs(matches)?;
    if flags::all(matches, "resource").is_empty() {
        return error("at least one resource must be specified");
    }
    let rules = rules(matches, session, &verbs).await?;
    Ok(json!({"apiVersion": VERSION, "kind": "Role", "metadata": {"name": flags::of(matches, "name")}, "rules": rules}))
}

async fn cluster_role(matches: &ArgMatches, session: &Session) -> Result<Value> {
    let mut tree =
        json!({"apiVersion": VERSION, "kind": "ClusterRole", "metadata": {"name": flags::of(matches, "name")}});
    let aggregated = flags::all(matches, "aggregation-rule");
    let (resources, urls) = (flags::all(matches, "resource"), flags::all(matches, "non-resource-url"));
    if !aggregated.is_empty() {
        if !urls.is_empty() || !resources.is_empty() || !flags::all(matches, "verb").is_empty() {
            return error(
                "aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames",
            );
        }
        let labels = pairs(aggregated.into_iter(), "aggregation-rule")?;
        tree["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": labels}]});
        tree["rules"] = Value::Null;
        return Ok(tree);
    }
    let verbs = verbs(matches)?;
    if resources.is_empty() && urls.is_empty() {
        return error("one of resource or nonResourceURL must be specified");
    }
    let mut all = rules(matches, session, &verbs).await?;
    if !urls.is_empty() {
        all.push(json!({"nonResourceURLs": urls, "verbs": verbs}));
    }
    tree["rules"] = all.into();
    Ok(tree)
}

fn verbs(matches: &ArgMatches) -> Result<Vec<&str>> {
    let verbs = flags::all(matches, "verb");
    if verbs.is_empty() {
        return error("at least one verb must be specified");
    }
    if verbs.contains(&"*") {
        return Ok(vec!["*"]);
    }
    for verb in verbs.iter().filter(|verb| !VERBS.contains(verb)) {
        eprintln!("Warning: '{verb}' is not a standard resource verb");
    }
    Ok(verbs)
}

/// A rule for each API group, in the order of their names.
async fn rules(matches: &ArgMatches, session: &Session, verbs: &[&str]) -> Result<Vec<Value>> {
    let mut by_group: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for word in flags::all(matches, "resource") {
        let (resource, subresource) = word.split_once('/').unwrap_or((word, ""));
        let (group, mut plural) = if resource == "*" {
            (String::new(), resource.to_owned())
        } else {
            let served = session.discovery().await?.find(resource);
            let served =
                served.map_err(|_| Failure::Plain(format!("the server doesn't have a resource type {resource:?}")))?;
            (served.group.clone(), served.plural.clone())
        };
        if !subresource.is_empty() {
            plural = format!("{plural}/{subresource}");
        }
        let known = by_group.entry(group).or_default();
        if !known.contains(&plural) {
            known.push(plural);
        }
    }
    let names = flags::all(matches, "resource-name");
    let rule = |(group, resources): (String, Vec<String>)| {
        let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        if !names.is_empty() {
            rule["resourceNames"] = names.clone().into();
        }
        rule
    };
    Ok(by_group.into_iter().map(rule).collect())
}

fn subjects_flags(command: Command) -> Command {
    let many = |name: &'static str, help: &'static str| flags::text(name, help).action(ArgAction::Append);
    command
        .arg(name())
        .arg(flags::text("clusterrole", "ClusterRole this binding should reference"))
        .arg(many("user", "Usernames to bind to the role."))
        .arg(many("group", "Groups to bind to the role."))
        .arg(many("serviceaccount", "Service accounts to bind to the role, in the format <namespace>:<name>."))
}

fn build_role_binding() -> Command {
    subjects_flags(Command::new("rolebinding").about("Create a role binding for a particular role or cluster role."))
        .arg(flags::text("role", "Role this RoleBinding should reference"))
}

fn build_cluster_role_binding() -> Command {
    subjects_flags(
        Command::new("clusterrolebinding").about("Create a cluster role binding for a particular cluster role."),
    )
}

fn role_binding(matches: &ArgMatches) -> Result<Value> {
    let (role, cluster_role) = (flags::of(matches, "role"), flags::of(matches, "clusterrole"));
    if role.is_empty() == cluster_role.is_empty() {
        return error("exactly one of clusterrole or role must be specified");
    }
    let (kind, role) = if role.is_empty() { ("ClusterRole", cluster_role) } else { ("Role", role) };
    binding(matches, "RoleBinding", kind, role)
}

fn cluster_role_binding(matches: &ArgMatches) -> Result<Value> {
    match flags::of(matches, "clusterrole") {
        "" => error("required flag(s) \"clusterrole\" not set"),
        role => binding(matches, "ClusterRoleBinding", "ClusterRole", role),
    }
}

fn named(kind: &str, name: &str) -> Value {
    json!({"apiGroup": GROUP, "kind": kind, "name": name})
}

/// Whom `--user`, `--group` and `--serviceaccount` name.
///
/// # Errors
/// A service account without its namespace.
pub fn subjects(matches: &ArgMatches) -> Result<Vec<Value>> {
    let mut subjects: Vec<Value> = flags::all(matches, "user").iter().map(|user| named("User", user)).collect();
    subjects.extend(flags::all(matches, "group").iter().map(|group| named("Group", group)));
    for account in flags::all(matches, "serviceaccount") {
        let Some((namespace, name)) = account.split_once(':').filter(|(a, b)| !a.is_empty() && !b.is_empty()) else {
            return error("serviceaccount must be <namespace>:<name>");
        };
        subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
    }
    Ok(subjects)
}

fn binding(matches: &ArgMatches, own_kind: &str, kind: &str, role: &str) -> Result<Value> {
    let subjects = subjects(matches)?;
    let mut tree = json!({
        "apiVersion": VERSION, "kind": own_kind, "metadata": {"name": flags::of(matches, "name")},
        "roleRef": named(kind, role),
    });
    if !subjects.is_empty() {
        tree["subjects"] = subjects.into();
    }
    Ok(tree)
}
