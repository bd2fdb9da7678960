//! Pods behind words: `NAME`, `pod/NAME`, `deployment/NAME`, selectors; and which container is meant.

use std::time::Duration;

use client::Options;
use futures::StreamExt;
use machinery::request::Change;
use machinery::selector::LabelSelector;
use machinery::status::Status;
use serde_json::Value;

use crate::discovery::Served;
use crate::failure::{Failure, Result, error};
use crate::select;
use crate::session::Session;

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The pod that a word means; of a workload's pods the best one: running, ready, and for longest so. Waits for the first
/// pod of a workload that has none yet.
///
/// # Errors
/// There is none, also not in time.
pub async fn one(session: &Session, word: &str, patience: Duration) -> Result<Value> {
    let word = if word.contains('/') { word.to_owned() } else { format!("pods/{word}") };
    let named = select::words(session, &[&word]).await?;
    let Some(named) = named.first() else { return error(format!("no pod is named {word}")) };
    let name = named.names.first().map(String::as_str).unwrap_or_default();
    let object = session.client.dynamic(named.served.resource()).get(&session.namespace, name).await?;
    behind(session, &named.served, &object.tree(), patience, false).await
}

/// As [`one`]; of several pods it says which it takes.
///
/// # Errors
/// As [`one`].
pub async fn one_of(session: &Session, word: &str, patience: Duration) -> Result<Value> {
    let slashed = if word.contains('/') { word.to_owned() } else { format!("pods/{word}") };
    let named = select::words(session, &[&slashed]).await?;
    let Some(named) = named.first() else { return error(format!("no pod is named {word}")) };
    let name = named.names.first().map(String::as_str).unwrap_or_default();
    match session.client.dynamic(named.served.resource()).get(&session.namespace, name).await {
        Ok(object) => behind(session, &named.served, &object.tree(), patience, true).await,
        Err(status) if status.is_not_found() => {
            error(format!("error from server (NotFound): {} in namespace {:?}", status.message, session.namespace))
        }
        Err(status) => Err(status.into()),
    }
}

/// The pod that an object of a file means.
///
/// # Errors
/// As [`one`]; a file that cannot be read.
pub async fn of_file(session: &Session, file: &str, patience: Duration) -> Result<Value> {
    let given = crate::files::read(&[file], false).await?;
    let Some(given) = given.first() else { return error("no objects passed") };
    let (version, kind) = (machinery::meta::api_version(&given.tree), machinery::meta::kind(&given.tree));
    let served = session.discovery().await?.of_kind(version, kind)?;
    let namespace = select::namespace_of(session, served, &given.tree)?;
    let name = machinery::meta::name(&given.tree);
    let object = session.client.dynamic(served.resource()).get(&namespace, name).await?;
    behind(session, served, &object.tree(), patience, false).await
}

async fn behind(
    session: &Session,
    served: &Served,
    tree: &Value,
    patience: Duration,
    says_which: bool,
) -> Result<Value> {
    if served.plural == "pods" {
        return Ok(tree.clone());
    }
    let selector = of_workload(served, tree)?;
    let mut pods = selected(session, &selector).await?;
    best_first(&mut pods);
    if says_which && pods.len() > 1 {
        eprintln!("Found {} pods, using pod/{}", pods.len(), machinery::meta::name(&pods[0]));
    }
    match pods.into_iter().next() {
        Some(pod) => Ok(pod),
        None => first(session, machinery::meta::namespace(tree), &selector, patience).await,
    }
}

/// All pods of a workload.
///
/// # Errors
/// As [`one`].
pub async fn all_of(session: &Session, word: &str) -> Result<Vec<Value>> {
    let word = if word.contains('/') { word.to_owned() } else { format!("pods/{word}") };
    let named = select::words(session, &[&word]).await?;
    let Some(named) = named.first() else { return error(format!("no pod is named {word}")) };
    let name = named.names.first().map(String::as_str).unwrap_or_default();
    let object = session.client.dynamic(named.served.resource()).get(&session.namespace, name).await?;
    if named.served.plural == "pods" {
        return Ok(vec![Value::clone(&object.tree())]);
    }
    selected(session, &of_workload(&named.served, &object.tree())?).await
}

/// The label selector of an object's pods.
///
/// # Errors
/// The kind has no pods, or selects none.
pub fn of_workload(served: &Served, tree: &Value) -> Result<String> {
    let selector = match served.plural.as_str() {
        "services" | "replicationcontrollers" => LabelSelector::from_map(&tree["spec"]["selector"]),
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "jobs" => {
            LabelSelector::from_tree(&tree["spec"]["selector"])
        }
        _ => return error(format!("cannot attach to *{}: selector for {} not implemented", served.kind, served.kind)),
    };
    let selector = selector.map_err(Failure::Here)?;
    if selector.is_everything() {
        return error(format!(
            "invalid service '{}': Service is defined without a selector",
            machinery::meta::name(tree)
        ));
    }
    Ok(selector.to_string())
}

/// Placed before unplaced, running before pending, ready before not, and those first that are so for longest.
pub fn best_first(pods: &mut [Value]) {
    pods.sort_by_cached_key(|pod| {
        let status = &pod["status"];
        let phase = match status["phase"].as_str() {
            Some("Running") => 0,
            Some("Unknown") => 1,
            _ => 2,
        };
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let ready = conditions.find(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let since = ready.map(|ready| ready["lastTransitionTime"].as_str().unwrap_or_default().to_owned());
        let made = machinery::meta::creation_timestamp(pod).to_owned();
        (pod["spec"]["nodeName"].is_null(), phase, ready.is_none(), since, made)
    });
}

async fn first(session: &Session, namespace: &str, selector: &str, patience: Duration) -> Result<Value> {
    let options = Options { label_selector: selector.into(), ..Options::default() };
    match tokio::time::timeout(patience, watched(session, namespace, options, |_| true)).await {
        Ok(found) => found,
        Err(_) => error("timed out waiting for the condition"),
    }
}

/// Waits until a pod is as wanted.
///
/// # Errors
/// It is deleted, or is not so in time.
pub async fn until(
    session: &Session,
    pod: &Value,
    patience: Duration,
    is_reached: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let (namespace, name) = (machinery::meta::namespace(pod), machinery::meta::name(pod));
    let options = Options { field_selector: format!("metadata.name={name}"), ..Options::default() };
    match tokio::time::timeout(patience, watched(session, namespace, options, is_reached)).await {
        Ok(found) => found,
        Err(_) => error("timed out waiting for the condition"),
    }
}

async fn watched(
    session: &Session,
    namespace: &str,
    options: Options,
    is_reached: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let pods = session.client.dynamic(client::Resource::new("", "v1", "pods", "Pod"));
    loop {
        // A watch that the server ends is begun anew with all that is there.
        let mut events = pods.watch(namespace, options.clone()).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            let tree = event.object.tree();
            match event.change {
                Change::Deleted => {
                    return Err(Failure::Server(Status::not_found("", "pods", machinery::meta::name(&tree))));
                }
                Change::Added | Change::Modified if is_reached(&tree) => return Ok(Value::clone(&tree)),
                _ => {}
            }
        }
    }
}

/// The pods of a label selector.
///
/// # Errors
/// There are none.
pub async fn selected(session: &Session, selector: &str) -> Result<Vec<Value>> {
    let discovery = session.discovery().await?;
    let served = discovery.of_kind("v1", "Pod")?;
    let options = Options { label_selector: selector.into(), ..Options::default() };
    let list = select::list(session, served, &session.namespace, options).await?;
    Ok(list.items.iter().map(|object| Value::clone(&object.tree())).collect())
}

/// Init containers first, then containers, then ephemeral ones.
pub fn containers(pod: &Value) -> Vec<String> {
    LISTS.iter().flat_map(|list| names(pod, list)).collect()
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let all = pod["spec"][list].as_array().into_iter().flatten();
    all.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
}

/// A container of any sort by its name.
pub fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let all = LISTS.iter().flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    all.into_iter().find(|container| container["name"] == name)
}

/// As [`chosen`]; a named container is left to the server to know.
///
/// # Errors
/// The pod has no container at all.
pub fn asked(pod: &Value, wanted: &str) -> Result<(String, Option<String>)> {
    if wanted.is_empty() { chosen(pod, wanted) } else { Ok((wanted.to_owned(), None)) }
}

/// The container that is meant: the named one, else the annotated one, else the first; and what to say of that choice.
///
/// # Errors
/// The pod has no such container.
pub fn chosen(pod: &Value, wanted: &str) -> Result<(String, Option<String>)> {
    let name = machinery::meta::name(pod);
    if !wanted.is_empty() {
        return match container(pod, wanted) {
            Some(_) => Ok((wanted.to_owned(), None)),
            None => error(format!("container {wanted} not found in pod {name}")),
        };
    }
    let annotated = machinery::meta::annotation(pod, DEFAULT_CONTAINER);
    if let Some(annotated) = annotated.filter(|annotated| container(pod, annotated).is_some()) {
        return Ok((annotated.to_owned(), None));
    }
    let Some(first) = names(pod, "containers").into_iter().next() else {
        return error(format!("pod {}/{name} does not have any containers", machinery::meta::namespace(pod)));
    };
    let marked =
        |list: &str, mark: &str| names(pod, list).into_iter().map(move |name| format!("{name}{mark}")).collect();
    let all: Vec<String> =
        [marked("containers", ""), marked("ephemeralContainers", " (ephem)"), marked("initContainers", " (init)")]
            .into_iter()
            .flat_map(|names: Vec<String>| names)
            .collect();
    let note = (all.len() > 1).then(|| format!("Defaulted container {first:?} out of: {}", all.join(", ")));
    Ok((first, note))
}
