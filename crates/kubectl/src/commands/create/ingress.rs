//! `create ingress`: rules of the form `host/path*=service:port,tls=secret`.

use clap::{ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::workload::name;
use super::{Generator, Make};
use crate::failure::{Result, error};
use crate::flags;

pub const INGRESS: Generator = Generator { build, make: Make::Plain(ingress) };

fn build() -> Command {
    Command::new("ingress")
        .visible_alias("ing")
        .about("Create an ingress with the specified name.")
        .arg(name())
        .arg(flags::text("class", "Ingress Class to be used"))
        .arg(flags::text("rule", "Rule in format host/path=service:port[,tls=secretname].").action(ArgAction::Append))
        .arg(flags::text("default-backend", "Default service for backend, in format of svcname:port"))
        .arg(
            flags::text("annotation", "Annotation to insert in the ingress object, in the format annotation=value")
                .action(ArgAction::Append),
        )
}

fn ingress(matches: &ArgMatches) -> Result<Value> {
    let (rules, backend) = (flags::all(matches, "rule"), flags::of(matches, "default-backend"));
    if rules.is_empty() && backend.is_empty() {
        return error(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)",
        );
    }
    let mut spec = json!({});
    if !flags::of(matches, "class").is_empty() {
        spec["ingressClassName"] = flags::of(matches, "class").into();
    }
    if !backend.is_empty() {
        spec["defaultBackend"] = json!({"service": service(backend)?});
    }
    let (mut hosts, mut tls) = (Vec::new(), Vec::new());
    for rule in &rules {
        add(rule, &mut hosts, &mut tls)?;
    }
    if !hosts.is_empty() {
        spec["rules"] = hosts.into();
    }
    if !tls.is_empty() {
        spec["tls"] = tls.into();
    }
    let mut metadata = json!({"name": flags::of(matches, "name")});
    let annotations = flags::all(matches, "annotation");
    if !annotations.is_empty() {
        let all = crate::commands::run::pairs(annotations.into_iter(), "annotation")?;
        metadata["annotations"] = Value::Object(all);
    }
    Ok(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec,
        "status": {"loadBalancer": {}},
    }))
}

/// Adds a rule to the rules of its host, and its certificate.
fn add(rule: &str, hosts: &mut Vec<Value>, tls: &mut Vec<Value>) -> Result {
    let wrong =
        || error(format!("rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"));
    let (rest, certificate) = match rule.split_once(",tls") {
        Some((rest, secret)) => (rest, Some(secret.trim_start_matches('='))),
        None => (rule, None),
    };
    let Some((address, backend)) = rest.split_once('=') else { return wrong() };
    let Some(at) = address.find('/') else { return wrong() };
    let (host, path) = address.split_at(at);
    let (path, kind) = match path.strip_suffix('*') {
        Some(path) => (path, "Prefix"),
        None => (path, "Exact"),
    };
    let path = json!({"path": path, "pathType": kind, "backend": {"service": service(backend)?}});
    match hosts.iter_mut().find(|known| known["host"].as_str().unwrap_or_default() == host) {
        Some(known) => known["http"]["paths"].as_array_mut().into_iter().for_each(|paths| paths.push(path.clone())),
        None => {
            let mut new = json!({"http": {"paths": [path]}});
            if !host.is_empty() {
                new["host"] = host.into();
            }
            hosts.push(new);
        }
    }
    if let Some(secret) = certificate {
        let mut entry = json!({"hosts": [host]});
        if !secret.is_empty() {
            entry["secretName"] = secret.into();
        }
        tls.push(entry);
    }
    Ok(())
}

/// `name:port`, the port by number or name.
fn service(text: &str) -> Result<Value> {
    let Some((name, port)) = text.split_once(':').filter(|(name, port)| !name.is_empty() && !port.is_empty()) else {
        return error(format!("backend {text} is invalid and should be in format servicename:serviceport"));
    };
    let port = match port.parse::<u16>() {
        Ok(number) => json!({"number": number}),
        Err(_) => json!({"name": port}),
    };
    Ok(json!({"name": name, "port": port}))
}
