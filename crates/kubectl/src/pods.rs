//! Pods behind words: `NAME`, `pod/NAME`, `deployment/NAME`, selectors; and which container is meant.

use client::Options;
use machinery::selector::LabelSelector;
use serde_json::Value;

use crate::failure::{Failure, Result, error};
use crate::select;
use crate::session::Session;

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The pod that a word means; of a workload's pods the first, running ones before others.
///
/// # Errors
/// There is none.
pub async fn one(session: &Session, word: &str) -> Result<Value> {
    let word = if word.contains('/') { word.to_owned() } else { format!("pods/{word}") };
    let named = select::words(session, &[&word]).await?;
    let Some(named) = named.first() else { return error(format!("no pod is named {word}")) };
    let name = named.names.first().map(String::as_str).unwrap_or_default();
    let object = session.client.dynamic(named.served.resource()).get(&session.namespace, name).await?;
    let tree = object.tree();
    if named.served.plural == "pods" {
        return Ok(Value::clone(&tree));
    }
    let selector = match named.served.plural.as_str() {
        "services" | "replicationcontrollers" => LabelSelector::from_map(&tree["spec"]["selector"]),
        _ => LabelSelector::from_tree(&tree["spec"]["selector"]),
    };
    let selector = selector.map_err(Failure::Here)?;
    if selector.is_everything() {
        return error(format!("cannot attach to *{}: selector is empty", named.served.kind));
    }
    let mut pods = selected(session, &selector.to_string()).await?;
    pods.sort_by_key(|pod| (pod["status"]["phase"] != "Running", machinery::meta::creation_timestamp(pod).to_owned()));
    match pods.into_iter().next() {
        Some(pod) => Ok(pod),
        None => error(format!("timed out waiting for the condition: no pods of {word}")),
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
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let all = lists.iter().flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    all.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
}

/// The annotated one, else the first; the others are named on standard error.
pub fn default_container(pod: &Value) -> String {
    if let Some(name) = machinery::meta::annotation(pod, DEFAULT_CONTAINER) {
        return name.to_owned();
    }
    let first = pod["spec"]["containers"][0]["name"].as_str().unwrap_or_default();
    let all = containers(pod);
    if all.len() > 1 {
        eprintln!("Defaulted container \"{first}\" out of: {}", all.join(", "));
    }
    first.to_owned()
}
