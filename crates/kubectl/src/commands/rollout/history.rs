//! `kubectl rollout history` and `undo`.

use clap::ArgMatches;
use client::Patch;
use serde_json::{Value, json};

use super::{MANAGER, revisions};
use crate::commands::describe::{page::Page, template};
use crate::failure::{Result, error};
use crate::flags::{self, DryRun};
use crate::print::{Format, table};
use crate::report::Report;
use crate::select::Found;
use crate::session::Session;

const REVISION: &str = "deployment.kubernetes.io/revision";

fn number(matches: &ArgMatches, flag: &str) -> Result<i64> {
    let text = flags::of(matches, flag);
    match text.parse() {
        Ok(number) if number >= 0 => Ok(number),
        _ => error(format!("revision must be a positive integer: {text}")),
    }
}

pub async fn show(session: &Session, matches: &ArgMatches, found: &Found) -> Result {
    let wanted = number(matches, "revision")?;
    let revisions = revisions::of(session, found, "history viewer").await?;
    let reference = found.reference();
    let format = flags::of(matches, "output");
    if !format.is_empty() {
        let Some(revision) = revisions.get(&wanted).or(revisions.values().next_back().filter(|_| wanted == 0)) else {
            return error("unable to find the specified revision");
        };
        print!("{}", Format::parse(format)?.object(&crate::print::shown(&revision.whole))?);
        return Ok(());
    }
    if wanted > 0 {
        let Some(revision) = revisions.get(&wanted) else { return error("unable to find the specified revision") };
        let mut page = Page::default();
        template::describe(&mut page, &revision.shown());
        println!("{reference} with revision #{wanted}\n{}", page.unaligned());
        return Ok(());
    }
    println!("{reference} ");
    if revisions.is_empty() {
        println!("No rollout history found.");
        return Ok(());
    }
    let mut rows = vec![vec!["REVISION".to_owned(), "CHANGE-CAUSE".to_owned()]];
    for (number, revision) in &revisions {
        let cause = machinery::meta::annotation(&revision.whole, revisions::CAUSE).unwrap_or("<none>");
        rows.push(vec![number.to_string(), cause.to_owned()]);
    }
    println!("{}", table::narrow(&rows));
    Ok(())
}

pub async fn undo(session: &Session, matches: &ArgMatches, found: &Found) -> Result {
    let wanted = number(matches, "to-revision")?;
    let tree = found.object.tree();
    let is_deployment = found.served.kind == "Deployment";
    if is_deployment && tree["spec"]["paused"] == true {
        return error(format!(
            "cannot rollback a paused deployment; resume it first with 'kubectl rollout resume deployment/{}' and try again",
            found.name()
        ));
    }
    let revisions = revisions::of(session, found, "rollbacker").await?;
    let target = match wanted {
        0 => revisions.iter().rev().nth(1),
        number => revisions.get_key_value(&number),
    };
    let Some((_, revision)) = target else {
        return match wanted {
            0 if is_deployment => error(format!("no rollout history found for deployment {:?}", found.name())),
            0 => error("no last revision to roll back to"),
            number => error(format!("unable to find specified revision {number} in history")),
        };
    };
    let report = Report::of(matches, MANAGER)?;
    if report.dry_run == DryRun::Client {
        let mut page = Page::default();
        template::describe(&mut page, &revision.shown);
        let will = if is_deployment { "" } else { "will roll back to " };
        println!("{} {will}{}{}", found.reference(), page.unaligned(), report.suffix());
        return Ok(());
    }
    if revision.template == tree["spec"]["template"] {
        println!("{} skipped rollback (current template already matches revision {wanted})", found.reference());
        return Ok(());
    }
    let mut changes = vec![json!({"op": "replace", "path": "/spec/template", "value": revision.template})];
    if is_deployment {
        let annotations = undone(&tree, &revision.whole);
        changes.push(json!({"op": "replace", "path": "/metadata/annotations", "value": annotations}));
    }
    let resource = session.client.dynamic(found.served.resource());
    let patch = Patch::Json(changes.into());
    let changed = resource.patch(&found.namespace(), &found.name(), "", patch, report.options()).await?;
    report.say(&found.served, &changed.tree(), "rolled back")
}

/// The Deployment's own bookkeeping stays, the rest is the revision's.
fn undone(tree: &Value, set: &Value) -> Value {
    const OWN: &[&str] = &[
        crate::commands::apply::LAST_APPLIED,
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
