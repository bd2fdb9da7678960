//! What a command that writes says of each object: `deployment.apps/x created`, or the object in a format.

use std::cell::Cell;

use clap::ArgMatches;
use machinery::request::Options;
use serde_json::Value;

use crate::discovery::Served;
use crate::failure::Result;
use crate::flags::{self, DryRun};
use crate::print::{self, Format};

/// `-o` and `--dry-run` of a writing command.
pub struct Report {
    format: Option<Format>,
    pub dry_run: DryRun,
    manager: String,
    /// managedFields are printed too.
    keeps_managed: bool,
    /// Something was printed: YAML documents are parted from each other.
    has_printed: Cell<bool>,
}

impl Report {
    /// `manager` is the field manager of this command when the user names none.
    ///
    /// # Errors
    /// An unknown format or dry-run value.
    pub fn of(matches: &ArgMatches, manager: &str) -> Result<Self> {
        let given = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned().unwrap_or_default();
        let is_formatted = ["output", "template"].iter().any(|flag| !given(flag).is_empty());
        let format = if is_formatted { Some(Format::of(matches)?) } else { None };
        let manager = match given("field-manager") {
            none if none.is_empty() => manager.to_owned(),
            named => named,
        };
        Ok(Self {
            format,
            dry_run: flags::dry_run_of(matches)?,
            manager,
            keeps_managed: flags::try_is_set(matches, "show-managed-fields"),
            has_printed: Cell::new(false),
        })
    }

    /// The options of the write.
    pub fn options(&self) -> Options {
        Options { dry_run: self.dry_run == DryRun::Server, field_manager: self.manager.clone(), ..Options::default() }
    }

    /// Says it.
    ///
    /// # Errors
    /// A template that the object does not fit.
    pub fn say(&self, served: &Served, tree: &Value, verb: &str) -> Result {
        let name = machinery::meta::name(tree);
        match &self.format {
            None => println!("{}/{name} {verb}{}", served.singular_qualified(), self.suffix()),
            Some(Format::Name) => println!("{}/{name}", served.singular_qualified()),
            Some(format) => {
                if matches!(format, Format::Yaml) && self.has_printed.replace(true) {
                    println!("---");
                }
                let tree = if self.keeps_managed { tree.clone() } else { print::shown(tree) };
                print!("{}", format.object(&tree)?);
            }
        }
        Ok(())
    }

    pub fn suffix(&self) -> &'static str {
        match self.dry_run {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}
