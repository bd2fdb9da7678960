//! `kybern bench`: measurements against any Kubernetes, ours or not, named by a kubeconfig.
//!
//! A scenario makes its own namespace, measures and removes it; it never judges. One scenario is one file and
//! one line in [`Scenario`]; the conditions for comparable figures are in `docs/performance.md`.

mod create;
mod list;
mod pods;
mod report;
mod start;
mod usage;
mod watching;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use client::https::Https;
use client::kubeconfig::{self, Choice};
use client::{Client, Options};
use k8s_openapi::api::core::v1::Namespace;

pub use report::Report;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// From nothing to a Ready node: runs `kybern up` and `kybern delete` of a cluster named bench
    Start,
    /// Memory and CPU of the cluster's cgroup while nothing happens
    Idle,
    /// Pods one after the other: create to running
    PodSerial,
    /// Pods all at once: create to running
    PodBurst,
    /// ConfigMaps created by several clients
    Create,
    /// The whole list of ConfigMaps, with a write between two lists
    List,
    /// One stream of writes to many watchers
    Watch,
}

#[derive(Args, Clone, Debug)]
pub struct Bench {
    /// What to measure
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// The cluster to measure; kubectl's own otherwise
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long)]
    pub context: Option<String>,
    /// How many pods, objects, lists or starts (each scenario has its own default)
    #[arg(long)]
    pub count: Option<usize>,
    /// How many clients or watchers at once
    #[arg(long)]
    pub clients: Option<usize>,
    /// The image of measured pods; it must be present on the node
    #[arg(long, default_value = "busybox:1.36")]
    pub image: String,
    /// The cgroup to read memory and CPU from (idle, create, list, watch)
    #[arg(long, default_value = "kybern-kybern")]
    pub cgroup: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Measures and prints.
///
/// # Errors
/// The cluster cannot be reached, or a step of the scenario is refused.
pub async fn run(args: &Bench) -> Result<()> {
    let report = match args.scenario {
        Scenario::Start => start::run(args)?,
        Scenario::Idle => usage::idle(args).await?,
        Scenario::PodSerial => Bed::make(args).await?.sleep_in(pods::serial).await?,
        Scenario::PodBurst => Bed::make(args).await?.sleep_in(pods::burst).await?,
        Scenario::Create => Bed::make(args).await?.sleep_in(create::run).await?,
        Scenario::List => Bed::make(args).await?.sleep_in(list::run).await?,
        Scenario::Watch => Bed::make(args).await?.sleep_in(watching::run).await?,
    };
    println!("{}", if args.json { report.json() } else { report.text() });
    Ok(())
}

/// A connection and a namespace of one's own.
pub struct Bed {
    pub args: Bench,
    pub namespace: String,
    pub client: Client,
}

impl Bed {
    async fn make(args: &Bench) -> Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
        let namespace = format!("bench-{}", since.as_millis());
        let client = connect(args).await?;
        let wanted = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let resource = client::Resource::of::<Namespace>();
        client.create_tree(&resource, "", "", "", wanted).await.context("create the namespace")?;
        Ok(Self { args: args.clone(), namespace, client })
    }

    /// A connection of its own: one client is one connection.
    pub async fn another(&self) -> Result<Client> {
        connect(&self.args).await
    }

    /// Runs the scenario, and removes the namespace however it went.
    async fn sleep_in(self, scenario: impl AsyncFnOnce(&Self) -> Result<Report>) -> Result<Report> {
        let outcome = scenario(&self).await;
        self.client
            .delete::<Namespace>("", &self.namespace, Options::default())
            .await
            .context("remove the namespace")?;
        outcome
    }
}

pub async fn connect(args: &Bench) -> Result<Client> {
    Ok(https(args).await?.client())
}

pub async fn https(args: &Bench) -> Result<Https> {
    let choice = Choice { file: args.kubeconfig.clone(), context: args.context.clone(), ..Choice::default() };
    Ok(Https::new(kubeconfig::load(&choice).await?)?)
}
