//! `kubectl rollout history` and `undo`: the ReplicaSets of a Deployment are its revisions.

use std::collections::BTreeMap;

use clap::ArgMatches;
use client::{Options, Patch};
use serde_json::{Value, json};

use super::MANAGER;
use crate::failure::{Failure, Result, error};
use crate::flags::{self, DryRun};
use crate::print::table;
use crate::report::Report;
use crate::select::Found;
use crate::session::Session;

const REVISION: &str = "deployment.kubernetes.io/revision";
const CAUSE: &str = "kubernetes.io/change-cause";
const HASH: &str = "pod-template-hash";

/// The revisions by number, oldest first.
async fn revisions(session: &Session, found: &Found) -> Result<BTreeMap<i64, Value>> {
    let tree = found.object.tree();
    let selector = machinery::selector::LabelSelector::from_tree(&tree["spec"]["selector"]).map_err(Failure::Here)?;
    let sets = client::Resource::new("apps", "v1", "replicasets", "ReplicaSet");
    let options = Options { label_selector: selector.to_string(), ..Options::default() };
    let list = session.client.dynamic(sets).list(&found.namespace(), options).await?;
    let mut by_revision = BTreeMap::new();
    for object in list.items {
        let set = object.tree();
        let is_own = machinery::meta::controller(&set).is_some_and(|owner| owner.uid == machinery::meta::uid(&tree));
        let revision = machinery::meta::annotation(&set, REVISION).and_then(|text| text.parse().ok());
        if let (true, Some(revision)) = (is_own, revision) {
            by_revision.insert(revision, Value::clone(&set));
        }
    }
    Ok(by_revision)
}

fn number(matches: &ArgMatches, flag: &str) -> Result<i64> {
    let text = flags::of(matches, flag);
    match text.parse() {
        Ok(number) if number >= 0 => Ok(number),
        _ => error(format!("revision must be a positive integer: {text}")),
    }
}

pub async fn show(session: &Session, matches: &ArgMatches, found: &Found) -> Result {
    let wanted = number(matches, "revision")?;
    let revisions = revisions(session, found).await?;
    let reference = found.reference();
    if wanted > 0 {
        let Some(set) = revisions.get(&wanted) else { return error("unable to find the specified revision") };
        println!("{reference} with revision #{wanted}");
        print!("{}", super::super::describe_template(&set["spec"]["template"]));
        return Ok(());
    }
    println!("{reference} ");
    let mut rows = vec![vec!["REVISION".to_owned(), "CHANGE-CAUSE".to_owned()]];
    for (revision, set) in &revisions {
        rows.push(vec![revision.to_string(), machinery::meta::annotation(set, CAUSE).unwrap_or("<none>").to_owned()]);
    }
    println!("{}", table::narrow(&rows));
    Ok(())
}

pub async fn undo(session: &Session, matches: &ArgMatches, found: &Found) -> Result {
    let wanted = number(matches, "to-revision")?;
    let tree = found.object.tree();
    if tree["spec"]["paused"] == true {
        return error(format!(
            "cannot rollback a paused deployment; resume it first with 'kubectl rollout resume deployment/{}' and try again",
            found.name()
        ));
    }
    let revisions = revisions(session, found).await?;
    let target = match wanted {
        0 => revisions.iter().rev().nth(1),
        number => revisions.get_key_value(&number),
    };
    let Some((_, set)) = target else {
        return match wanted {
            0 => error(format!("no rollout history found for deployment \"{}\"", found.name())),
            number => error(format!("unable to find specified revision {number} in history")),
        };
    };
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    let report = Report::of(matches, MANAGER)?;
    if template == tree["spec"]["template"] {
        println!("{} skipped rollback (current template already matches revision {wanted})", found.reference());
        return Ok(());
    }
    if report.dry_run == DryRun::Client {
        return report.say(&found.served, &tree, "rolled back");
    }
    let annotations = undone(&tree, set);
    let patch = json!([
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ]);
    let resource = session.client.dynamic(found.served.resource());
    let changed = resource.patch(&found.namespace(), &found.name(), "", Patch::Json(patch), report.options()).await?;
    report.say(&found.served, &changed.tree(), "rolled back")
}

/// The Deployment's own bookkeeping stays, the rest is the revision's.
fn undone(tree: &Value, set: &Value) -> Value {
    const OWN: &[&str] = &[
        super::super::apply::LAST_APPLIED,
        REVISION,
        "deployment.kubernetes.io/revision-history",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
    ];
    let map = |tree: &Value| machinery::meta::annotations(tree).as_object().cloned().unwrap_or_default();
    let kept = map(tree).into_iter().filter(|(key, _)| OWN.contains(&key.as_str()));
    let taken = map(set).into_iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
    Value::Object(kept.chain(taken).collect())
}
