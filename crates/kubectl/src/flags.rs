//! Flags that several commands share, and the global ones.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches};
use client::kubeconfig::Choice;

const GLOBAL: &str = "Global options";

/// Global flags with a value, and what they are for.
const TEXTS: &[(&str, &str)] = &[
    ("kubeconfig", "Path to the kubeconfig file to use for CLI requests."),
    ("context", "The name of the kubeconfig context to use"),
    ("cluster", "The name of the kubeconfig cluster to use"),
    ("user", "The name of the kubeconfig user to use"),
    ("token", "Bearer token for authentication to the API server"),
    ("as", "Username to impersonate for the operation."),
    ("as-uid", "UID to impersonate for the operation."),
    ("certificate-authority", "Path to a cert file for the certificate authority"),
    ("client-certificate", "Path to a client certificate file for TLS"),
    ("client-key", "Path to a client key file for TLS"),
    ("tls-server-name", "Server name to use for server certificate validation."),
    ("username", "Username for basic authentication to the API server"),
    ("password", "Password for basic authentication to the API server"),
    ("cache-dir", "Taken for compatibility: nothing is cached."),
];

/// The flags that every command takes.
pub fn global() -> Vec<Arg> {
    let global = |arg: Arg| arg.global(true).help_heading(GLOBAL);
    let mut all: Vec<Arg> = TEXTS.iter().map(|(name, help)| global(text(name, help))).collect();
    all.extend([
        global(text("namespace", "If present, the namespace scope for this CLI request").short('n')),
        global(text("server", "The address and port of the Kubernetes API server").short('s')),
        global(text("as-group", "Group to impersonate for the operation, this flag can be repeated.").action(ArgAction::Append)),
        global(text("request-timeout", "The length of time to wait before giving up on a single server request (e.g. 1s, 2m, 3h). A value of zero means don't timeout requests.").default_value("0")),
        global(text("v", "number for the log level verbosity: 6 shows requests").short('v').default_value("0")),
        global(switch("insecure-skip-tls-verify", "If true, the server's certificate will not be checked for validity.")),
        global(switch("disable-compression", "Taken for compatibility: answers are not compressed.")),
        global(switch("match-server-version", "Taken for compatibility: every server is spoken to.")),
        global(switch("show-managed-fields", "If true, keep the managedFields when printing objects in JSON or YAML format.").hide(true)),
        global(switch("allow-missing-template-keys", "If true, ignore any errors in templates when a field or map key is missing.").default_value("true").hide(true)),
        global(text("template", "Template string or path to template file to use when -o=go-template, -o=go-template-file.").hide(true)),
        global(switch("warnings-as-errors", "Treat warnings received from the server as errors and exit with a non-zero exit code")),
    ]);
    all
}

/// What the global flags say about the server and who we are there.
pub fn choice(matches: &ArgMatches) -> Choice {
    // `config set-cluster` and its like have flags of these names for what they write.
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let groups = matches.get_many::<String>("as-group").into_iter().flatten().cloned().collect();
    Choice {
        file: text("kubeconfig").map(PathBuf::from),
        context: text("context"),
        cluster: text("cluster"),
        // The generators of bindings have a `--user` of their own: whom they bind.
        user: text("user").filter(|_| matches.try_contains_id("serviceaccount").is_err()),
        server: text("server"),
        token: text("token"),
        impersonate: text("as"),
        impersonate_groups: groups,
        impersonate_uid: text("as-uid"),
        certificate_authority: text("certificate-authority").map(PathBuf::from),
        client_certificate: text("client-certificate"),
        client_key: text("client-key"),
        username: text("username"),
        password: text("password"),
        tls_server_name: text("tls-server-name"),
        insecure: is_set(matches, "insecure-skip-tls-verify"),
    }
}

/// A switch: `--name`, `--name=true`, `--name=false`.
pub fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .value_parser(clap::value_parser!(bool))
        .help(help)
}

/// A flag with a value.
pub fn text(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).num_args(1).help(help)
}

/// `TYPE NAME…`, `TYPE/NAME…`.
pub fn resources() -> Arg {
    Arg::new("resources").num_args(0..).value_name("TYPE[.VERSION][.GROUP]/NAME")
}

pub fn selector() -> Arg {
    text("selector", "Selector (label query) to filter on, supports '=', '==', '!=', 'in', 'notin'.").short('l')
}

pub fn field_selector() -> Arg {
    text("field-selector", "Selector (field query) to filter on, supports '=', '==', and '!='.")
}

pub fn all_namespaces() -> Arg {
    switch("all-namespaces", "If present, list the requested object(s) across all namespaces.").short('A')
}

pub fn filenames() -> Arg {
    text("filename", "The files that contain the configurations.").short('f').action(ArgAction::Append)
}

pub fn recursive() -> Arg {
    switch("recursive", "Process the directory used in -f, --filename recursively.").short('R')
}

pub fn output(formats: &'static str) -> Arg {
    text("output", formats).short('o')
}

pub fn dry_run() -> Arg {
    text("dry-run", "Must be \"none\", \"server\", or \"client\".")
        .num_args(0..=1)
        .require_equals(true)
        .default_value("none")
        .default_missing_value("unchanged")
}

pub fn pod_running_timeout(default: &'static str) -> Arg {
    text(
        "pod-running-timeout",
        "The length of time (like 5s, 2m, or 3h, higher than zero) to wait until at least one pod is running",
    )
    .default_value(default)
}

pub fn save_config() -> Arg {
    switch("save-config", "If true, the configuration of current object will be saved in its annotation.")
}

pub fn field_manager() -> Arg {
    text("field-manager", "Name of the manager used to track field ownership.")
}

pub fn validate() -> Arg {
    text("validate", "Must be one of: strict (or true), warn, ignore (or false).")
        .num_args(0..=1)
        .require_equals(true)
        .default_value("strict")
        .default_missing_value("strict")
}

/// The value of a text flag, empty when absent. A flag that the command does not declare fails the tests, and is
/// absent for people.
pub fn of<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    debug_assert!(matches.try_get_one::<String>(name).is_ok(), "the flag {name} is not declared");
    try_of(matches, name)
}

/// All values of a repeated flag.
pub fn all<'a>(matches: &'a ArgMatches, name: &str) -> Vec<&'a str> {
    let given = matches.try_get_many::<String>(name);
    debug_assert!(given.is_ok(), "the flag {name} is not declared");
    given.ok().flatten().into_iter().flatten().map(String::as_str).collect()
}

pub fn is_set(matches: &ArgMatches, name: &str) -> bool {
    let given = matches.try_get_one::<bool>(name);
    debug_assert!(given.is_ok(), "the switch {name} is not declared");
    given.ok().flatten().copied().unwrap_or(false)
}

/// Whether a switch is on that this command may not have.
pub fn try_is_set(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false)
}

/// Whether the user gave the flag.
pub fn given(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
}

/// How far a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    None,
    Client,
    Server,
}

/// # Errors
/// Another word than upstream's.
pub fn dry_run_of(matches: &ArgMatches) -> crate::failure::Result<DryRun> {
    match try_of(matches, "dry-run") {
        "none" | "" => Ok(DryRun::None),
        "client" => Ok(DryRun::Client),
        "server" => Ok(DryRun::Server),
        "unchanged" => {
            eprintln!("W: --dry-run is deprecated and can be replaced with --dry-run=client.");
            Ok(DryRun::Client)
        }
        other => crate::failure::error(format!(
            "Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."
        )),
    }
}

/// A Go duration such as `1m30s`.
///
/// # Errors
/// Upstream's words for what is none, or a negative one.
pub fn duration(text: &str) -> crate::failure::Result<std::time::Duration> {
    let nanos = machinery::duration::parse(text).map_err(crate::Failure::Here)?;
    let nanos = u64::try_from(nanos).map_err(|_| crate::Failure::Here(format!("invalid duration {text:?}")))?;
    Ok(std::time::Duration::from_nanos(nanos))
}

/// The time that a request may take; none without `--request-timeout`.
///
/// # Errors
/// Something that is no duration.
pub fn request_timeout(matches: &ArgMatches) -> crate::failure::Result<Option<std::time::Duration>> {
    let text = of(matches, "request-timeout");
    let seconds = text.parse::<u64>().map(std::time::Duration::from_secs);
    match seconds.or_else(|_| duration(text)) {
        Ok(patience) => Ok(Some(patience).filter(|patience| !patience.is_zero())),
        Err(_) => crate::failure::error(
            "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)",
        ),
    }
}

/// The value of a text flag that this command may not have.
pub fn try_of<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.try_get_one::<String>(name).ok().flatten().map(String::as_str).unwrap_or_default()
}
