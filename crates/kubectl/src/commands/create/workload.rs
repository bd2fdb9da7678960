//! `create deployment`, `namespace` and `serviceaccount`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::{Generator, Make};
use crate::failure::{Failure, Result, error};
use crate::flags;

pub const DEPLOYMENT: Generator = Generator { build: build_deployment, make: Make::Plain(deployment) };
pub const NAMESPACE: Generator = Generator { build: build_namespace, make: Make::Plain(namespace) };
pub const SERVICE_ACCOUNT: Generator = Generator { build: build_account, make: Make::Plain(account) };

pub fn name() -> Arg {
    Arg::new("name").required(true).value_name("NAME")
}

fn build_deployment() -> Command {
    Command::new("deployment")
        .visible_alias("deploy")
        .about("Create a deployment with the specified name.")
        .arg(name())
        .arg(flags::text("image", "Image names to run.").action(ArgAction::Append).required(true))
        .arg(flags::text("replicas", "Number of replicas to create.").short('r').default_value("1"))
        .arg(flags::text("port", "The containerPort that this deployment exposes."))
        .arg(Arg::new("command").last(true).num_args(0..).value_name("COMMAND"))
}

fn deployment(matches: &ArgMatches) -> Result<Value> {
    let name = flags::of(matches, "name");
    let images = flags::all(matches, "image");
    let command = flags::all(matches, "command");
    if images.len() > 1 && !command.is_empty() {
        return error("cannot specify multiple --image options and command");
    }
    let port = number(matches, "port")?;
    let containers: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut container = json!({"name": container_name(image), "image": image, "resources": {}});
            if let Some(port) = port {
                container["ports"] = json!([{"containerPort": port}]);
            }
            if !command.is_empty() {
                container["command"] = command.clone().into();
            }
            container
        })
        .collect();
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": number(matches, "replicas")?,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
        },
        "status": {},
    }))
}

/// The image's last part without tag and digest, in letters that a name may have.
fn container_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    let last = last.split(['@', ':']).next().unwrap_or_default();
    last.replace(['_', '.'], "-").to_lowercase()
}

/// # Errors
/// The flag's value is no number.
pub fn number(matches: &ArgMatches, flag: &str) -> Result<Option<i64>> {
    match flags::of(matches, flag) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            Failure::Here(format!("invalid argument \"{text}\" for \"--{flag}\" flag: strconv.ParseInt: parsing \"{text}\": invalid syntax"))
        }),
    }
}

fn build_namespace() -> Command {
    Command::new("namespace").visible_alias("ns").about("Create a namespace with the specified name.").arg(name())
}

fn namespace(matches: &ArgMatches) -> Result<Value> {
    Ok(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": flags::of(matches, "name")}, "spec": {}, "status": {}}),
    )
}

fn build_account() -> Command {
    Command::new("serviceaccount")
        .visible_alias("sa")
        .about("Create a service account with the specified name.")
        .arg(name())
}

fn account(matches: &ArgMatches) -> Result<Value> {
    Ok(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": flags::of(matches, "name")}}))
}
