//! Every command is built, helps, and runs with few words against a server that knows little: no command may panic,
//! whatever the server says. What commands do with a real server is seen in the suites.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{COMMANDS, dispatch, root};

/// Few words for each command; names that are `missing` are not there.
const LINES: &[&str] = &[
    "annotate pod web a=b",
    "annotate pod web a- --list",
    "api-resources -o wide",
    "api-versions",
    "apply -f {pod}",
    "apply -f {pod} --server-side",
    "apply -f {pod} --prune --all",
    "attach web",
    "auth can-i get pods",
    "auth can-i --list",
    "auth whoami",
    "autoscale deployment web --max 3",
    "cluster-info",
    "cluster-info dump --output-directory {pod}.dump",
    "config current-context",
    "config delete-cluster x",
    "config delete-context x",
    "config delete-user x",
    "config get-clusters",
    "config get-contexts",
    "config get-users",
    "config rename-context x y",
    "config set clusters.x.server http://y",
    "config unset users.u.token",
    "config set-cluster c --server http://x",
    "config set-context c --cluster c",
    "config set-credentials u --token t",
    "config use-context c",
    "config view",
    "cordon web",
    "cp {pod} web:/x",
    "cp web:/x {pod}",
    "create -f {pod}",
    "create configmap x --from-literal a=b",
    "create clusterrole x --verb get --resource pods",
    "create clusterrolebinding x --clusterrole y --user a",
    "create cronjob x --image i --schedule 1",
    "create deployment x --image i",
    "create ingress x --rule a/b=c:1",
    "create job x --image i",
    "create poddisruptionbudget x --selector a=b --min-available 1",
    "create priorityclass x --value 1",
    "create quota x --hard pods=1",
    "create role x --verb get --resource pods",
    "create rolebinding x --role y --serviceaccount a:b",
    "create secret docker-registry x --docker-username u --docker-password p",
    "create service externalname x --external-name y",
    "create service loadbalancer x --tcp 1",
    "create namespace x",
    "create secret generic x --from-literal a=b",
    "create secret tls x --cert {pod} --key {pod}",
    "create service clusterip x --tcp 1",
    "create service nodeport x --tcp 1",
    "create serviceaccount x",
    "create token x",
    "delete pod web",
    "delete -f {pod}",
    "describe pod web",
    "describe pods",
    "diff -f {pod}",
    "diff -f {pod} --server-side",
    "drain web --ignore-daemonsets --force",
    "edit pod missing",
    "events",
    "exec web -- true",
    "explain pod",
    "expose pod web --port 1",
    "get pods",
    "get pod web -o yaml",
    "get -f {pod}",
    "get pods -w",
    "label pod web a=b",
    "logs web",
    "patch pod web -p {}",
    "port-forward web 1:1 --address no-address",
    "proxy --port 0 --address no-address",
    "replace -f {pod}",
    "replace -f {pod} --force",
    "rollout history deployment web",
    "rollout pause deployment web",
    "rollout restart deployment web",
    "rollout resume deployment web",
    "rollout status deployment web",
    "rollout undo deployment web",
    "run x --image i",
    "run x --image i -i --rm",
    "scale deployment web --replicas 1",
    "set env deployment web A=b --overwrite=false",
    "set env deployment web --list",
    "set image deployment web web=x",
    "set resources deployment web --limits cpu=1",
    "set selector service web a=b",
    "set serviceaccount deployment web default",
    "set subject rolebinding web --user jane",
    "taint node web a=b:NoSchedule",
    "top node",
    "top pod",
    "uncordon web",
    "version",
    "wait pod web --for condition=Ready",
];

/// The names of all commands that have no commands below them.
fn leaves(command: &Command, above: &str, found: &mut BTreeSet<String>) {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let name = format!("{above} {}", inner.get_name()).trim().to_owned();
        leaves(inner, &name, found);
        if !inner.has_subcommands() || !inner.is_subcommand_required_set() {
            found.insert(name);
        }
    }
}

#[test]
fn every_command_is_well_formed_and_helps() {
    root().debug_assert();
    let mut all = BTreeSet::new();
    leaves(&root(), "", &mut all);
    for name in all {
        let words = std::iter::once("kubectl").chain(name.split(' ')).chain(["--help"]);
        let error = root().try_get_matches_from(words).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{name}: {error}");
    }
}

#[test]
fn every_command_has_a_line() {
    let mut all = BTreeSet::new();
    leaves(&root(), "", &mut all);
    let missing: Vec<&String> = all
        .iter()
        .filter(|name| !LINES.iter().any(|line| format!("{line} ").starts_with(&format!("{name} "))))
        .collect();
    assert!(missing.is_empty(), "no line in LINES for {missing:?}");
}

#[test]
fn commands_are_in_the_order_of_their_names() {
    let names: Vec<String> = COMMANDS.iter().map(|entry| (entry.build)().get_name().to_owned()).collect();
    assert!(names.is_sorted(), "{names:?}");
}

/// Runs every line; a flag that is looked up and not declared panics in debug builds, which tests are.
#[tokio::test]
async fn no_command_panics() {
    let folder = tempfile::tempdir().unwrap();
    let pod = folder.path().join("pod.yaml");
    std::fs::write(&pod, r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}"#).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(serve(listener));
    for line in LINES {
        let config = folder.path().join("config");
        std::fs::write(&config, kubeconfig(&server)).unwrap();
        let given = line.replace("{pod}", &pod.display().to_string());
        let words = std::iter::once("kubectl".to_owned()).chain(given.split(' ').map(str::to_owned));
        let words = words.chain([format!("--kubeconfig={}", config.display())]).map(OsString::from);
        // Words after `--` belong to the container.
        let words: Vec<OsString> = match line.split_once(" -- ") {
            None => words.collect(),
            Some((head, tail)) => std::iter::once("kubectl".to_owned())
                .chain([format!("--kubeconfig={}", config.display())])
                .chain(head.split(' ').chain(["--"]).chain(tail.split(' ')).map(str::to_owned))
                .map(OsString::from)
                .collect(),
        };
        let matches = root().try_get_matches_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        // How a command ends is not the question here.
        let _ = dispatch(&matches).await;
    }
    serving.abort();
}

fn kubeconfig(server: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{{"name": "c", "cluster": {{"server": "{server}"}}}}, {{"name": "x", "cluster": {{}}}}],
        "contexts": [{{"name": "c", "context": {{"cluster": "c", "user": "u"}}}}, {{"name": "x", "context": {{}}}}],
        "users": [{{"name": "u", "user": {{}}}}, {{"name": "x", "user": {{}}}}]}}"#
    )
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that hangs up early is served all the same.
        tokio::spawn(answer(stream));
    }
}

/// One request for each connection.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    let head = loop {
        if let Some(at) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut chunk).await? {
            0 => return Ok(()),
            count => request.extend_from_slice(&chunk[..count]),
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
    while request.len() < head + 4 + length {
        match stream.read(&mut chunk).await? {
            0 => break,
            count => request.extend_from_slice(&chunk[..count]),
        }
    }
    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let (code, body) = reply(&target);
    let head = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

const NOT_FOUND: &str =
    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"not found"}"#;

/// Discovery, one object of any kind called `web`, empty lists, and watches that end with an error.
fn reply(target: &str) -> (u16, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if query.contains("watch=true") {
        return (200, format!("{{\"type\":\"ERROR\",\"object\":{NOT_FOUND}}}\n"));
    }
    match path {
        "/api" => (200, r#"{"kind":"APIVersions","versions":["v1"]}"#.into()),
        "/apis" => {
            let groups = [
                "apps",
                "autoscaling",
                "policy",
                "discovery.k8s.io",
                "authorization.k8s.io",
                "authentication.k8s.io",
                "batch",
            ];
            let group = |name: &str| format!(r#"{{"name":"{name}","versions":[{{"groupVersion":"{name}/v1"}}]}}"#);
            (200, format!(r#"{{"kind":"APIGroupList","groups":[{}]}}"#, groups.map(group).join(",")))
        }
        "/api/v1" => (
            200,
            resources("v1", &["Pod", "Service", "Node", "Secret", "ConfigMap", "ServiceAccount", "Event", "Namespace"]),
        ),
        "/apis/apps/v1" => (200, resources("apps/v1", &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"])),
        _ if path.starts_with("/apis/") && path.matches('/').count() == 3 => (200, resources(&path[6..], &[])),
        _ if path.contains("missing") || path.ends_with("/exec") || path.ends_with("/attach") => {
            (404, NOT_FOUND.into())
        }
        _ if path.ends_with('s') => {
            (200, r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#.into())
        }
        _ => (200, WEB.into()),
    }
}

const WEB: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","uid":"u","resourceVersion":"1"},
    "spec":{"containers":[{"name":"web","image":"i"}],"selector":{"matchLabels":{"a":"b"}},
    "template":{"spec":{"containers":[{"name":"web","image":"i"}]}}},
    "status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;

fn resources(version: &str, kinds: &[&str]) -> String {
    let one = |kind: &&str| {
        let lower = kind.to_lowercase();
        let namespaced = !matches!(*kind, "Node" | "Namespace");
        format!(
            r#"{{"name":"{lower}s","singularName":"{lower}","namespaced":{namespaced},"kind":"{kind}","verbs":["get","list","create","delete"]}}"#
        )
    };
    let all: Vec<String> = kinds.iter().map(one).collect();
    format!(r#"{{"kind":"APIResourceList","groupVersion":"{version}","resources":[{}]}}"#, all.join(","))
}
