//! A pod template as `rollout history --revision` describes it.

use std::fmt::Write;

use serde_json::Value;

/// `Pod Template:` with labels and containers, indented as upstream does.
pub fn describe_template(template: &Value) -> String {
    let mut out = String::from("Pod Template:\n");
    let labels = crate::print::table::labels_text(&template["metadata"]["labels"]);
    for (at, label) in labels.split(',').enumerate() {
        let head = if at == 0 { "  Labels:\t" } else { "\t" };
        // Writing to a String has no failing path.
        let _ = writeln!(out, "{head}{label}");
    }
    if let Some(annotations) = template["metadata"]["annotations"].as_object().filter(|a| !a.is_empty()) {
        for (at, (key, value)) in annotations.iter().enumerate() {
            let head = if at == 0 { "  Annotations:\t" } else { "\t" };
            let _ = writeln!(out, "{head}{key}: {}", value.as_str().unwrap_or_default());
        }
    }
    out.push_str("  Containers:\n");
    for container in template["spec"]["containers"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let _ = writeln!(out, "   {}:", text(&container["name"]));
        let _ = writeln!(out, "    Image:\t{}", text(&container["image"]));
        let ports = container["ports"].as_array().into_iter().flatten();
        let (mut ports, mut host): (Vec<String>, Vec<String>) = ports
            .map(|port| {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                let number = |field: &str| port[field].as_i64().unwrap_or(0);
                (format!("{}/{protocol}", number("containerPort")), format!("{}/{protocol}", number("hostPort")))
            })
            .unzip();
        if ports.is_empty() {
            ports.push("<none>".into());
            host.push("<none>".into());
        }
        let _ = writeln!(out, "    Port:\t{}\n    Host Port:\t{}", ports.join(", "), host.join(", "));
        out.push_str("    Environment:\t<none>\n    Mounts:\t<none>\n");
    }
    out.push_str("  Volumes:\t<none>\n  Node-Selectors:\t<none>\n  Tolerations:\t<none>\n");
    out
}
