//! `kubectl create token`: a token of a service account, by TokenRequest.

use clap::{ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::print::Format;
use crate::session::Session;

pub fn build() -> Command {
    Command::new("token")
        .about("Request a service account token.")
        .arg(super::workload::name())
        .arg(flags::text("audience", "Audience of the requested token.").action(ArgAction::Append))
        .arg(flags::text("duration", "Requested lifetime of the issued token."))
        .arg(flags::output("Output format. One of: (json, yaml, jsonpath, …)."))
        .arg(flags::text(
            "bound-object-kind",
            "Kind of an object to bind the token to. Supported kinds are Node, Pod, Secret.",
        ))
        .arg(flags::text("bound-object-name", "Name of an object to bind the token to."))
        .arg(flags::text(
            "bound-object-uid",
            "UID of an object to bind the token to. Requires --bound-object-kind and --bound-object-name.",
        ))
}

pub async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let name = flags::of(matches, "name");
    let mut spec = json!({"audiences": flags::all(matches, "audience")});
    let duration = flags::of(matches, "duration");
    if !duration.is_empty() {
        spec["expirationSeconds"] = flags::duration(duration)?.as_secs().into();
    }
    let [kind, object, uid] =
        ["bound-object-kind", "bound-object-name", "bound-object-uid"].map(|flag| flags::of(matches, flag));
    if kind.is_empty() != object.is_empty() || (kind.is_empty() && !uid.is_empty()) {
        return error("--bound-object-kind and --bound-object-name are set together, and before --bound-object-uid");
    }
    if !kind.is_empty() {
        spec["boundObjectRef"] = json!({"apiVersion": "v1", "kind": kind, "name": object});
        if !uid.is_empty() {
            spec["boundObjectRef"]["uid"] = uid.into();
        }
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let accounts = client::Resource::new("", "v1", "serviceaccounts", "ServiceAccount");
    let answer = session.client.create_tree(&accounts, &session.namespace, name, "token", request).await;
    let answer = answer.map_err(|status| Failure::Here(format!("failed to create token: {}", status.message)))?;
    match flags::of(matches, "output") {
        "" => println!("{}", answer["status"]["token"].as_str().unwrap_or_default()),
        format => print!("{}", Format::parse(format)?.object(&answer)?),
    }
    Ok(())
}
