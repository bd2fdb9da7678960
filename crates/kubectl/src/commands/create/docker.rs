//! `create secret docker-registry`: who we are at a registry.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgMatches, Command};
use serde::Serialize;
use serde_json::{Value, json};

use super::workload::name;
use super::{Generator, Make};
use crate::failure::{Failure, Result, error, go_words};
use crate::flags;

pub const SECRET: Generator = Generator { build, make: Make::Plain(secret) };

const KEY: &str = ".dockerconfigjson";

fn build() -> Command {
    Command::new("secret docker-registry")
        .about("Create a new secret for use with Docker registries.")
        .arg(name())
        .arg(
            flags::text("docker-server", "Server location for Docker registry")
                .default_value("https://index.docker.io/v1/"),
        )
        .arg(flags::text("docker-username", "Username for Docker registry authentication"))
        .arg(flags::text("docker-password", "Password for Docker registry authentication"))
        .arg(flags::text("docker-email", "Email for Docker registry"))
        .arg(flags::text("from-file", "A docker configuration, as .dockerconfigjson=PATH or PATH"))
}

/// Fields in the order of upstream's file.
#[derive(Serialize)]
struct Entry<'a> {
    username: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    email: &'a str,
    auth: String,
}

fn secret(matches: &ArgMatches) -> Result<Value> {
    let [server, username, password, email] =
        ["docker-server", "docker-username", "docker-password", "docker-email"].map(|flag| flags::of(matches, flag));
    let file = flags::of(matches, "from-file");
    let data = if !file.is_empty() {
        let path = file.split_once('=').map_or(file, |(_, path)| path);
        std::fs::read(path).map_err(|why| Failure::Here(go_words("error reading", path, &why)))?
    } else if username.is_empty() || password.is_empty() {
        return error(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required",
        );
    } else {
        let entry = Entry { username, password, email, auth: STANDARD.encode(format!("{username}:{password}")) };
        let entry = serde_json::to_string(&entry).map_err(|e| Failure::Here(e.to_string()))?;
        format!("{{\"auths\":{{{}:{entry}}}}}", Value::from(server)).into_bytes()
    };
    let mut held = json!({});
    held[KEY] = STANDARD.encode(data).into();
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": flags::of(matches, "name")}, "data": held,
    }))
}
