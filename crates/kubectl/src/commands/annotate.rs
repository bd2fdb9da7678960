//! `kubectl annotate`: as `label`, for annotations.

use clap::Command;

use super::Entry;
use super::label::{self, ANNOTATIONS};
use crate::flags;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(label::change_all(matches, &ANNOTATIONS)) };

fn build() -> Command {
    label::shared(Command::new("annotate").about("Update the annotations on one or more resources."))
        .arg(flags::switch("overwrite", "If true, allow annotations to be overwritten, otherwise reject annotation updates that overwrite existing annotations."))
}
