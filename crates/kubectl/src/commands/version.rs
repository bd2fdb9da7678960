//! `kubectl version`.

use clap::{ArgMatches, Command};
use http::Method;
use serde_json::{Value, json};

use super::Entry;
use crate::failure::{Failure, Result, error};
use crate::flags;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

/// The Kubernetes version that this client is made for.
const CLIENT: &str = concat!("v1.36.0+kybern.", env!("CARGO_PKG_VERSION"));

fn build() -> Command {
    Command::new("version")
        .about("Print the client and server version information for the current context.")
        .arg(flags::switch("client", "If true, shows client version only (no server required)."))
        .arg(flags::output("One of 'yaml' or 'json'."))
}

async fn run(matches: &ArgMatches) -> Result {
    let server = match flags::is_set(matches, "client") {
        true => None,
        false => Some(server(matches).await?),
    };
    let (major, minor) = ("1", "36");
    let mut versions = json!({"clientVersion": {"major": major, "minor": minor, "gitVersion": CLIENT}});
    if let Some(server) = &server {
        versions["serverVersion"] = server.clone();
    }
    match flags::of(matches, "output") {
        "" => {
            println!("Client Version: {CLIENT}");
            if let Some(server) = server {
                println!("Server Version: {}", server["gitVersion"].as_str().unwrap_or_default());
            }
        }
        "json" => println!("{versions:#}"),
        "yaml" => print!("{}", machinery::yaml::emit(&versions)),
        _ => return error("--output must be 'yaml' or 'json'"),
    }
    Ok(())
}

async fn server(matches: &ArgMatches) -> Result<Value> {
    let session = Session::open(matches).await?;
    let answer = session.https.raw(Method::GET, "/version", "application/json", None).await?;
    serde_json::from_slice(&answer.body).map_err(|e| Failure::Here(e.to_string()))
}
