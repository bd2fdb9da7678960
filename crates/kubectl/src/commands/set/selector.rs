//! `kubectl set selector`: which pods a Service selects.

use clap::{ArgMatches, Command};
use serde_json::Value;

use super::{shared, split, write};
use crate::commands::run::pairs;
use crate::failure::{Result, error};
use crate::flags;
use crate::select;
use crate::session::Session;

pub fn build() -> Command {
    shared(Command::new("selector").about("Set the selector on a resource."))
}

pub async fn run(matches: &ArgMatches) -> Result {
    let words = flags::all(matches, "resources");
    let (names, changes) = split(&words, |word| word.contains('='))?;
    let [selector] = changes.as_slice() else { return error("one selector is required") };
    let labels = Value::Object(pairs(selector.split(','), "selector")?);
    let session = Session::open(matches).await?;
    for found in select::chosen(&session, matches, &names).await? {
        if found.served.plural != "services" {
            return error("setting a selector is only supported for Services");
        }
        let mut after = Value::clone(&found.object.tree());
        after["spec"]["selector"] = labels.clone();
        write(&session, matches, &found, &after, "selector updated", "failed to patch selector:").await?;
    }
    Ok(())
}
