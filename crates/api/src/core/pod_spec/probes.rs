//! Probes, life cycle hooks and what they do: run, ask over HTTP, TCP or gRPC, sleep.

use machinery::field::Problems;

use crate::cursor::Field;
use crate::rule;

pub fn all(container: &Field, grace_seconds: Option<i64>, problems: &mut Problems) {
    let liveness = container.get("livenessProbe");
    probe(&liveness, grace_seconds, problems);
    succeeds_once(&liveness, problems);
    let readiness = container.get("readinessProbe");
    probe(&readiness, grace_seconds, problems);
    let grace = readiness.get("terminationGracePeriodSeconds");
    if grace.is_set() {
        grace.invalid(problems, "must not be set for readinessProbes");
    }
    let startup = container.get("startupProbe");
    probe(&startup, grace_seconds, problems);
    succeeds_once(&startup, problems);
}

fn succeeds_once(probe: &Field, problems: &mut Problems) {
    let threshold = probe.get("successThreshold");
    if probe.is_set() && threshold.num() != 1 {
        threshold.invalid_as(problems, threshold.num(), "must be 1");
    }
}

fn probe(probe: &Field, grace_seconds: Option<i64>, problems: &mut Problems) {
    if !probe.is_set() {
        return;
    }
    handler(probe, grace_seconds, problems);
    const NUMBERS: [&str; 5] =
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    for number in NUMBERS {
        rule::not_negative(&probe.get(number), problems);
    }
    let grace = probe.get("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|seconds| seconds <= 0) {
        grace.invalid(problems, "must be greater than 0");
    }
}

pub fn lifecycle(lifecycle: &Field, grace_seconds: Option<i64>, problems: &mut Problems) {
    for event in ["postStart", "preStop"] {
        let event = lifecycle.get(event);
        if event.is_set() {
            handler(&event, grace_seconds, problems);
        }
    }
}

/// Exactly one thing to do; only the first is judged.
fn handler(handler: &Field, grace_seconds: Option<i64>, problems: &mut Problems) {
    const KINDS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];
    let mut count = 0;
    for kind in KINDS {
        let action = handler.get(kind);
        if !action.is_set() {
            continue;
        }
        count += 1;
        if count > 1 {
            action.forbidden(problems, "may not specify more than 1 handler type");
            continue;
        }
        match kind {
            "exec" => {
                rule::required(&action.get("command"), problems);
            }
            "httpGet" => http_get(&action, problems),
            "sleep" => sleep(&action, grace_seconds, problems),
            _ => rule::port(&action.get("port"), problems),
        }
    }
    if count == 0 {
        handler.required(problems, "must specify a handler type");
    }
}

fn http_get(get: &Field, problems: &mut Problems) {
    rule::required(&get.get("path"), problems);
    rule::port(&get.get("port"), problems);
    rule::one_of(&get.get("scheme"), &["HTTP", "HTTPS"], problems);
    let headers = get.get("httpHeaders");
    for header in headers.items() {
        let name = header.get("name").str();
        for message in machinery::validation::http_header_name(name) {
            headers.invalid_as(problems, name, message);
        }
    }
}

fn sleep(sleep: &Field, grace_seconds: Option<i64>, problems: &mut Problems) {
    let seconds = sleep.get("seconds").num();
    if let Some(grace) = grace_seconds
        && (seconds < 0 || seconds > grace)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        sleep.invalid_as(problems, seconds, detail);
    }
}
