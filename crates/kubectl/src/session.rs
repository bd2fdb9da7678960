//! A command's connection: who, where, which namespace, and what the server serves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clap::ArgMatches;
use client::Client;
use client::https::{Dial, Exchange, Https};
use client::kubeconfig::{self, Access};
use machinery::status::Status;
use tokio::sync::OnceCell;

use crate::discovery::Discovery;
use crate::failure::{Failure, Result, error, go_words};
use crate::flags;

tokio::task_local! {
    /// Pipes to a server of this process, which take the place of sockets.
    pub static PIPES: Dial;
}

/// From this verbosity on, requests are shown.
const SHOWS_REQUESTS: u32 = 6;

/// Warnings of the server that were shown.
static WARNINGS: AtomicUsize = AtomicUsize::new(0);

pub struct Session {
    pub https: Https,
    pub client: Client,
    /// From `-n`, else from the context, else `default`.
    pub namespace: String,
    /// `-n` was given: files with another namespace are refused.
    pub is_namespace_given: bool,
    discovery: OnceCell<Discovery>,
}

impl Session {
    /// # Errors
    /// No kubeconfig, an unknown context, unusable credentials.
    pub async fn open(matches: &ArgMatches) -> Result<Self> {
        let access = access(matches).await?;
        let given = flags::of(matches, "namespace");
        let namespace = if given.is_empty() { access.namespace().to_owned() } else { given.to_owned() };
        let verbosity = flags::of(matches, "v").parse().unwrap_or(0);
        let https = match PIPES.try_with(Dial::clone) {
            Ok(dial) => Https::through(access, dial)?,
            Err(_) => Https::new(access)?,
        };
        let mut https = https.observed(observer(verbosity));
        if let Some(patience) = flags::request_timeout(matches)? {
            https = https.patient(patience);
        }
        let client = https.client();
        Ok(Self { https, client, namespace, is_namespace_given: !given.is_empty(), discovery: OnceCell::new() })
    }

    /// What the server serves; asked once.
    ///
    /// # Errors
    /// The server cannot be reached or refuses discovery.
    pub async fn discovery(&self) -> Result<&Discovery> {
        self.discovery.get_or_try_init(|| Discovery::ask(&self.https)).await
    }
}

/// The kubeconfig's server and credentials.
///
/// # Errors
/// In kubectl's words.
pub async fn access(matches: &ArgMatches) -> Result<Access> {
    let choice = flags::choice(matches);
    if let Some(file) = &choice.file {
        std::fs::metadata(file).map_err(|why| Failure::Here(go_words("stat", file.display(), &why)))?;
    }
    kubeconfig::load(&choice).await.map_err(unusable)
}

fn unusable(status: Status) -> Failure {
    let message = status.message.strip_prefix("loading the client configuration: ").unwrap_or(&status.message);
    match message.strip_prefix("failed to load current context: ") {
        Some(context) => {
            Failure::Plain(format!("Error in configuration: context was not found for specified context: {context}"))
        }
        None => Failure::Here(message.to_owned()),
    }
}

/// Shows each warning once, and with `-v=6` each request.
fn observer(verbosity: u32) -> client::https::Observer {
    let shown: Mutex<Vec<String>> = Mutex::default();
    Arc::new(move |exchange: &Exchange<'_>| {
        if verbosity >= SHOWS_REQUESTS {
            let Exchange { method, url, status, milliseconds, .. } = exchange;
            let now = k8s_openapi::jiff::Zoned::now().strftime("%m%d %H:%M:%S.%6f");
            let process = std::process::id();
            eprintln!("I{now} {process:>7} session.rs] {method} {url} {status} in {milliseconds} milliseconds");
        }
        for warning in &exchange.warnings {
            // A thread that panicked with the list in hand left a whole list.
            let mut shown = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !shown.contains(warning) {
                eprintln!("Warning: {warning}");
                shown.push(warning.clone());
                WARNINGS.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
}

/// What `--warnings-as-errors` makes of a command that went well.
///
/// # Errors
/// There were warnings.
pub fn warned(matches: &ArgMatches) -> Result {
    match WARNINGS.load(Ordering::Relaxed) {
        0 => Ok(()),
        _ if !flags::try_is_set(matches, "warnings-as-errors") => Ok(()),
        1 => error("1 warning received"),
        count => error(format!("{count} warnings received")),
    }
}
