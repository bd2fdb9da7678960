//! `create deployment`, `namespace`, `serviceaccount`, `service clusterip|nodeport`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::Generator;
use crate::failure::{Failure, Result, error};
use crate::flags;

pub const DEPLOYMENT: Generator = Generator { build: build_deployment, make: deployment };
pub const NAMESPACE: Generator = Generator { build: build_namespace, make: namespace };
pub const SERVICE_ACCOUNT: Generator = Generator { build: build_account, make: account };
pub const SERVICE_CLUSTER_IP: Generator = Generator { build: build_cluster_ip, make: cluster_ip };
pub const SERVICE_NODE_PORT: Generator = Generator { build: build_node_port, make: node_port };

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

fn tcp() -> Arg {
    flags::text("tcp", "Port pairs can be specified as '<port>:<targetPort>'.")
        .action(ArgAction::Append)
        .value_delimiter(',')
}

fn build_cluster_ip() -> Command {
    Command::new("service clusterip")
        .about("Create a ClusterIP service with the specified name.")
        .arg(name())
        .arg(tcp())
        .arg(flags::text("clusterip", "Assign your own ClusterIP or set to 'None' for a 'headless' service."))
}

fn cluster_ip(matches: &ArgMatches) -> Result<Value> {
    let mut service = service(matches, "ClusterIP", None)?;
    let address = flags::of(matches, "clusterip");
    if !address.is_empty() {
        service["spec"]["clusterIP"] = address.into();
    }
    Ok(service)
}

fn build_node_port() -> Command {
    Command::new("service nodeport")
        .about("Create a NodePort service with the specified name.")
        .arg(name())
        .arg(tcp())
        .arg(flags::text("node-port", "Port used to expose the service on each node in a cluster."))
}

fn node_port(matches: &ArgMatches) -> Result<Value> {
    service(matches, "NodePort", number(matches, "node-port")?)
}

fn service(matches: &ArgMatches, kind: &str, node_port: Option<i64>) -> Result<Value> {
    let name = flags::of(matches, "name");
    let mut ports = Vec::new();
    for pair in flags::all(matches, "tcp") {
        let (port, target) = pair.split_once(':').unwrap_or((pair, pair));
        let number: i64 = port.parse().map_err(|_| Failure::Here(format!("invalid port \"{port}\"")))?;
        let target = target.parse::<i64>().map_or_else(|_| Value::from(target), Value::from);
        let mut entry =
            json!({"name": pair.replace(':', "-"), "port": number, "protocol": "TCP", "targetPort": target});
        if let Some(node_port) = node_port {
            entry["nodePort"] = node_port.into();
        }
        ports.push(entry);
    }
    if ports.is_empty() && flags::try_of(matches, "clusterip") != "None" {
        return error("at least one tcp port specifier must be provided");
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"type": kind, "selector": {"app": name}, "ports": ports},
        "status": {"loadBalancer": {}},
    }))
}
