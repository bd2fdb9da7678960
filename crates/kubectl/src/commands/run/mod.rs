//! `kubectl run`: one pod from an image, and a session with it when one is wanted.

mod attached;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::Entry;
use super::apply::with_annotation;
use super::create::number;
use crate::discovery::Served;
use crate::failure::{Failure, Result, error, misused};
use crate::flags::{self, DryRun};
use crate::report::Report;
use crate::session::Session;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    let restart = flags::text("restart", "The restart policy for this Pod. Legal values [Always, OnFailure, Never].");
    Command::new("run")
        .about("Create and run a particular image in a pod.")
        .arg(Arg::new("name").value_name("NAME"))
        .arg(Arg::new("words").num_args(0..).value_name("COMMAND"))
        .arg(Arg::new("arguments").last(true).num_args(0..).value_name("ARGS"))
        .arg(flags::text("image", "The image for the container to run."))
        .arg(flags::text("port", "The port that this container exposes."))
        .arg(flags::text("env", "Environment variables to set in the container.").action(ArgAction::Append))
        .arg(flags::text("labels", "Comma separated labels to apply to the pod.").short('l'))
        .arg(flags::text("annotations", "Annotations to apply to the pod.").action(ArgAction::Append))
        .arg(restart.default_value("Always"))
        .arg(flags::text("image-pull-policy", "The image pull policy for the container."))
        .arg(flags::switch("command", "If true and extra arguments are present, use them as the 'command' field in the container, rather than the 'args' field which is the default."))
        .arg(flags::switch("privileged", "If true, run the container in privileged mode."))
        .arg(flags::switch("stdin", "Keep stdin open on the container in the pod, even if nothing is attached.").short('i'))
        .arg(flags::switch("tty", "Allocate a TTY for the container in the pod.").short('t'))
        .arg(flags::switch("attach", "If true, wait for the Pod to start running, and then attach to the Pod as if 'kubectl attach ...' were called."))
        .arg(flags::switch("leave-stdin-open", "If the pod is started in interactive mode or with stdin, leave stdin open after the first attach completes."))
        .arg(flags::switch("rm", "If true, delete the pod after it exits. Only valid when attaching to the container."))
        .arg(flags::switch("expose", "If true, create a ClusterIP service associated with the pod. Requires --port."))
        .arg(flags::switch("quiet", "If true, suppress prompt messages.").short('q'))
        .arg(flags::text("overrides", "An inline JSON override for the generated object."))
        .arg(flags::text("override-type", "The method used to override the generated object: json, merge, or strategic.").default_value("merge"))
        .arg(flags::pod_running_timeout("1m0s"))
        .arg(flags::save_config())
        .arg(flags::dry_run())
        .arg(flags::output("Output format. One of: (json, yaml, name, jsonpath, …)."))
        .arg(flags::field_manager())
}

async fn run(matches: &ArgMatches) -> Result {
    let is_attached = check(matches)?;
    let report = Report::of(matches, "kubectl-run")?;
    if is_attached && report.dry_run != DryRun::None {
        return misused(
            "run",
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)",
        );
    }
    let pod = overridden(matches, pod(matches)?)?;
    let session = Session::open(matches).await?;
    let made = make(&session, matches, &report, "Pod", pod).await?;
    let mut all = vec![made.clone()];
    if flags::is_set(matches, "expose") {
        let service = make(&session, matches, &report, "Service", service(matches)?).await?;
        report.say(&service.served, &service.tree, "created")?;
        if flags::of(matches, "output") == "yaml" {
            println!("---");
        }
        all.push(service);
    }
    if !is_attached {
        return report.say(&made.served, &made.tree, "created");
    }
    let ended = attached::run(&session, matches, &made.tree).await;
    if flags::is_set(matches, "rm") {
        for made in &all {
            attached::remove(&session, matches, &made.served, &made.tree).await?;
        }
    }
    ended
}

/// Whether to attach, and what cannot go together.
fn check(matches: &ArgMatches) -> Result<bool> {
    let (stdin, tty) = (flags::is_set(matches, "stdin"), flags::is_set(matches, "tty"));
    let is_attached = if flags::given(matches, "attach") { flags::is_set(matches, "attach") } else { stdin };
    let image = flags::of(matches, "image");
    let is_image = |letter: char| letter.is_ascii_alphanumeric() || "._-/:@[]".contains(letter);
    if flags::of(matches, "name").is_empty() {
        return misused("run", "NAME is required for run");
    }
    if image.is_empty() {
        return error("required flag(s) \"image\" not set");
    }
    if !image.chars().all(is_image) || image.starts_with([':', '@', '/']) || image.ends_with([':', '@', '/']) {
        return error(format!("Invalid image name {image:?}: invalid reference format"));
    }
    if tty && !stdin {
        return misused("run", "-i/--stdin is required for containers with -t/--tty=true");
    }
    if flags::is_set(matches, "expose") && flags::of(matches, "port").is_empty() {
        return misused("run", "--port must be set when exposing a service");
    }
    let restart = flags::of(matches, "restart");
    if !["Always", "OnFailure", "Never"].contains(&restart) {
        return misused("run", &format!("invalid restart policy: {restart}"));
    }
    if flags::is_set(matches, "rm") && !is_attached {
        return misused("run", "--rm should only be used for attached containers");
    }
    let policy = flags::of(matches, "image-pull-policy");
    if !["", "Always", "IfNotPresent", "Never"].contains(&policy) {
        return misused("run", &format!("invalid image pull policy: {policy}"));
    }
    Ok(is_attached)
}

/// An object that this command made.
#[derive(Clone)]
struct Made {
    served: Served,
    tree: Value,
}

async fn make(session: &Session, matches: &ArgMatches, report: &Report, kind: &str, tree: Value) -> Result<Made> {
    let served = session.discovery().await?.of_kind("v1", kind)?.clone();
    let mut tree = tree;
    if report.dry_run == DryRun::Client {
        if session.is_namespace_given {
            tree["metadata"]["namespace"] = session.namespace.as_str().into();
        }
        return Ok(Made { served, tree });
    }
    if flags::is_set(matches, "save-config") {
        tree = with_annotation(&tree);
    }
    let created = session.client.dynamic(served.resource()).create(&session.namespace, tree, report.options()).await?;
    let tree = Value::clone(&created.tree());
    Ok(Made { served, tree })
}

/// The generated pod with what `--overrides` says.
fn overridden(matches: &ArgMatches, pod: Value) -> Result<Value> {
    let text = flags::of(matches, "overrides");
    if text.is_empty() {
        return Ok(pod);
    }
    let given = machinery::yaml::parse(text).map_err(|e| Failure::Here(format!("error parsing overrides: {e}")))?;
    let schema = api::by_kind("", "v1", "Pod").and_then(|kind| api::schemas().get(kind.definition));
    match (flags::of(matches, "override-type"), schema) {
        ("merge", _) => Ok(machinery::patch::merge(&pod, &given)),
        ("json", _) => Ok(machinery::patch::json(&pod, &given)?),
        ("strategic", Some(schema)) => Ok(machinery::patch::strategic(schema, &pod, &given)?),
        (other, _) => error(format!("invalid override type: {other}")),
    }
}

/// The Service of `--expose`.
fn service(matches: &ArgMatches) -> Result<Value> {
    let name = flags::of(matches, "name");
    let port = number(matches, "port")?;
    Ok(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"creationTimestamp": null, "name": name},
        "spec": {"ports": [{"port": port, "protocol": "TCP", "targetPort": port}], "selector": labels(matches)?},
        "status": {"loadBalancer": {}},
    }))
}

fn labels(matches: &ArgMatches) -> Result<Value> {
    match flags::of(matches, "labels") {
        "" => Ok(json!({"run": flags::of(matches, "name")})),
        text => Ok(Value::Object(pairs(text.split(','), "labels")?)),
    }
}

fn pod(matches: &ArgMatches) -> Result<Value> {
    let name = flags::of(matches, "name");
    let restart = flags::of(matches, "restart");
    let mut metadata = json!({"creationTimestamp": null, "name": name, "labels": labels(matches)?});
    let annotations = flags::all(matches, "annotations");
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(pairs(annotations.into_iter(), "annotations")?);
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [container(matches, name)?], "dnsPolicy": "ClusterFirst", "restartPolicy": restart},
        "status": {},
    }))
}

fn container(matches: &ArgMatches, name: &str) -> Result<Value> {
    let mut container = json!({"name": name, "image": flags::of(matches, "image"), "resources": {}});
    let words = [flags::all(matches, "words"), flags::all(matches, "arguments")].concat();
    if !words.is_empty() {
        let field = if flags::is_set(matches, "command") { "command" } else { "args" };
        container[field] = words.into();
    }
    if let Some(port) = number(matches, "port")? {
        container["ports"] = json!([{"containerPort": port}]);
    }
    let env = pairs(flags::all(matches, "env").into_iter(), "env")?;
    if !env.is_empty() {
        container["env"] = env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    }
    if flags::is_set(matches, "stdin") {
        container["stdin"] = true.into();
        if !flags::is_set(matches, "leave-stdin-open") {
            container["stdinOnce"] = true.into();
        }
    }
    if flags::is_set(matches, "tty") {
        container["tty"] = true.into();
    }
    let policy = flags::of(matches, "image-pull-policy");
    if !policy.is_empty() {
        container["imagePullPolicy"] = policy.into();
    }
    if flags::is_set(matches, "privileged") {
        container["securityContext"] = json!({"privileged": true});
    }
    Ok(container)
}

/// `key=value` words as a map.
///
/// # Errors
/// A word without an equals sign.
pub fn pairs<'a>(words: impl Iterator<Item = &'a str>, what: &str) -> Result<Map<String, Value>> {
    let pair = |word: &str| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Value::from(value))),
        _ => Err(Failure::Here(format!("invalid {what}: {word}"))),
    };
    words.map(pair).collect()
}
