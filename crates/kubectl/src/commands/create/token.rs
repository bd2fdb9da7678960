//! `kubectl create token`: a token of a service account, by TokenRequest.

use clap::{ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::failure::Result;
use crate::flags;
use crate::session::Session;

pub fn build() -> Command {
    Command::new("token")
        .about("Request a service account token.")
        .arg(super::workload::name())
        .arg(flags::text("audience", "Audience of the requested token.").action(ArgAction::Append))
        .arg(flags::text("duration", "Requested lifetime of the issued token."))
}

pub async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let name = flags::of(matches, "name");
    let mut spec = json!({"audiences": flags::all(matches, "audience")});
    let duration = flags::of(matches, "duration");
    if !duration.is_empty() {
        spec["expirationSeconds"] = flags::duration(duration)?.as_secs().into();
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let accounts = client::Resource::new("", "v1", "serviceaccounts", "ServiceAccount");
    let answer = session.client.create_tree(&accounts, &session.namespace, name, "token", request).await?;
    println!("{}", answer["status"]["token"].as_str().unwrap_or_default());
    Ok(())
}
