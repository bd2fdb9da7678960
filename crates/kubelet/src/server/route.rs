//! From a request's path and query to what is asked for.

use http::{Method, Request};

/// A container, or with an empty name the pod's only one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    pub pod: String,
    /// Empty: whatever pod has the name now.
    pub uid: String,
    pub container: String,
}

/// What of a process is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub command: Vec<String>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

pub type Query = Vec<(String, String)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Health,
    Pods,
    RunningPods,
    Logs(Target, Query),
    Exec(Target, Streams),
    Attach(Target, Streams),
    Run(Target, Vec<String>),
    PortForward(Target, Vec<i32>),
    Metrics,
    ResourceMetrics,
    Summary,
}

/// The values of a query, decoded, in their order.
pub fn query(text: &str) -> Query {
    let pairs = text.split('&').filter(|p| !p.is_empty());
    pairs.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(k, v)| (decode(k), decode(v))).collect()
}

/// `%20` and `+` as the characters that they stand for; what is malformed stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[i], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub fn first<'a>(query: &'a Query, key: &str) -> Option<&'a str> {
    query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

fn all(query: &Query, key: &str) -> Vec<String> {
    query.iter().filter(|(k, _)| k == key).map(|(_, v)| v.clone()).collect()
}

fn streams(query: &Query) -> Streams {
    let on = |keys: [&str; 2]| keys.iter().any(|k| matches!(first(query, k), Some("1" | "true")));
    Streams {
        command: all(query, "command"),
        stdin: on(["input", "stdin"]),
        stdout: on(["output", "stdout"]),
        stderr: on(["error", "stderr"]),
        tty: on(["tty", "tty"]),
    }
}

/// `NAMESPACE/POD/[UID/]CONTAINER`.
fn target(parts: &[String]) -> Option<Target> {
    let (namespace, pod, uid, container) = match parts {
        [n, p, c] => (n, p, String::new(), c.clone()),
        [n, p, u, c] => (n, p, u.clone(), c.clone()),
        _ => return None,
    };
    Some(Target { namespace: namespace.clone(), pod: pod.clone(), uid, container })
}

/// `NAMESPACE/POD[/UID]`.
fn pod_target(parts: &[String]) -> Option<Target> {
    let (namespace, pod, uid) = match parts {
        [n, p] => (n, p, String::new()),
        [n, p, u] => (n, p, u.clone()),
        _ => return None,
    };
    Some(Target { namespace: namespace.clone(), pod: pod.clone(), uid, container: String::new() })
}

impl Route {
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        let parts: Vec<String> = request.uri().path().split('/').filter(|p| !p.is_empty()).map(decode).collect();
        let query = query(request.uri().query().unwrap_or_default());
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let streams_ok = reads || *request.method() == Method::POST;
        let rest = parts.get(1..).unwrap_or_default();
        Some(match names.as_slice() {
            ["healthz" | "livez"] if reads => Route::Health,
            ["pods"] if reads => Route::Pods,
            ["runningpods"] if reads => Route::RunningPods,
            ["metrics"] if reads => Route::Metrics,
            ["metrics", "resource"] if reads => Route::ResourceMetrics,
            ["stats", "summary"] if reads => Route::Summary,
            ["containerLogs", _, _, _] if reads => Route::Logs(target(rest)?, query),
            ["exec", ..] if streams_ok => Route::Exec(target(rest)?, streams(&query)),
            ["attach", ..] if streams_ok => Route::Attach(target(rest)?, streams(&query)),
            ["run", ..] if streams_ok => {
                let words = first(&query, "cmd").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
                Route::Run(target(rest)?, words)
            }
            ["portForward", ..] if streams_ok => {
                let ports = [all(&query, "port"), all(&query, "ports")].concat();
                let ports = ports.iter().flat_map(|p| p.split(',')).filter_map(|p| p.parse().ok()).collect();
                Route::PortForward(pod_target(rest)?, ports)
            }
            _ => return None,
        })
    }

    /// The subresource of the node that authorization asks about.
    pub fn subresource(&self) -> &'static str {
        match self {
            Route::Metrics | Route::ResourceMetrics => "metrics",
            Route::Summary => "stats",
            _ => "proxy",
        }
    }

    /// The finer subresource that is enough too.
    pub fn finer(&self) -> Option<&'static str> {
        match self {
            Route::Health => Some("healthz"),
            Route::Pods | Route::RunningPods => Some("pods"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, uri: &str) -> Option<Route> {
        Route::of(&Request::builder().method(method).uri(uri).body(()).unwrap())
    }

    #[test]
    fn paths_and_queries() {
        let Some(Route::Exec(target, streams)) =
            route("POST", "/exec/n/p/c?command=sh&command=-c&command=a%20b&input=1&output=1&tty=1")
        else {
            panic!()
        };
        assert_eq!((target.pod.as_str(), target.container.as_str()), ("p", "c"));
        assert_eq!(streams.command, ["sh", "-c", "a b"]);
        assert!(streams.stdin && streams.stdout && streams.tty && !streams.stderr);
        assert_eq!(route("GET", "/healthz"), Some(Route::Health));
        assert!(
            matches!(route("POST", "/portForward/n/p?port=80"), Some(Route::PortForward(_, ports)) if ports == [80])
        );
        assert_eq!(route("POST", "/pods"), None);
        assert_eq!(route("GET", "/containerLogs/n/p"), None);
        assert_eq!(route("GET", "/configz"), None);
    }
}
