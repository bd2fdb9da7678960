//! Options of streams: PodLogOptions, PodExecOptions, PodAttachOptions and PodPortForwardOptions, checked, and as
//! the query that the kubelet gets.

use machinery::field::{Path, Problems};
use machinery::status::Status;

use crate::wire::query::Query;

/// The container asked for (may be empty) and the kubelet's query.
pub type Asked = (String, String);

/// PodLogOptions.
///
/// # Errors
/// 400 for what is not a number, 422 for values out of range.
pub fn log(query: &Query, pod: &str) -> Result<Asked, Status> {
    let mut out = Vec::new();
    for flag in ["follow", "previous", "timestamps"] {
        if query.flag(flag) {
            out.push((flag, "true".to_owned()));
        }
    }
    let mut problems = Problems::default();
    let since_time = query.get("sinceTime").filter(|t| !t.is_empty());
    let limits = [
        ("sinceSeconds", 1, "must be greater than 0"),
        ("tailLines", 0, NEGATIVE),
        ("limitBytes", 1, "must be greater than 0"),
    ];
    for (name, least, why) in limits {
        let Some(value) = query.number(name)? else { continue };
        if name == "sinceSeconds" && since_time.is_some() {
            problems.forbidden(&Path::new(""), "at most one of `sinceTime` or `sinceSeconds` may be specified");
        } else if value < least {
            problems.invalid(&Path::new(name), value, why);
        }
        out.push((name, value.to_string()));
    }
    if let Some(time) = since_time {
        if time.parse::<jiff::Timestamp>().is_err() {
            let why =
                format!("parsing time {time:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {time:?} as \"2006\"");
            return Err(Status::bad_request(why));
        }
        out.push(("sinceTime", time.to_owned()));
    }
    match query.get("stream") {
        None | Some("") => {}
        Some(stream @ ("All" | "Stdout" | "Stderr")) => out.push(("stream", stream.to_owned())),
        Some(other) => problems.not_supported(&Path::new("stream"), other, &["All", "Stderr", "Stdout"]),
    }
    if !problems.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", pod, &problems));
    }
    Ok((query.get("container").unwrap_or_default().to_owned(), encoded(&out)))
}

const NEGATIVE: &str = "must be greater than or equal to 0";

/// PodExecOptions and PodAttachOptions. The kubelet's names are its own: `input`, `output`, `error`.
///
/// # Errors
/// 400 for an exec without a command.
pub fn session(query: &Query, sort: &str) -> Result<Asked, Status> {
    let mut out = Vec::new();
    // Absent stdout and stderr are false for exec and true for attach, as Kubernetes defaults them.
    let flag = |name: &str, default: bool| if query.get(name).is_some() { query.flag(name) } else { default };
    let attach = sort == "attach";
    let flags =
        [("stdin", "input", false), ("stdout", "output", attach), ("stderr", "error", attach), ("tty", "tty", false)];
    for (name, kubelets, default) in flags {
        if flag(name, default) {
            out.push((kubelets, "1".to_owned()));
        }
    }
    if !attach {
        out.extend(query.all("command").map(|c| ("command", c.to_owned())));
        if query.get("command").is_none() {
            return Err(Status::bad_request("you must specify at least 1 command for the container"));
        }
    }
    if !out.iter().any(|(name, _)| matches!(*name, "input" | "output" | "error")) {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    Ok((query.get("container").unwrap_or_default().to_owned(), encoded(&out)))
}

/// PodPortForwardOptions: ports come in the query of WebSocket clients only.
///
/// # Errors
/// 400 for what is no port.
pub fn port_forward(query: &Query) -> Result<String, Status> {
    let mut ports = Vec::new();
    for port in query.all("ports").flat_map(|list| list.split(',')) {
        let known = port.parse::<u16>().ok().filter(|p| *p != 0);
        ports.push(known.ok_or_else(|| Status::bad_request(format!("{port:?} is not a port")))?.to_string());
    }
    Ok(if ports.is_empty() { String::new() } else { encoded(&[("port", ports.join(","))]) })
}

fn encoded(pairs: &[(&str, String)]) -> String {
    let all: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    all.join("&")
}

/// Percent-encoding of everything but unreserved characters (RFC 3986).
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kubelet_is_asked() {
        let q = |text: &str| Query::parse(Some(text));
        let (container, query) =
            session(&q("container=c&command=sh&command=-c&command=a%26b&stdin=true&stdout=1"), "exec").unwrap();
        assert_eq!((container.as_str(), query.as_str()), ("c", "input=1&output=1&command=sh&command=-c&command=a%26b"));
        assert_eq!(log(&q("follow=true&tailLines=5"), "p").unwrap().1, "follow=true&tailLines=5");
        let status = log(&q("tailLines=-1"), "p").unwrap_err();
        assert_eq!(
            status.message,
            "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"
        );
    }
}
