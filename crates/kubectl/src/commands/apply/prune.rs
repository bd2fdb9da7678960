//! `kubectl apply --prune`: what was applied once and is in the files no more is deleted.
//!
//! Only objects that carry the annotation of an earlier apply are touched, of the kinds of [`KINDS`] or of
//! `--prune-allowlist`, in the namespaces of the files.

use std::collections::BTreeSet;

use clap::ArgMatches;
use client::Options;
use machinery::request::Propagation;
use serde_json::Value;

use super::LAST_APPLIED;
use crate::discovery::Served;
use crate::failure::{Result, error};
use crate::flags::{self, DryRun};
use crate::select;
use crate::session::Session;

/// Upstream's list: version of the API, kind.
const KINDS: &[(&str, &str)] = &[
    ("v1", "ConfigMap"),
    ("v1", "Endpoints"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("v1", "Namespace"),
    ("v1", "PersistentVolume"),
];

/// # Errors
/// Flags that do not go together.
pub fn check(matches: &ArgMatches) -> Result {
    if !flags::is_set(matches, "prune") {
        return Ok(());
    }
    if flags::is_set(matches, "force") {
        return error("--force cannot be used with --prune");
    }
    if flags::of(matches, "selector").is_empty() && !flags::is_set(matches, "all") {
        return error(
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector",
        );
    }
    if flags::is_set(matches, "server-side") {
        return error("--prune is in alpha and doesn't currently work on objects created by server-side apply");
    }
    Ok(())
}

/// Deletes all that is not among what was applied.
///
/// # Errors
/// The server refuses; a kind that it does not serve.
pub async fn run(session: &Session, matches: &ArgMatches, applied: &[(Served, Value)], dry_run: DryRun) -> Result {
    let uids: BTreeSet<&str> = applied.iter().map(|(_, tree)| machinery::meta::uid(tree)).collect();
    let namespaces: BTreeSet<&str> = applied.iter().map(|(_, tree)| machinery::meta::namespace(tree)).collect();
    for served in kinds(session, matches).await? {
        let scopes: Vec<&str> = match served.is_namespaced {
            true => namespaces.iter().copied().filter(|namespace| !namespace.is_empty()).collect(),
            false => vec![""],
        };
        for namespace in scopes {
            let options = Options { label_selector: flags::of(matches, "selector").into(), ..Options::default() };
            for object in select::list(session, &served, namespace, options).await?.items {
                let tree = object.tree();
                if machinery::meta::annotation(&tree, LAST_APPLIED).is_some()
                    && !uids.contains(machinery::meta::uid(&tree))
                {
                    delete(session, matches, &served, &tree, dry_run).await?;
                }
            }
        }
    }
    Ok(())
}

async fn kinds(session: &Session, matches: &ArgMatches) -> Result<Vec<Served>> {
    let discovery = session.discovery().await?;
    let mut found = Vec::new();
    for word in flags::all(matches, "prune-allowlist") {
        let [group, version, kind] = word.split('/').collect::<Vec<_>>()[..] else {
            return error(format!("invalid GroupVersionKind format: {word}, please follow <group/version/kind>"));
        };
        let api_version = if group == "core" { version.to_owned() } else { format!("{group}/{version}") };
        found.push(discovery.of_kind(&api_version, kind)?.clone());
    }
    if found.is_empty() {
        found = KINDS.iter().filter_map(|(version, kind)| discovery.of_kind(version, kind).ok().cloned()).collect();
    }
    // What holds others goes last.
    found.sort_by_key(|served| !served.is_namespaced);
    Ok(found)
}

async fn delete(session: &Session, matches: &ArgMatches, served: &Served, tree: &Value, dry_run: DryRun) -> Result {
    let (namespace, name) = (machinery::meta::namespace(tree), machinery::meta::name(tree));
    if dry_run != DryRun::Client {
        let propagation = match flags::of(matches, "cascade") {
            "orphan" | "false" => Propagation::Orphan,
            "foreground" => Propagation::Foreground,
            _ => Propagation::Background,
        };
        let options = Options {
            propagation: Some(propagation),
            grace_period_seconds: flags::of(matches, "grace-period").parse().ok().filter(|seconds| *seconds >= 0),
            dry_run: dry_run == DryRun::Server,
            precondition_uid: Some(machinery::meta::uid(tree).to_owned()),
            ..Options::default()
        };
        match session.client.dynamic(served.resource()).delete(namespace, name, options).await {
            Err(status) if status.is_not_found() => return Ok(()),
            deleted => deleted?,
        };
    }
    println!("{}/{name} pruned{}", served.singular_qualified(), super::suffix(dry_run));
    Ok(())
}
