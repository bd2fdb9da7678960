//! `kybern server` typed by a person: the server keeps the cluster itself, in the supervisor's place.
//!
//! It holds the same lock and is in the same cgroup, so every other command finds it as it finds a supervisor. Not
//! here: starting it again when it dies, and making a cluster.

use std::fs::File;

use anyhow::{Result, bail};

use crate::commands;
use crate::home::Home;
use crate::settings::{self, Settings};
use crate::{checks, supervise, turn};

/// The cluster is this process' until this is dropped.
pub struct Kept {
    _lock: File,
}

/// Makes this process the one that keeps the cluster. To be called before it has threads: it gets the server's name.
///
/// # Errors
/// There is no such cluster, it runs already, or the machine lacks something.
pub fn keep(home: &Home) -> Result<Kept> {
    settings::check_name(&home.name)?;
    checks::root(&format!("server{}", home.flag()))?;
    home.check_length()?;
    existing(home)?;
    let _turn = turn::take(&home.run)?;
    // It may have been deleted while this one waited for its turn.
    let settings = existing(home)?;
    if supervise::living(home)?.is_some() {
        bail!("the cluster {:?} is running already", home.name);
    }
    let _name = commands::prepare(home, &settings)?;
    Ok(Kept { _lock: supervise::take_place(home)? })
}

fn existing(home: &Home) -> Result<Settings> {
    match Settings::load(home)? {
        Some(settings) => Ok(settings),
        None => bail!("there is no cluster {:?}: kybern up makes one", home.name),
    }
}
