//! The containers of a pod or of a template.

use serde_json::Value;

use super::environment;
use super::page::{Page, date, entries, items, joined, number, or, shown};

/// A section of containers; `indent` is two spaces below a template's title.
pub struct Section<'a> {
    pub label: &'a str,
    pub containers: &'a Value,
    /// Null in templates.
    pub statuses: &'a Value,
    /// Null in templates.
    pub pod: &'a Value,
    pub indent: &'a str,
}

pub fn describe(page: &mut Page, section: &Section<'_>) {
    let all = items(section.containers);
    let none = if all.is_empty() { " <none>" } else { "" };
    page.line(0, format_args!("{}{}:{none}", section.indent, section.label));
    for container in all {
        let status = items(section.statuses).iter().find(|status| status["name"] == container["name"]);
        basics(page, container, status, section.indent);
        words(page, "Command", &container["command"]);
        words(page, "Args", &container["args"]);
        if let Some(status) = status {
            state(page, "State", &status["state"]);
            if !status["lastState"]["terminated"].is_null() {
                state(page, "Last State", &status["lastState"]);
            }
            page.field(2, "Ready", capital(status["ready"] == true));
            page.field(2, "Restart Count", number(&status["restartCount"]));
        }
        amounts(page, "Limits", &container["resources"]["limits"]);
        amounts(page, "Requests", &container["resources"]["requests"]);
        probes(page, container);
        environment::describe(page, container, section.pod);
        mounts(page, container);
    }
}

/// `True` or `False`.
pub fn capital(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

fn basics(page: &mut Page, container: &Value, status: Option<&Value>, indent: &str) {
    let nudge = if indent.is_empty() { "" } else { " " };
    page.line(1, format_args!("{nudge}{}:", shown(&container["name"])));
    if let Some(status) = status {
        page.field(2, "Container ID", shown(&status["containerID"]));
    }
    page.field(2, "Image", shown(&container["image"]));
    if let Some(status) = status {
        page.field(2, "Image ID", shown(&status["imageID"]));
    }
    for (one, many, field) in [("Port", "Ports", "containerPort"), ("Host Port", "Host Ports", "hostPort")] {
        let ports = items(&container["ports"]).iter();
        let texts: Vec<String> =
            ports.map(|port| format!("{}/{}", number(&port[field]), shown(&port["protocol"]))).collect();
        match texts.as_slice() {
            [] => page.field(2, one, "<none>"),
            [only] => page.field(2, one, only),
            several => page.field(2, many, several.join(", ")),
        }
    }
    let seccomp = &container["securityContext"]["seccompProfile"];
    page.optional(2, "SeccompProfile", &seccomp["type"]);
    if seccomp["type"] == "Localhost" {
        page.field(3, "LocalhostProfile", shown(&seccomp["localhostProfile"]));
    }
}

fn words(page: &mut Page, title: &str, words: &Value) {
    if items(words).is_empty() {
        return;
    }
    page.line(2, format_args!("{title}:"));
    for word in items(words) {
        shown(word).split('\n').for_each(|line| page.line(3, line));
    }
}

fn state(page: &mut Page, title: &str, state: &Value) {
    if !state["running"].is_null() {
        page.field(2, title, "Running");
        return page.field(3, "Started", date(&state["running"]["startedAt"]));
    }
    let ended = &state["terminated"];
    if ended.is_null() {
        page.field(2, title, "Waiting");
        return page.optional(3, "Reason", &state["waiting"]["reason"]);
    }
    page.field(2, title, "Terminated");
    page.optional(3, "Reason", &ended["reason"]);
    page.optional(3, "Message", &ended["message"]);
    page.field(3, "Exit Code", number(&ended["exitCode"]));
    if number(&ended["signal"]) > 0 {
        page.field(3, "Signal", number(&ended["signal"]));
    }
    page.field(3, "Started", date(&ended["startedAt"]));
    page.field(3, "Finished", date(&ended["finishedAt"]));
}

/// Limits and requests, by name.
pub fn amounts(page: &mut Page, title: &str, amounts: &Value) {
    let mut all = entries(amounts).peekable();
    if all.peek().is_some() {
        page.line(2, format_args!("{title}:"));
    }
    all.for_each(|(name, amount)| page.field(3, name, shown(amount)));
}

fn probes(page: &mut Page, container: &Value) {
    let probes = [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")];
    for (title, field) in probes {
        if !container[field].is_null() {
            page.field(2, title, probe(&container[field]));
        }
    }
}

fn probe(probe: &Value) -> String {
    let attributes = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number(&probe["initialDelaySeconds"]),
        number(&probe["timeoutSeconds"]),
        number(&probe["periodSeconds"]),
        number(&probe["successThreshold"]),
        number(&probe["failureThreshold"])
    );
    let (exec, http, tcp, grpc) = (&probe["exec"], &probe["httpGet"], &probe["tcpSocket"], &probe["grpc"]);
    if !exec.is_null() {
        return format!("exec [{}] {attributes}", joined(&exec["command"], " "));
    }
    if !http.is_null() {
        let scheme = shown(&http["scheme"]).to_lowercase();
        let (host, path) = (shown(&http["host"]), shown(&http["path"]));
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        return format!("http-get {scheme}://{host}:{}{slash}{path} {attributes}", shown(&http["port"]));
    }
    if !tcp.is_null() {
        return format!("tcp-socket {}:{} {attributes}", shown(&tcp["host"]), shown(&tcp["port"]));
    }
    if !grpc.is_null() {
        return format!("grpc <pod>:{} {} {attributes}", number(&grpc["port"]), shown(&grpc["service"]));
    }
    format!("unknown {attributes}")
}

fn mounts(page: &mut Page, container: &Value) {
    let mut mounts = items(&container["volumeMounts"]).to_vec();
    let none = if mounts.is_empty() { "\t<none>" } else { "" };
    page.line(2, format_args!("Mounts:{none}"));
    mounts.sort_by_key(|mount| shown(&mount["mountPath"]));
    for mount in &mounts {
        let mut flags = if mount["readOnly"] == true { "ro".to_owned() } else { "rw".to_owned() };
        if mount["subPath"].as_str().is_some_and(|path| !path.is_empty()) {
            flags.push_str(&format!(",path={:?}", shown(&mount["subPath"])));
        }
        page.line(3, format_args!("{} from {} ({flags})", shown(&mount["mountPath"]), shown(&mount["name"])));
    }
    let mut devices = items(&container["volumeDevices"]).to_vec();
    if devices.is_empty() {
        return;
    }
    page.line(2, format_args!("Devices:{none}"));
    devices.sort_by_key(|device| shown(&device["devicePath"]));
    for device in &devices {
        page.line(3, format_args!("{} from {}", shown(&device["devicePath"]), or(&device["name"], "")));
    }
}
