//! A Service with its endpoints.

use client::Options;
use serde_json::Value;

use super::page::{Page, items, joined, number, or, shown};
use super::{Subject, events};
use crate::failure::Result;
use crate::print::table::labels_text;
use crate::select;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const ENDPOINTS_SHOWN_MAX: usize = 3;

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let service = subject.tree;
    let mut page = Page::default();
    head(&mut page, service);
    // Endpoints that may not be read are shown as none, as upstream does.
    let slices = slices(subject).await.unwrap_or_default();
    for port in items(&service["spec"]["ports"]) {
        describe_port(&mut page, port, &slices);
    }
    policies(&mut page, &service["spec"]);
    events::append(subject, &mut page).await;
    Ok(page)
}

fn head(page: &mut Page, service: &Value) {
    let (meta, spec) = (&service["metadata"], &service["spec"]);
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.field(0, "Selector", labels_text(&spec["selector"]));
    page.field(0, "Type", shown(&spec["type"]));
    page.optional(0, "IP Family Policy", &spec["ipFamilyPolicy"]);
    page.field(0, "IP Families", or(&Value::from(joined(&spec["ipFamilies"], ",")), "<none>"));
    page.field(0, "IP", shown(&spec["clusterIP"]));
    page.field(0, "IPs", or(&Value::from(joined(&spec["clusterIPs"], ",")), "<none>"));
    page.optional(0, "External IPs", &Value::from(joined(&spec["externalIPs"], ",")));
    page.optional(0, "Desired LoadBalancer IP", &spec["loadBalancerIP"]);
    page.optional(0, "External Name", &spec["externalName"]);
    let ingress = |entry: &Value| match (shown(&entry["ip"]), shown(&entry["ipMode"])) {
        (ip, _) if ip.is_empty() => shown(&entry["hostname"]),
        (ip, mode) if mode.is_empty() => ip,
        (ip, mode) => format!("{ip} ({mode})"),
    };
    let all: Vec<String> = items(&service["status"]["loadBalancer"]["ingress"]).iter().map(ingress).collect();
    page.optional(0, "LoadBalancer Ingress", &Value::from(all.join(", ")));
}

fn describe_port(page: &mut Page, port: &Value, slices: &[Value]) {
    let (name, protocol) = (or(&port["name"], "<unset>"), shown(&port["protocol"]));
    page.field(0, "Port", format_args!("{name}\t{}/{protocol}", number(&port["port"])));
    page.field(0, "TargetPort", format_args!("{}/{protocol}", shown(&port["targetPort"])));
    page.optional(0, "AppProtocol", &port["appProtocol"]);
    if number(&port["nodePort"]) != 0 {
        page.field(0, "NodePort", format_args!("{name}\t{}/{protocol}", number(&port["nodePort"])));
    }
    page.field(0, "Endpoints", endpoints(slices, &shown(&port["name"])));
}

fn policies(page: &mut Page, spec: &Value) {
    page.field(0, "Session Affinity", shown(&spec["sessionAffinity"]));
    page.optional(0, "External Traffic Policy", &spec["externalTrafficPolicy"]);
    page.optional(0, "Internal Traffic Policy", &spec["internalTrafficPolicy"]);
    page.optional(0, "HealthCheck NodePort", &spec["healthCheckNodePort"]);
    page.optional(0, "LoadBalancer Source Ranges", &Value::from(joined(&spec["loadBalancerSourceRanges"], ",")));
}

async fn slices(subject: &Subject<'_>) -> Result<Vec<Value>> {
    slices_of(subject, machinery::meta::name(subject.tree)).await
}

/// The slices of a Service in the namespace of the described object.
///
/// # Errors
/// They may not be read.
pub async fn slices_of(subject: &Subject<'_>, service: &str) -> Result<Vec<Value>> {
    let served = subject.session.discovery().await?.of_kind("discovery.k8s.io/v1", "EndpointSlice")?;
    let label_selector = format!("{SERVICE_NAME}={service}");
    let options = Options { label_selector, ..Options::default() };
    let list = select::list(subject.session, served, machinery::meta::namespace(subject.tree), options).await?;
    Ok(list.items.iter().map(|object| Value::clone(&object.tree())).collect())
}

/// The ready addresses of a port, the first three of them.
pub fn endpoints(slices: &[Value], port_name: &str) -> String {
    if slices.is_empty() {
        return "<none>".into();
    }
    let mut all = Vec::new();
    for slice in slices {
        let ready = || items(&slice["endpoints"]).iter().filter(|endpoint| endpoint["conditions"]["ready"] != false);
        let ports = items(&slice["ports"]);
        if ports.is_empty() {
            all.extend(ready().map(|endpoint| shown(&endpoint["addresses"][0])));
        }
        for port in ports.iter().filter(|port| shown(&port["name"]) == port_name) {
            all.extend(ready().map(|endpoint| host_port(&shown(&endpoint["addresses"][0]), number(&port["port"]))));
        }
    }
    let more = all.len().saturating_sub(ENDPOINTS_SHOWN_MAX);
    all.truncate(ENDPOINTS_SHOWN_MAX);
    let text = all.join(",");
    if more > 0 { format!("{text} + {more} more...") } else { text }
}

fn host_port(host: &str, port: i64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
