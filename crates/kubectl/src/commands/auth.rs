//! `kubectl auth can-i` and `auth whoami`: what the server says of us.

use clap::{Arg, ArgMatches, Command};
use machinery::request::Options;
use serde_json::{Value, json};

use super::Entry;
use super::describe::rbac;
use crate::failure::{Failure, Result, error};
use crate::print::table;
use crate::session::Session;
use crate::{flags, print};

pub const ENTRY: Entry = Entry { build, run: |matches| Box::pin(run(matches)) };

fn build() -> Command {
    Command::new("auth")
        .about("Inspect authorization.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("can-i")
                .about("Check whether an action is allowed.")
                .arg(Arg::new("verb").value_name("VERB"))
                .arg(Arg::new("what").value_name("TYPE | TYPE/NAME | NONRESOURCEURL"))
                .arg(Arg::new("name").value_name("NAME"))
                .arg(flags::all_namespaces())
                .arg(flags::text("subresource", "SubResource such as pod/log or deployment/scale"))
                .arg(flags::switch("list", "If true, prints all allowed actions."))
                .arg(flags::switch("no-headers", "If true, prints allowed actions without headers"))
                .arg(flags::switch("quiet", "If true, suppress output and just return the exit code.").short('q')),
        )
        .subcommand(
            Command::new("whoami")
                .about("Experimental: Check self subject attributes.")
                .arg(flags::output("Output format. One of: (json, yaml, jsonpath, …).")),
        )
}

async fn run(matches: &ArgMatches) -> Result {
    match matches.subcommand() {
        Some(("whoami", own)) => who_am_i(own).await,
        Some((_, own)) if flags::is_set(own, "list") => list(own).await,
        Some((_, own)) => can_i(own).await,
        None => Ok(()),
    }
}

/// Asks the server by creating a review; it is answered and kept nowhere.
async fn review(session: &Session, group: &str, kind: &str, spec: Value) -> Result<Value> {
    let resource = client::Resource::new(group, "v1", &format!("{}s", kind.to_lowercase()), kind);
    let tree = question(group, kind, spec);
    let answer = session.client.dynamic(resource).create("", tree, Options::default()).await?;
    Ok(Value::clone(&answer.tree()))
}

/// Some reviews ask nothing: the server warns of a `spec` that their kind does not have.
fn question(group: &str, kind: &str, spec: Value) -> Value {
    let mut tree = json!({"apiVersion": format!("{group}/v1"), "kind": kind});
    if !spec.is_null() {
        tree["spec"] = spec;
    }
    tree
}

async fn can_i(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let (verb, what) = (flags::of(matches, "verb"), flags::of(matches, "what"));
    if verb.is_empty() || what.is_empty() {
        return error(
            "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.",
        );
    }
    let spec = match what.strip_prefix('/') {
        Some(_) if !flags::of(matches, "subresource").is_empty() => {
            return error("--subresource can not be used with NonResourceURL");
        }
        Some(_) => json!({"nonResourceAttributes": {"verb": verb, "path": what}}),
        None => json!({"resourceAttributes": resource(&session, matches, verb, what).await?}),
    };
    let status = review(&session, "authorization.k8s.io", "SelfSubjectAccessReview", spec).await?["status"].take();
    let is_allowed = status["allowed"] == true;
    if !flags::is_set(matches, "quiet") {
        let text = |field: &str| match status[field].as_str().unwrap_or_default() {
            "" => String::new(),
            why => format!(" - {why}"),
        };
        match is_allowed {
            true => println!("yes"),
            false => println!("no{}{}", text("reason"), text("evaluationError")),
        }
    }
    if is_allowed { Ok(()) } else { Err(Failure::Exit(1)) }
}

/// The attributes of a question; names that the server does not serve are asked for as they are.
async fn resource(session: &Session, matches: &ArgMatches, verb: &str, what: &str) -> Result<Value> {
    let (word, name) = what.split_once('/').unwrap_or((what, flags::of(matches, "name")));
    let everywhere = flags::is_set(matches, "all-namespaces");
    let mut namespace = if everywhere { "" } else { session.namespace.as_str() };
    let (group, plural) = match session.discovery().await?.find(word) {
        Ok(served) => {
            if !served.is_namespaced && !everywhere {
                let group =
                    if served.group.is_empty() { String::new() } else { format!(" in group '{}'", served.group) };
                eprintln!("Warning: resource '{}' is not namespace scoped{group}\n", served.plural);
                namespace = "";
            }
            (served.group.clone(), served.plural.clone())
        }
        Err(_) => {
            let (plural, group) = word.split_once('.').unwrap_or((word, ""));
            if word != "*" {
                let group = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
                eprintln!("Warning: the server doesn't have a resource type '{plural}'{group}\n");
            }
            (group.to_owned(), plural.to_owned())
        }
    };
    let mut attributes =
        json!({"verb": verb, "group": group, "resource": plural, "namespace": namespace, "name": name});
    attributes["subresource"] = flags::of(matches, "subresource").into();
    Ok(attributes)
}

async fn list(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let spec = json!({"namespace": session.namespace});
    let status = review(&session, "authorization.k8s.io", "SelfSubjectRulesReview", spec).await?["status"].take();
    let lists = ["resourceRules", "nonResourceRules"].iter();
    let rules: Vec<Value> = lists.flat_map(|list| status[list].as_array().cloned().unwrap_or_default()).collect();
    let mut rows: Vec<Vec<String>> = rbac::rows(&rules.into()).into_iter().map(Vec::from).collect();
    if !flags::is_set(matches, "no-headers") {
        rows.insert(0, ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"].map(str::to_owned).to_vec());
    }
    if status["incomplete"] == true {
        let why = status["evaluationError"].as_str().unwrap_or_default();
        eprintln!("warning: the list may be incomplete: {why}");
    }
    print!("{}", table::aligned(&rows));
    Ok(())
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

async fn who_am_i(matches: &ArgMatches) -> Result {
    let session = Session::open(matches).await?;
    let answer = review(&session, "authentication.k8s.io", "SelfSubjectReview", Value::Null).await?;
    let format = print::Format::parse(flags::of(matches, "output"))?;
    if !format.is_table() {
        print!("{}", format.object(&answer)?);
        return Ok(());
    }
    let user = &answer["status"]["userInfo"];
    let mut rows = vec![vec!["ATTRIBUTE".to_owned(), "VALUE".to_owned()]];
    let mut put = |name: String, value: String| {
        if !value.is_empty() {
            rows.push(vec![name, value]);
        }
    };
    put("Username".into(), user["username"].as_str().unwrap_or_default().into());
    put("UID".into(), user["uid"].as_str().unwrap_or_default().into());
    let bracketed = |list: &Value| match texts(list) {
        none if none.is_empty() => String::new(),
        all => format!("[{}]", all.join(" ")),
    };
    put("Groups".into(), bracketed(&user["groups"]));
    for (key, values) in user["extra"].as_object().into_iter().flatten() {
        put(format!("Extra: {key}"), bracketed(values));
    }
    print!("{}", table::aligned(&rows));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_that_asks_nothing_has_no_spec() {
        assert_eq!(question("a", "A", Value::Null), json!({"apiVersion": "a/v1", "kind": "A"}));
        assert_eq!(question("a", "A", json!({}))["spec"], json!({}));
    }
}
