//! `kubectl cluster-info dump`: objects and logs for a person who looks for what is wrong.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::Path;

use clap::{ArgAction, ArgMatches, Command};
use http::Method;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::flags;
use crate::print::Format;
use crate::session::Session;

/// File, root of the API, plural.
const LISTS: &[(&str, &str, &str)] = &[
    ("events", "/api/v1", "events"),
    ("replication-controllers", "/api/v1", "replicationcontrollers"),
    ("services", "/api/v1", "services"),
    ("daemonsets", "/apis/apps/v1", "daemonsets"),
    ("deployments", "/apis/apps/v1", "deployments"),
    ("replicasets", "/apis/apps/v1", "replicasets"),
    ("pods", "/api/v1", "pods"),
];

pub fn build() -> Command {
    Command::new("dump")
        .about("Dump relevant information for debugging and diagnosis.")
        .arg(flags::all_namespaces())
        .arg(flags::text("namespaces", "A comma separated list of namespaces to dump.").action(ArgAction::Append).value_delimiter(','))
        .arg(flags::text("output-directory", "Where to output the files. If empty or '-' uses stdout, otherwise creates a directory hierarchy in that directory"))
        .arg(flags::output("Output format. One of: (json, yaml).").default_value("json"))
        .arg(flags::pod_running_timeout("20s"))
}

/// Where it goes.
struct Dump<'a> {
    session: &'a Session,
    folder: Option<&'a Path>,
    format: Format,
    ending: &'a str,
    /// YAML documents are parted from each other.
    has_printed: Cell<bool>,
}

pub async fn run(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let folder = Some(flags::of(matches, "output-directory")).filter(|folder| !matches!(*folder, "" | "-"));
    let format = flags::of(matches, "output");
    let ending = if matches!(format, "json" | "yaml") { format } else { "txt" };
    let dump = Dump {
        session: &session,
        folder: folder.map(Path::new),
        format: Format::parse(format)?,
        ending,
        has_printed: Cell::new(false),
    };
    dump.list("nodes", "/api/v1/nodes").await?;
    for namespace in namespaces(&session, matches).await? {
        let mut pods = Value::Null;
        for (file, root, plural) in LISTS {
            pods =
                dump.list(&format!("{namespace}/{file}"), &format!("{root}/namespaces/{namespace}/{plural}")).await?;
        }
        for pod in pods["items"].as_array().into_iter().flatten() {
            dump.logs(&namespace, pod).await?;
        }
    }
    if let Some(folder) = folder {
        println!("Cluster info dumped to {folder}");
    }
    Ok(())
}

async fn namespaces(session: &Session, matches: &ArgMatches) -> Result<Vec<String>> {
    if flags::is_set(matches, "all-namespaces") {
        let listed = get(session, "/api/v1/namespaces").await?;
        let items = listed["items"].as_array().into_iter().flatten();
        return Ok(items.map(|item| machinery::meta::name(item).to_owned()).collect());
    }
    let named = flags::all(matches, "namespaces");
    match named.is_empty() {
        true => Ok(vec!["kube-system".into(), session.namespace.clone()]),
        false => Ok(named.into_iter().map(str::to_owned).collect()),
    }
}

async fn get(session: &Session, path: &str) -> Result<Value> {
    let answer = session.https.raw(Method::GET, path, "application/json", None).await?;
    serde_json::from_slice(&answer.body).map_err(|e| Failure::Here(format!("{path}: {e}")))
}

impl Dump<'_> {
    async fn list(&self, file: &str, path: &str) -> Result<Value> {
        let mut tree = get(self.session, path).await?;
        for item in tree["items"].as_array_mut().into_iter().flatten() {
            *item = crate::print::shown(item);
        }
        let parted = self.has_printed.replace(true) && self.ending == "yaml";
        let text = format!("{}{}", if parted { "---\n" } else { "" }, self.format.object(&tree)?);
        self.write(&format!("{file}.{}", self.ending), text.as_bytes())?;
        Ok(tree)
    }

    async fn logs(&self, namespace: &str, pod: &Value) -> Result {
        let name = machinery::meta::name(pod);
        let mut text = Vec::new();
        let lists = ["initContainers", "containers"].iter();
        for container in lists.flat_map(|list| pod["spec"][list].as_array().into_iter().flatten()) {
            let container = container["name"].as_str().unwrap_or_default();
            let line =
                |word: &str| format!("==== {word} logs for container {container} of pod {namespace}/{name} ====\n");
            text.extend_from_slice(line("START").as_bytes());
            let path = format!(
                "/api/v1/namespaces/{namespace}/pods/{name}/log?container={}",
                client::https::escape(container)
            );
            match self.session.https.raw(Method::GET, &path, "*/*", None).await {
                Ok(answer) => text.extend_from_slice(&answer.body),
                Err(status) => text.extend_from_slice(format!("Request log error: {}\n", status.message).as_bytes()),
            }
            text.extend_from_slice(line("END").as_bytes());
        }
        self.write(&format!("{namespace}/{name}/logs.txt"), &text)
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result {
        let Some(folder) = self.folder else { return Ok(std::io::stdout().write_all(bytes)?) };
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::write(path, bytes)?)
    }
}
