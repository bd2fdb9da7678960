//! `/healthz`, `/livez` and `/readyz`: the checks, all together or one by one.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/health-checks/>.

use http::Response;
use machinery::request::{Request, Verb};
use tokio_util::sync::CancellationToken;

use crate::front::Front;
use crate::identity;
use crate::wire::query::Query;
use crate::wire::{Body, answer};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    /// The process answers.
    Ping,
    /// The store answers a read.
    Store,
    /// The authorizers' indexes are filled; the front does not open before.
    Done,
    /// Fails once the server is asked to stop, so that load balancers look elsewhere.
    Shutdown,
}

const CHECKS: &[(&str, Check)] = &[
    ("ping", Check::Ping),
    ("log", Check::Ping),
    ("etcd", Check::Store),
    ("poststarthook/start-system-namespaces-controller", Check::Done),
    ("poststarthook/rbac/bootstrap-roles", Check::Done),
    ("poststarthook/scheduling/bootstrap-system-priority-classes", Check::Done),
];

const READY_ONLY: &[(&str, Check)] =
    &[("etcd-readiness", Check::Store), ("informer-sync", Check::Done), ("shutdown", Check::Shutdown)];

/// The answer to one of the health paths; `None` when the path is no check of ours.
pub async fn answer(front: &Front, path: &str, query: &Query, stop: &CancellationToken) -> Option<Response<Body>> {
    let (root, one) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let more = match root {
        "readyz" => READY_ONLY,
        "healthz" | "livez" => &[],
        _ => return None,
    };
    let checks = CHECKS.iter().chain(more);
    if !one.is_empty() {
        let (name, check) = checks.into_iter().find(|(name, _)| *name == one)?;
        return Some(match run(*check, front, stop).await {
            Ok(()) => answer::text(200, "ok"),
            Err(why) => answer::text(500, format!("internal server error: {name}: {why}\n")),
        });
    }
    let mut excluded: Vec<&str> = query.all("exclude").collect();
    let (mut lines, mut failed) = (String::new(), Vec::new());
    for (name, check) in checks {
        if let Some(at) = excluded.iter().position(|e| e == name) {
            excluded.swap_remove(at);
            lines.push_str(&format!("[+]{name} excluded: ok\n"));
        } else if let Err(why) = run(*check, front, stop).await {
            tracing::warn!(name, why, "a health check failed");
            lines.push_str(&format!("[-]{name} failed: reason withheld\n"));
            failed.push(*name);
        } else {
            lines.push_str(&format!("[+]{name} ok\n"));
        }
    }
    if !excluded.is_empty() {
        excluded.sort_unstable();
        let names: Vec<_> = excluded.iter().map(|e| format!("{e:?}")).collect();
        let names = names.join(", ");
        lines.push_str(&format!("warn: some health checks cannot be excluded: no matches for {names}\n"));
    }
    Some(match (failed.is_empty(), query.get("verbose").is_some()) {
        (true, false) => answer::text(200, "ok"),
        (true, true) => answer::text(200, format!("{lines}{root} check passed\n")),
        (false, _) => answer::text(500, format!("{lines}{root} check failed\n")),
    })
}

/// The results of all checks as the gauges of `/metrics/slis`.
pub async fn gauges(front: &Front, stop: &CancellationToken) -> String {
    let mut text = String::from(
        "# HELP kubernetes_healthcheck [STABLE] This metric records the result of a single healthcheck.\n\
         # TYPE kubernetes_healthcheck gauge\n",
    );
    for (kind, more) in [("healthz", &[][..]), ("livez", &[]), ("readyz", READY_ONLY)] {
        for (name, check) in CHECKS.iter().chain(more) {
            let passed = u8::from(run(*check, front, stop).await.is_ok());
            text.push_str(&format!("kubernetes_healthcheck{{name={name:?},type={kind:?}}} {passed}\n"));
        }
    }
    text
}

async fn run(check: Check, front: &Front, stop: &CancellationToken) -> Result<(), String> {
    match check {
        Check::Ping | Check::Done => Ok(()),
        Check::Shutdown if stop.is_cancelled() => Err("process is shutting down".into()),
        Check::Shutdown => Ok(()),
        Check::Store => store(front).await,
    }
}

/// Whether a read is answered.
///
/// # Errors
/// Why it is not.
pub async fn store(front: &Front) -> Result<(), String> {
    let get = Request::new(Verb::Get, "", "v1", "namespaces").name("kube-system");
    front.registry.call(&identity::apiserver(), get).await.map(|_| ()).map_err(|s| s.message)
}
