//! `kubectl set subject`: more users, groups and service accounts for a binding.

use clap::{ArgAction, ArgMatches, Command};
use serde_json::Value;

use super::{shared, write};
use crate::commands::create::subjects;
use crate::failure::{Result, error};
use crate::flags;
use crate::select;
use crate::session::Session;

pub fn build() -> Command {
    let many = |name: &'static str, help: &'static str| flags::text(name, help).action(ArgAction::Append);
    shared(
        Command::new("subject")
            .about("Update the user, group, or service account in a role binding or cluster role binding."),
    )
    .arg(many("user", "Usernames to bind to the role"))
    .arg(many("group", "Groups to bind to the role"))
    .arg(many("serviceaccount", "Service accounts to bind to the role"))
}

pub async fn run(matches: &ArgMatches) -> Result {
    let more = subjects(matches)?;
    if more.is_empty() {
        return error("you must specify at least one value of user, group or serviceaccount");
    }
    let session = Session::open(matches).await?;
    for found in select::objects(&session, matches).await? {
        if !matches!(found.served.kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
            return error("setting subjects is only supported for RoleBinding/ClusterRoleBinding");
        }
        let mut after = Value::clone(&found.object.tree());
        let mut held = after["subjects"].as_array().cloned().unwrap_or_default();
        for subject in &more {
            if !held.contains(subject) {
                held.push(subject.clone());
            }
        }
        after["subjects"] = held.into();
        write(&session, matches, &found, &after, "subjects updated", "failed to patch subjects to rolebinding:")
            .await?;
    }
    Ok(())
}
