//! Ingresses with the endpoints behind their rules, and IngressClasses.

use serde_json::Value;

use super::page::{Page, items, joined, or, shown};
use super::{Subject, events, service};
use crate::failure::Result;

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let ingress = subject.tree;
    let (meta, spec) = (&ingress["metadata"], &ingress["spec"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.labels("Labels", &meta["labels"]);
    page.field(0, "Namespace", shown(&meta["namespace"]));
    let balancers = items(&ingress["status"]["loadBalancer"]["ingress"]).iter();
    let addresses: Vec<String> = balancers.map(|entry| or(&entry["ip"], &shown(&entry["hostname"]))).collect();
    page.field(0, "Address", addresses.join(","));
    page.field(0, "Ingress Class", or(&spec["ingressClassName"], "<none>"));
    let default = match &spec["defaultBackend"] {
        Value::Null => "<default>".to_owned(),
        given => backend(subject, given).await,
    };
    page.field(0, "Default backend", &default);
    certificates(&mut page, items(&spec["tls"]));
    page.line(0, "Rules:");
    page.line(1, "Host\tPath\tBackends");
    page.line(1, "----\t----\t--------");
    let rules: Vec<&Value> = items(&spec["rules"]).iter().filter(|rule| !rule["http"].is_null()).collect();
    for rule in &rules {
        page.line(1, format_args!("{}\t", or(&rule["host"], "*")));
        for path in items(&rule["http"]["paths"]) {
            page.line(2, format_args!("\t{} \t{}", shown(&path["path"]), backend(subject, &path["backend"]).await));
        }
    }
    if rules.is_empty() {
        page.line(1, format_args!("*\t*\t{default}"));
    }
    page.annotations("Annotations", &meta["annotations"]);
    events::append(subject, &mut page).await;
    Ok(page)
}

fn certificates(page: &mut Page, all: &[Value]) {
    if !all.is_empty() {
        page.line(0, "TLS:");
    }
    for entry in all {
        let hosts = joined(&entry["hosts"], ",");
        match shown(&entry["secretName"]).as_str() {
            "" => page.line(1, format_args!("SNI routes {hosts}")),
            secret => page.line(1, format_args!("{secret} terminates {hosts}")),
        }
    }
}

/// `name:port (addresses)`, or why they are not known.
async fn backend(subject: &Subject<'_>, backend: &Value) -> String {
    let wanted = &backend["service"];
    if wanted.is_null() {
        let resource = &backend["resource"];
        let group = or(&resource["apiGroup"], "<none>");
        return format!("APIGroup: {group}, Kind: {}, Name: {}", shown(&resource["kind"]), shown(&resource["name"]));
    }
    let name = shown(&wanted["name"]);
    let (number, port) = (&wanted["port"]["number"], &wanted["port"]["name"]);
    let text = format!("{name}:{}", if number.is_null() { shown(port) } else { shown(number) });
    let namespace = machinery::meta::namespace(subject.tree);
    let services = client::Resource::new("", "v1", "services", "Service");
    let found = match subject.session.client.dynamic(services).get(namespace, &name).await {
        Ok(found) => found,
        Err(status) => return format!("{text} (<error: {}>)", status.message),
    };
    let found = found.tree();
    let mut ports = items(&found["spec"]["ports"]).iter();
    let fits =
        |known: &&Value| (!number.is_null() && known["port"] == *number) || (!port.is_null() && known["name"] == *port);
    let port_name = ports.find(fits).map(|known| shown(&known["name"])).unwrap_or_default();
    match service::slices_of(subject, &name).await {
        Ok(slices) => format!("{text} ({})", service::endpoints(&slices, &port_name)),
        Err(failure) => format!("{text} (<error: {failure}>)"),
    }
}

pub async fn class(subject: &Subject<'_>) -> Result<Page> {
    let class = subject.tree;
    let meta = &class["metadata"];
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.field(0, "Controller", shown(&class["spec"]["controller"]));
    let parameters = &class["spec"]["parameters"];
    if !parameters.is_null() {
        page.line(0, "Parameters:");
        page.optional(1, "APIGroup", &parameters["apiGroup"]);
        page.field(1, "Kind", shown(&parameters["kind"]));
        page.field(1, "Name", shown(&parameters["name"]));
    }
    events::append(subject, &mut page).await;
    Ok(page)
}
