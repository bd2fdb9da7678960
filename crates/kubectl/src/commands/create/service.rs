//! `create service clusterip|nodeport|loadbalancer|externalname`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::workload::{name, number};
use super::{Generator, Make};
use crate::failure::{Failure, Result, error};
use crate::flags;

pub const CLUSTER_IP: Generator = Generator { build: build_cluster_ip, make: Make::Plain(cluster_ip) };
pub const EXTERNAL_NAME: Generator = Generator { build: build_external_name, make: Make::Plain(external_name) };
pub const LOAD_BALANCER: Generator = Generator { build: build_load_balancer, make: Make::Plain(load_balancer) };
pub const NODE_PORT: Generator = Generator { build: build_node_port, make: Make::Plain(node_port) };

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

fn build_load_balancer() -> Command {
    Command::new("service loadbalancer")
        .about("Create a LoadBalancer service with the specified name.")
        .arg(name())
        .arg(tcp())
}

fn load_balancer(matches: &ArgMatches) -> Result<Value> {
    service(matches, "LoadBalancer", None)
}

fn build_external_name() -> Command {
    Command::new("service externalname")
        .about("Create an ExternalName service with the specified name.")
        .arg(name())
        .arg(tcp())
        .arg(flags::text("external-name", "External name of service").required(true))
}

fn external_name(matches: &ArgMatches) -> Result<Value> {
    let mut service = service(matches, "ExternalName", None)?;
    service["spec"]["externalName"] = flags::of(matches, "external-name").into();
    Ok(service)
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
    if ports.is_empty() && flags::try_of(matches, "clusterip") != "None" && kind != "ExternalName" {
        return error("at least one tcp port specifier must be provided");
    }
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"type": kind, "selector": {"app": name}},
        "status": {"loadBalancer": {}},
    });
    if !ports.is_empty() {
        service["spec"]["ports"] = ports.into();
    }
    Ok(service)
}
