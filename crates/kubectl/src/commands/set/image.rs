//! `kubectl set image`: another image for containers of pods and of what has pods.

use clap::{ArgMatches, Command};
use client::Patch;
use serde_json::{Value, json};

use super::{MANAGER, shared, split};
use crate::failure::{Result, error};
use crate::flags::{self, DryRun};
use crate::local;
use crate::report::Report;
use crate::select::{self, Found};
use crate::session::Session;

pub fn build() -> Command {
    shared(Command::new("image").about("Update the image of a pod template."))
        .arg(flags::switch("record", "Record current kubectl command in the resource annotation."))
}

pub async fn run(matches: &ArgMatches) -> Result {
    let words = flags::all(matches, "resources");
    let (names, images) = split(&words, |word| word.contains('='))?;
    if images.is_empty() {
        return error("at least one image update is required");
    }
    let session = Session::open(matches).await?;
    if flags::is_set(matches, "record") {
        eprintln!("Flag --record has been deprecated, --record will be removed in the future");
    }
    for found in select::chosen(&session, matches, &names).await? {
        change(&session, matches, &found, &images).await?;
    }
    Ok(())
}

async fn change(session: &Session, matches: &ArgMatches, found: &Found, images: &[&str]) -> Result {
    let tree = found.object.tree();
    let is_pod = found.served.plural == "pods";
    let spec = if is_pod { &tree["spec"] } else { &tree["spec"]["template"]["spec"] };
    let mut changed = json!({});
    for pair in images {
        let Some((name, image)) = pair.split_once('=') else { return error(format!("invalid image update {pair:?}")) };
        let mut is_found = false;
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array().into_iter().flatten() {
                if name != "*" && container["name"] != name {
                    continue;
                }
                is_found = true;
                if container["image"] != image {
                    push(&mut changed, list, json!({"name": container["name"], "image": image}));
                }
            }
        }
        if !is_found {
            return error(format!("unable to find container named \"{name}\""));
        }
    }
    if changed.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(());
    }
    let mut patch = if is_pod { json!({"spec": changed}) } else { json!({"spec": {"template": {"spec": changed}}}) };
    if flags::is_set(matches, "record") {
        let line = typed(&flags::all(matches, "resources"), std::env::args());
        patch["metadata"] = json!({"annotations": {"kubernetes.io/change-cause": line}});
    }
    let report = Report::of(matches, MANAGER)?;
    let patch = Patch::Strategic(patch);
    if report.dry_run == DryRun::Client {
        return report.say(&found.served, &local::patched(&found.served, &tree, &patch)?, "image updated");
    }
    let resource = session.client.dynamic(found.served.resource());
    let updated = resource.patch(&found.namespace(), &found.name(), "", patch, report.options()).await?;
    report.say(&found.served, &updated.tree(), "image updated")
}

/// The command line as `--record` keeps it: words first, then every flag with its value.
fn typed(words: &[&str], line: impl Iterator<Item = String>) -> String {
    let mut flags = String::new();
    for word in line.skip_while(|word| word != "image").skip(1).filter(|word| !words.contains(&word.as_str())) {
        match word.as_str() {
            "--record" => flags.push_str(" --record=true"),
            flag if flag.starts_with('-') => flags.push_str(&format!(" {flag}")),
            value => flags.push_str(&format!("={value}")),
        }
    }
    format!("kubectl set image {}{flags}", words.join(" "))
}

fn push(changed: &mut Value, list: &str, container: Value) {
    if !changed[list].is_array() {
        changed[list] = json!([]);
    }
    if let Some(containers) = changed[list].as_array_mut() {
        containers.push(container);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn recorded_lines_have_words_first_and_flags_with_values() {
        let line = ["kybern", "kubectl", "set", "image", "--record", "-n", "x", "deploy/a", "c=d"].map(String::from);
        let said = super::typed(&["deploy/a", "c=d"], line.into_iter());
        assert_eq!(said, "kubectl set image deploy/a c=d --record=true -n=x");
    }
}
