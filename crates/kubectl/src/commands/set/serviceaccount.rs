//! `kubectl set serviceaccount`: as whom pods run.

use clap::{ArgMatches, Command};
use serde_json::Value;

use super::{pod_spec, shared, write};
use crate::failure::{Result, error};
use crate::flags;
use crate::select;
use crate::session::Session;

pub fn build() -> Command {
    shared(Command::new("serviceaccount").visible_alias("sa").about("Update the service account of a resource."))
}

pub async fn run(matches: &ArgMatches) -> Result {
    let words = flags::all(matches, "resources");
    let Some((account, names)) = words.split_last() else { return error("serviceaccount is required") };
    let session = Session::open(matches).await?;
    for found in select::chosen(&session, matches, names).await? {
        let mut after = Value::clone(&found.object.tree());
        let Some(spec) = pod_spec(&found, &mut after) else {
            return error(format!("{} the object is not a pod or does not have a pod template", found.reference()));
        };
        spec["serviceAccountName"] = (*account).into();
        // The older name of the field would win where both are set.
        spec["serviceAccount"] = (*account).into();
        write(&session, matches, &found, &after, "serviceaccount updated", "failed to patch ServiceAccountName")
            .await?;
    }
    Ok(())
}
