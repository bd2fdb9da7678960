//! `kubectl cluster-info`: where the control plane and its services are.

mod dump;

use clap::{ArgMatches, Command};
use client::Options;
use serde_json::Value;

use super::Entry;
use crate::failure::Result;
use crate::select;
use crate::session::{self, Session};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("cluster-info").about("Display cluster information.").subcommand(dump::build())
}

async fn run(matches: &ArgMatches) -> Result {
    if let Some((_, own)) = matches.subcommand() {
        return dump::run(own).await;
    }
    let server = session::access(matches).await?.server();
    let server = server.trim_end_matches('/');
    let session = Session::open(matches).await?;
    let namespace = if session.is_namespace_given { session.namespace.as_str() } else { "kube-system" };
    let served = session.discovery().await?.of_kind("v1", "Service")?;
    let options = Options { label_selector: "kubernetes.io/cluster-service=true".into(), ..Options::default() };
    let services = select::list(&session, served, namespace, options).await?;
    println!("Kubernetes control plane is running at {server}");
    for service in services.items {
        let service = service.tree();
        let name = machinery::meta::name(&service);
        let shown = machinery::meta::label(&service, "kubernetes.io/name").unwrap_or(name);
        println!("{shown} is running at {}", address(server, &service));
    }
    println!("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.");
    Ok(())
}

/// Its load balancer's ports, else its path through the API server's proxy.
fn address(server: &str, service: &Value) -> String {
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let balancer = &service["status"]["loadBalancer"]["ingress"][0];
    if let Some(host) = balancer["ip"].as_str().or(balancer["hostname"].as_str()) {
        return ports.iter().map(|port| format!("http://{host}:{} ", port["port"])).collect();
    }
    let (name, namespace) = (machinery::meta::name(service), machinery::meta::namespace(service));
    let path = match ports.first() {
        None => name.to_owned(),
        Some(port) => {
            let port_name = port["name"].as_str().unwrap_or_default();
            let is_https = port_name == "https" || port["port"] == 443;
            match (is_https, port_name) {
                (true, port_name) => format!("https:{name}:{port_name}"),
                (false, "") => name.to_owned(),
                (false, port_name) => format!("{name}:{port_name}"),
            }
        }
    };
    format!("{server}/api/v1/namespaces/{namespace}/services/{path}/proxy")
}
