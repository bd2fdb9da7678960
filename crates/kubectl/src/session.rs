//! A command's connection: who, where, which namespace, and what the server serves.

use clap::ArgMatches;
use client::Client;
use client::https::{Dial, Https};
use client::kubeconfig;
use tokio::sync::OnceCell;

use crate::discovery::Discovery;
use crate::failure::Result;
use crate::flags;

tokio::task_local! {
    /// Pipes to a server of this process, which take the place of sockets.
    pub static PIPES: Dial;
}

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
        let access = kubeconfig::load(&flags::choice(matches)).await?;
        let given = flags::of(matches, "namespace");
        let namespace = if given.is_empty() { access.namespace().to_owned() } else { given.to_owned() };
        let https = match PIPES.try_with(Dial::clone) {
            Ok(dial) => Https::through(access, dial)?,
            Err(_) => Https::new(access)?,
        };
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
