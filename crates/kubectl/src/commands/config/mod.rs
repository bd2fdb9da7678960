//! `kubectl config`: shows and changes kubeconfig files; asks no server.

mod change;
mod file;
mod property;
mod view;

use clap::{Arg, ArgMatches, Command};

use super::Entry;
use crate::failure::Result;
use crate::flags;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(std::future::ready(run(matches))) };

fn named(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).arg(Arg::new("name").required(true).value_name("NAME"))
}

fn build() -> Command {
    let config = Command::new("config")
        .about("Modify kubeconfig files.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("current-context").about("Display the current-context."))
        .subcommand(named("delete-cluster", "Delete the specified cluster from the kubeconfig."))
        .subcommand(named("delete-context", "Delete the specified context from the kubeconfig."))
        .subcommand(named("delete-user", "Delete the specified user from the kubeconfig."))
        .subcommand(Command::new("get-clusters").about("Display clusters defined in the kubeconfig."))
        .subcommand(
            Command::new("get-contexts")
                .about("Describe one or many contexts.")
                .arg(Arg::new("names").num_args(0..).value_name("NAME"))
                .arg(flags::output("Output format. One of: (name)."))
                .arg(flags::switch("no-headers", "When using the default output format, don't print headers.")),
        )
        .subcommand(Command::new("get-users").about("Display users defined in the kubeconfig."))
        .subcommand(
            named("rename-context", "Rename a context from the kubeconfig file.")
                .arg(Arg::new("new").required(true).value_name("NEW_NAME")),
        )
        .subcommand(
            Command::new("set-context")
                .about("Set a context entry in kubeconfig.")
                .arg(Arg::new("name").value_name("NAME"))
                .arg(flags::switch("current", "Modify the current context.")),
        )
        .subcommand(
            named("set-credentials", "Set a user entry in kubeconfig.")
                .arg(flags::text("client-certificate", "Path to client-certificate file."))
                .arg(flags::text("client-key", "Path to client-key file."))
                .arg(flags::text("username", "username for the user entry."))
                .arg(flags::text("password", "password for the user entry."))
                .arg(flags::switch("embed-certs", "Embed client cert/key for the user entry.")),
        )
        .subcommand(named("use-context", "Set the current-context in a kubeconfig file.").alias("use"))
        .subcommand(
            Command::new("view")
                .about("Display merged kubeconfig settings or a specified kubeconfig file.")
                .arg(flags::output("Output format. One of: (json, yaml, jsonpath, …)."))
                .arg(flags::switch("minify", "Remove all information not used by current-context from the output."))
                .arg(flags::switch("flatten", "Flatten the resulting kubeconfig file into self-contained output."))
                .arg(flags::switch("raw", "Display raw byte data and sensitive data.")),
        );
    setters(config)
}

/// What sets single properties, and clusters.
fn setters(config: Command) -> Command {
    config
        .subcommand(
            Command::new("set")
                .about("Set an individual value in a kubeconfig file.")
                .arg(Arg::new("property").required(true).value_name("PROPERTY_NAME"))
                .arg(Arg::new("value").required(true).value_name("PROPERTY_VALUE"))
                .arg(flags::switch(
                    "set-raw-bytes",
                    "When writing a []byte PROPERTY_VALUE, write the given string directly without base64 decoding.",
                )),
        )
        .subcommand(
            Command::new("unset")
                .about("Unset an individual value in a kubeconfig file.")
                .arg(Arg::new("property").required(true).value_name("PROPERTY_NAME")),
        )
        .subcommand(
            named("set-cluster", "Set a cluster entry in kubeconfig.")
                .arg(flags::text("certificate-authority", "Path to certificate-authority file."))
                .arg(flags::text("tls-server-name", "tls-server-name for the cluster entry."))
                .arg(flags::text("proxy-url", "proxy-url for the cluster entry."))
                .arg(flags::switch("embed-certs", "embed-certs for the cluster entry.")),
        )
}

fn run(matches: &ArgMatches) -> Result {
    let Some((name, own)) = matches.subcommand() else { return Ok(()) };
    match name {
        "current-context" => view::current_context(own),
        "delete-cluster" => change::delete(own, "clusters", "cluster"),
        "delete-context" => change::delete(own, "contexts", "context"),
        "delete-user" => change::delete(own, "users", "user"),
        "get-clusters" => view::names(own, "clusters"),
        "get-contexts" => view::contexts(own),
        "get-users" => view::names(own, "users"),
        "set" => property::set(own),
        "unset" => property::unset(own),
        "rename-context" => change::rename_context(own),
        "set-cluster" => change::set_cluster(own),
        "set-context" => change::set_context(own),
        "set-credentials" => change::set_credentials(own),
        "use-context" => change::use_context(own),
        _ => view::view(own),
    }
}
