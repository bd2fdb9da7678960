//! `kubectl set resources`: limits and requests of containers.

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use super::{fitting, pod_spec, shared, write};
use crate::commands::create::quantities;
use crate::failure::{Result, error};
use crate::flags;
use crate::select;
use crate::session::Session;

pub fn build() -> Command {
    shared(Command::new("resources").about("Update resource requests/limits on objects with pod templates."))
        .arg(flags::text("containers", "The names of containers in the selected pod templates to change, all containers are selected by default - may use wildcards").short('c').default_value("*"))
        .arg(flags::text("limits", "The resource requirement limits for this container. For example, 'cpu=100m,memory=256Mi'."))
        .arg(flags::text("requests", "The resource requirement requests for this container. For example, 'cpu=100m,memory=256Mi'."))
}

pub async fn run(matches: &ArgMatches) -> Result {
    let mut wanted = Vec::new();
    for field in ["limits", "requests"] {
        let text = flags::of(matches, field);
        if !text.is_empty() {
            wanted.push((field, quantities(text)?));
        }
    }
    if wanted.is_empty() {
        return error("you must specify an update to requests or limits (in the form of --requests/--limits)");
    }
    let session = Session::open(matches).await?;
    let pattern = flags::of(matches, "containers");
    for found in select::objects(&session, matches).await? {
        let mut after = Value::clone(&found.object.tree());
        let Some(spec) = pod_spec(&found, &mut after) else {
            return error(format!("{} the object is not a pod or does not have a pod template", found.reference()));
        };
        let containers = fitting(spec, pattern);
        if containers.is_empty() {
            return error(format!("unable to find container named {pattern}"));
        }
        for container in containers {
            for (field, amounts) in &wanted {
                let mut held = container["resources"][*field].clone();
                if !held.is_object() {
                    held = json!({});
                }
                for (name, amount) in amounts.as_object().into_iter().flatten() {
                    held[name] = amount.clone();
                }
                container["resources"][*field] = held;
            }
        }
        let failed = "failed to patch resources update to pod template";
        write(&session, matches, &found, &after, "resource requirements updated", failed).await?;
    }
    Ok(())
}
