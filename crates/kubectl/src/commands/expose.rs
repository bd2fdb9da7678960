//! `kubectl expose`: a Service for what has pods.

use clap::{ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::Entry;
use super::create::number;
use crate::failure::{Result, error};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("expose")
        .about("Expose a resource as a new Kubernetes service.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
        .arg(flags::text("name", "The name for the newly created object."))
        .arg(flags::text("port", "The port that the service should serve on."))
        .arg(flags::text(
            "target-port",
            "Name or number for the port on the container that the service should direct traffic to.",
        ))
        .arg(flags::text("protocol", "The network protocol for the service to be created."))
        .arg(flags::text("type", "Type for this service: ClusterIP, NodePort, LoadBalancer, or ExternalName."))
        .arg(flags::text(
            "cluster-ip",
            "ClusterIP to be assigned to the service, or 'None' to create a headless service.",
        ))
        .arg(flags::text("external-ip", "Additional external IP address to be accepted by the service."))
        .arg(flags::text("session-affinity", "If non-empty, set the session affinity for the service to this."))
        .arg(flags::text("labels", "Labels to apply to the service created by this call."))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let report = Report::of(matches, "kubectl-expose")?;
    let found = select::chosen(&session, matches, &flags::all(matches, "resources")).await?;
    let served = session.discovery().await?.of_kind("v1", "Service")?;
    for found in found {
        let service = service(matches, &found)?;
        if report.dry_run == DryRun::Client {
            report.say(served, &service, "exposed")?;
            continue;
        }
        let resource = session.client.dynamic(served.resource());
        let created = resource.create(&found.namespace(), service, report.options()).await?;
        report.say(served, &created.tree(), "exposed")?;
    }
    Ok(())
}

fn service(matches: &ArgMatches, found: &Found) -> Result<Value> {
    let tree = found.object.tree();
    let given = |flag: &str| Some(flags::of(matches, flag)).filter(|text| !text.is_empty());
    let mut spec = json!({"selector": selector(matches, found)?, "ports": ports(matches, &tree)?});
    for (flag, field) in [("type", "type"), ("cluster-ip", "clusterIP"), ("session-affinity", "sessionAffinity")] {
        if let Some(value) = given(flag) {
            spec[field] = value.into();
        }
    }
    if let Some(address) = given("external-ip") {
        spec["externalIPs"] = json!([address]);
    }
    let labels = match given("labels") {
        Some(text) => Value::Object(super::run::pairs(text.split(','), "labels")?),
        None => machinery::meta::labels(&tree).clone(),
    };
    let mut metadata =
        json!({"creationTimestamp": null, "name": given("name").map_or_else(|| found.name(), str::to_owned)});
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        metadata["labels"] = labels;
    }
    Ok(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}}),
    )
}

fn selector(matches: &ArgMatches, found: &Found) -> Result<Value> {
    let given = flags::of(matches, "selector");
    if !given.is_empty() {
        return Ok(Value::Object(super::run::pairs(given.split(','), "selector")?));
    }
    let tree = found.object.tree();
    let selector = match found.served.plural.as_str() {
        "pods" => machinery::meta::labels(&tree).clone(),
        "services" | "replicationcontrollers" => tree["spec"]["selector"].clone(),
        "deployments" | "replicasets" => {
            if tree["spec"]["selector"]["matchExpressions"].as_array().is_some_and(|all| !all.is_empty()) {
                return error("couldn't convert expressions - \"matchExpressions\" to map-based selector format");
            }
            tree["spec"]["selector"]["matchLabels"].clone()
        }
        other => return error(format!("cannot expose a {other}")),
    };
    match selector.as_object().is_none_or(Map::is_empty) {
        true => error(
            "couldn't retrieve selectors via --selector flag or introspection: the object has no labels or selectors and cannot be exposed",
        ),
        false => Ok(selector),
    }
}

/// The port that was asked for, else all container ports.
fn ports(matches: &ArgMatches, tree: &Value) -> Result<Value> {
    let protocol = match flags::of(matches, "protocol") {
        "" => "TCP",
        given => given,
    };
    let target = |own: i64| match flags::of(matches, "target-port") {
        "" => Value::from(own),
        text => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
    };
    if let Some(port) = number(matches, "port")? {
        return Ok(json!([{"port": port, "protocol": protocol, "targetPort": target(port)}]));
    }
    let spec = if tree["spec"]["containers"].is_array() { &tree["spec"] } else { &tree["spec"]["template"]["spec"] };
    let containers = spec["containers"].as_array().into_iter().flatten();
    let known: Vec<i64> = containers
        .flat_map(|c| c["ports"].as_array().into_iter().flatten())
        .filter_map(|port| port["containerPort"].as_i64())
        .collect();
    match known.as_slice() {
        [] => error("couldn't find port via --port flag or introspection"),
        [only] => Ok(json!([{"port": only, "protocol": protocol, "targetPort": target(*only)}])),
        several => Ok(several
            .iter()
            .enumerate()
            .map(|(at, port)| json!({"name": format!("port-{}", at + 1), "port": port, "protocol": protocol, "targetPort": target(*port)}))
            .collect()),
    }
}
