//! `kubectl describe`: an object, what belongs to it, and its events, as a page of text.
//!
//! One file per kind with a page of its own, one line in [`DESCRIBERS`]; all other kinds are shown field by field.
//! Source: <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_describe/>.

mod autoscaler;
mod batch;
mod containers;
mod deployment;
mod endpoints;
mod environment;
pub mod events;
mod generic;
mod ingress;
mod namespace;
mod network_policy;
mod node;
mod node_pods;
pub mod page;
mod pod;
mod quota;
pub mod rbac;
mod replicaset;
mod secret_configmap;
mod service;
mod serviceaccount;
mod storage;
pub mod template;
mod volumes;
mod workload;

use std::future::Future;
use std::pin::Pin;

use clap::{ArgMatches, Command};
use client::Options;
use serde_json::Value;

use super::Entry;
use crate::discovery::Served;
use crate::failure::{Failure, Result};
use crate::flags;
use crate::select::{self, Found};
use crate::session::Session;
pub use node::taint_text;
use page::Page;

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

/// What is described, and whether its events are wanted.
pub struct Subject<'a> {
    pub session: &'a Session,
    pub tree: &'a Value,
    pub show_events: bool,
}

type Describing<'a> = Pin<Box<dyn Future<Output = Result<Page>> + 'a>>;

/// A kind's page.
struct Describer {
    group: &'static str,
    kind: &'static str,
    describe: for<'a> fn(&'a Subject<'a>) -> Describing<'a>,
}

const DESCRIBERS: &[Describer] = &[
    Describer { group: "", kind: "ConfigMap", describe: |s| Box::pin(secret_configmap::configmap(s)) },
    Describer { group: "", kind: "Endpoints", describe: |s| Box::pin(endpoints::endpoints(s)) },
    Describer { group: "", kind: "LimitRange", describe: |s| Box::pin(quota::limits(s)) },
    Describer { group: "", kind: "Namespace", describe: |s| Box::pin(namespace::describe(s)) },
    Describer { group: "", kind: "Node", describe: |s| Box::pin(node::describe(s)) },
    Describer { group: "", kind: "PersistentVolume", describe: |s| Box::pin(storage::volume(s)) },
    Describer { group: "", kind: "PersistentVolumeClaim", describe: |s| Box::pin(storage::claim(s)) },
    Describer { group: "", kind: "Pod", describe: |s| Box::pin(pod::describe(s)) },
    Describer { group: "", kind: "ReplicationController", describe: |s| Box::pin(replicaset::describe(s)) },
    Describer { group: "", kind: "ResourceQuota", describe: |s| Box::pin(quota::quota(s)) },
    Describer { group: "", kind: "Secret", describe: |s| Box::pin(secret_configmap::secret(s)) },
    Describer { group: "", kind: "Service", describe: |s| Box::pin(service::describe(s)) },
    Describer { group: "", kind: "ServiceAccount", describe: |s| Box::pin(serviceaccount::describe(s)) },
    Describer { group: "apps", kind: "DaemonSet", describe: |s| Box::pin(workload::daemonset(s)) },
    Describer { group: "apps", kind: "Deployment", describe: |s| Box::pin(deployment::describe(s)) },
    Describer { group: "apps", kind: "ReplicaSet", describe: |s| Box::pin(replicaset::describe(s)) },
    Describer { group: "apps", kind: "StatefulSet", describe: |s| Box::pin(workload::statefulset(s)) },
    Describer {
        group: "autoscaling",
        kind: "HorizontalPodAutoscaler",
        describe: |s| Box::pin(autoscaler::describe(s)),
    },
    Describer { group: "batch", kind: "CronJob", describe: |s| Box::pin(batch::cron_job(s)) },
    Describer { group: "batch", kind: "Job", describe: |s| Box::pin(batch::job(s)) },
    Describer { group: "discovery.k8s.io", kind: "EndpointSlice", describe: |s| Box::pin(endpoints::slice(s)) },
    Describer { group: "networking.k8s.io", kind: "Ingress", describe: |s| Box::pin(ingress::describe(s)) },
    Describer { group: "networking.k8s.io", kind: "IngressClass", describe: |s| Box::pin(ingress::class(s)) },
    Describer {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        describe: |s| Box::pin(network_policy::describe(s)),
    },
    Describer { group: "policy", kind: "PodDisruptionBudget", describe: |s| Box::pin(quota::disruption_budget(s)) },
    Describer { group: "rbac.authorization.k8s.io", kind: "ClusterRole", describe: |s| Box::pin(rbac::role(s)) },
    Describer {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRoleBinding",
        describe: |s| Box::pin(rbac::binding(s)),
    },
    Describer { group: "rbac.authorization.k8s.io", kind: "Role", describe: |s| Box::pin(rbac::role(s)) },
    Describer { group: "rbac.authorization.k8s.io", kind: "RoleBinding", describe: |s| Box::pin(rbac::binding(s)) },
    Describer { group: "scheduling.k8s.io", kind: "PriorityClass", describe: |s| Box::pin(storage::priority_class(s)) },
    Describer { group: "storage.k8s.io", kind: "StorageClass", describe: |s| Box::pin(storage::storage_class(s)) },
];

fn build() -> Command {
    Command::new("describe")
        .about("Show details of a specific resource or group of resources.")
        .arg(flags::resources())
        .arg(flags::filenames())
        .arg(flags::recursive())
        .arg(flags::selector())
        .arg(flags::all_namespaces())
        .arg(
            flags::switch("show-events", "If true, display events related to the described object.")
                .default_value("true"),
        )
        .arg(flags::text("chunk-size", "Return large lists in chunks rather than all at once.").default_value("500"))
}

async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let found = match select::objects(&session, matches).await {
        Err(failure) => return by_prefix(&session, matches, failure).await,
        Ok(found) => found,
    };
    if found.is_empty() {
        match flags::is_set(matches, "all-namespaces") {
            true => eprintln!("No resources found"),
            false => eprintln!("No resources found in {} namespace.", session.namespace),
        }
    }
    for (at, found) in found.iter().enumerate() {
        let gap = if at > 0 { "\n\n" } else { "" };
        print!("{gap}{}", text(&session, matches, found).await?);
    }
    Ok(())
}

async fn text(session: &Session, matches: &ArgMatches, found: &Found) -> Result<String> {
    let tree = found.object.tree();
    let subject = Subject { session, tree: &tree, show_events: flags::is_set(matches, "show-events") };
    Ok(describe(&subject, &found.served).await?.finish())
}

async fn describe(subject: &Subject<'_>, served: &Served) -> Result<Page> {
    match DESCRIBERS.iter().find(|d| d.group == served.group && d.kind == served.kind) {
        Some(describer) => (describer.describe)(subject).await,
        None => generic::describe(subject).await,
    }
}

/// `describe pods web` shows all pods whose names begin so, when none is called so.
async fn by_prefix(session: &Session, matches: &ArgMatches, failure: Failure) -> Result {
    let words = flags::all(matches, "resources");
    let [kind, prefix] = words.as_slice() else { return Err(failure) };
    let missing = matches!(&failure, Failure::Many(all) if all.iter().all(|f| matches!(f, Failure::Server(s) if s.is_not_found())));
    if !missing || kind.contains('/') {
        return Err(failure);
    }
    let mut is_found = false;
    for named in select::words(session, &[kind]).await? {
        let namespace = select::namespace(session, &named.served, false);
        let list = select::list(session, &named.served, &namespace, Options::default()).await?;
        for object in list.items {
            let found = Found { served: named.served.clone(), object };
            if found.name().starts_with(prefix) {
                is_found = true;
                println!("{}", text(session, matches, &found).await?);
            }
        }
    }
    if is_found { Ok(()) } else { Err(failure) }
}
