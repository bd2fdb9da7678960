//! The commands: one file each, one line in [`COMMANDS`].

mod annotate;
mod api_resources;
mod apply;
mod attach;
mod auth;
mod autoscale;
mod cluster_info;
mod config;
mod cordon;
mod cp;
mod create;
mod delete;
pub mod describe;
mod diff;
mod drain;
mod edit;
mod events;
mod exec;
mod explain;
mod expose;
mod get;
mod label;
mod lines;
mod logs;
mod patch;
mod port_forward;
mod proxy;
mod replace;
mod rollout;
mod run;
mod scale;
mod set;
mod taint;
#[cfg(test)]
mod tests;
mod top;
mod version;
mod wait;

use std::ffi::OsString;
use std::future::Future;
use std::pin::Pin;

use clap::{ArgMatches, Command};

use crate::failure::Result;
use crate::flags;

pub type Running<'a> = Pin<Box<dyn Future<Output = Result> + 'a>>;

/// A command: how it is spelled, and what it does.
pub struct Entry {
    pub build: fn() -> Command,
    pub run: for<'a> fn(&'a ArgMatches) -> Running<'a>,
}

/// The visible table, in kubectl's alphabetical order.
pub const COMMANDS: &[Entry] = &[
    annotate::ENTRY,
    api_resources::RESOURCES,
    api_resources::VERSIONS,
    apply::ENTRY,
    attach::ENTRY,
    auth::ENTRY,
    autoscale::ENTRY,
    cluster_info::ENTRY,
    config::ENTRY,
    cordon::CORDON,
    cp::ENTRY,
    create::ENTRY,
    delete::ENTRY,
    describe::ENTRY,
    diff::ENTRY,
    drain::ENTRY,
    edit::ENTRY,
    events::ENTRY,
    exec::ENTRY,
    explain::ENTRY,
    expose::ENTRY,
    get::ENTRY,
    label::ENTRY,
    logs::ENTRY,
    patch::ENTRY,
    port_forward::ENTRY,
    proxy::ENTRY,
    replace::ENTRY,
    rollout::ENTRY,
    run::ENTRY,
    scale::ENTRY,
    set::ENTRY,
    taint::ENTRY,
    top::ENTRY,
    cordon::UNCORDON,
    version::ENTRY,
    wait::ENTRY,
];

/// The whole command line.
pub fn root() -> Command {
    let mut root = Command::new("kubectl")
        .about("kubectl controls the Kubernetes cluster manager.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_version_flag(true)
        .args(flags::global());
    for entry in COMMANDS {
        root = root.subcommand((entry.build)());
    }
    root
}

/// The command that words name, as far as they name one: `config set`.
pub fn named(words: &[OsString]) -> String {
    let (mut at, mut names) = (root(), Vec::new());
    for word in words.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != "--") {
        let Some(inner) = at.find_subcommand(word).cloned() else { continue };
        names.push(inner.get_name().to_owned());
        at = inner;
    }
    names.join(" ")
}

/// Runs the command that was named.
pub async fn dispatch(matches: &ArgMatches) -> Result {
    let Some((name, own)) = matches.subcommand() else { return Ok(()) };
    let entry = COMMANDS.iter().find(|entry| (entry.build)().get_name() == name);
    match entry {
        Some(entry) => (entry.run)(own).await,
        None => Ok(()),
    }
}
