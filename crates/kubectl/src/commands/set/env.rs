//! `kubectl set env`: variables of containers, set, taken from a ConfigMap or Secret, removed or listed.

use clap::{ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::{fitting, pod_spec, shared, split, write};
use crate::failure::{Result, error};
use crate::flags;
use crate::select::{self, Found};
use crate::session::Session;

pub fn build() -> Command {
    shared(Command::new("env").about("Update environment variables on a pod template."))
        .arg(flags::text("containers", "The names of containers in the selected pod templates to change - may use wildcards").short('c').default_value("*"))
        .arg(flags::text("from", "The name of a resource from which to inject environment variables"))
        .arg(flags::text("prefix", "Prefix to append to variable names"))
        .arg(flags::text("env", "Specify a key-value pair for an environment variable to set into each container.").short('e').action(ArgAction::Append))
        .arg(flags::text("keys", "Comma-separated list of keys to import from specified resource").value_delimiter(','))
        .arg(flags::switch("list", "If true, display the environment and any changes in the standard format."))
        .arg(flags::switch("overwrite", "If true, allow environment to be overwritten, otherwise reject updates that overwrite existing environment.").default_value("true"))
}

/// What is to be changed.
#[derive(Default)]
struct Changes {
    set: Vec<Value>,
    removed: Vec<String>,
}

pub async fn run(matches: &ArgMatches) -> Result {
    let words = flags::all(matches, "resources");
    let (names, words) = split(&words, |word| word.contains('=') || word.ends_with('-'))?;
    if names.is_empty() && flags::all(matches, "filename").is_empty() {
        return error("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    }
    if !flags::all(matches, "keys").is_empty() && flags::of(matches, "from").is_empty() {
        return error("when specifying --keys, a configmap or secret must be provided with --from");
    }
    let session = Session::open(matches).await?;
    let mut changes = parse(&[flags::all(matches, "env"), words].concat())?;
    changes.set.extend(imported(&session, matches).await?);
    let prefix = flags::of(matches, "prefix");
    for variable in &mut changes.set {
        variable["name"] = format!("{prefix}{}", variable["name"].as_str().unwrap_or_default()).into();
    }
    for found in select::chosen(&session, matches, &names).await? {
        change(&session, matches, &found, &changes).await?;
    }
    Ok(())
}

/// `KEY=value`, `KEY-`, and `-` for lines of standard input.
fn parse(words: &[&str]) -> Result<Changes> {
    let mut changes = Changes::default();
    for word in words {
        if *word == "-" {
            for line in std::io::stdin().lines() {
                let line = line?;
                let line = line.split('#').next().unwrap_or_default();
                changes.set.extend(line.split_once('=').map(|(name, value)| json!({"name": name, "value": value})));
            }
        } else if let Some((name, value)) = word.split_once('=') {
            let is_letter = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if name.is_empty() || !name.chars().all(is_letter) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return error(format!(
                    "\"{name}\" is not a valid key name: a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')"
                ));
            }
            changes.set.push(json!({"name": name, "value": value}));
        } else if let Some(name) = word.strip_suffix('-') {
            changes.removed.push(name.to_owned());
        } else {
            return error(format!("unknown environment variable: {word}"));
        }
    }
    if changes.removed.iter().any(|removed| changes.set.iter().any(|set| set["name"] == removed.as_str())) {
        return error("can not both modify and remove the same environment variable in the same command");
    }
    Ok(changes)
}

/// A variable for each key of the ConfigMap or Secret of `--from`.
async fn imported(session: &Session, matches: &ArgMatches) -> Result<Vec<Value>> {
    let from = flags::of(matches, "from");
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = flags::all(matches, "keys");
    let mut variables = Vec::new();
    for named in select::words(session, &[from]).await? {
        let source = match named.served.kind.as_str() {
            "ConfigMap" => "configMapKeyRef",
            "Secret" => "secretKeyRef",
            _ => return error("unsupported resource specified in --from"),
        };
        for name in &named.names {
            let object = session.client.dynamic(named.served.resource()).get(&session.namespace, name).await?;
            let tree = object.tree();
            let keys = tree["data"].as_object().into_iter().flatten().map(|(key, _)| key);
            for key in keys.filter(|key| wanted.is_empty() || wanted.contains(&key.as_str())) {
                let variable = key.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_");
                if variable != *key {
                    eprintln!("Warning: key {key} transferred to {variable}");
                }
                let mut reference = json!({});
                reference[source] = json!({"key": key, "name": name});
                variables.push(json!({"name": variable, "valueFrom": reference}));
            }
        }
    }
    Ok(variables)
}

async fn change(session: &Session, matches: &ArgMatches, found: &Found, changes: &Changes) -> Result {
    let mut after = Value::clone(&found.object.tree());
    let Some(spec) = pod_spec(found, &mut after) else {
        return error(format!("{} the object is not a pod or does not have a pod template", found.reference()));
    };
    let pattern = flags::of(matches, "containers");
    let containers = fitting(spec, pattern);
    if containers.is_empty() {
        eprintln!("Warning: {}/{} does not have any containers matching {pattern:?}", found.served.kind, found.name());
        return Ok(());
    }
    let (is_list, may_overwrite) = (flags::is_set(matches, "list"), flags::is_set(matches, "overwrite"));
    for container in containers {
        let mut held = container["env"].as_array().cloned().unwrap_or_default();
        update(&mut held, changes, may_overwrite)?;
        if is_list {
            println!(
                "# {} {}, container {}",
                found.served.kind,
                found.name(),
                container["name"].as_str().unwrap_or_default()
            );
            held.iter().for_each(|variable| println!("{}", listed(variable)));
        }
        match (held.is_empty(), container.as_object_mut()) {
            (true, Some(container)) => {
                container.remove("env");
            }
            _ => container["env"] = held.into(),
        }
    }
    if is_list {
        return Ok(());
    }
    write(session, matches, found, &after, "env updated", "failed to patch env update to pod template:").await
}

fn update(held: &mut Vec<Value>, changes: &Changes, may_overwrite: bool) -> Result {
    for variable in &changes.set {
        match held.iter_mut().find(|known| known["name"] == variable["name"]) {
            Some(known) if !may_overwrite && known["value"] != variable["value"] => {
                let text = |field: &str| known[field].as_str().unwrap_or_default();
                return error(format!(
                    "'{}' already has a value ({}), and --overwrite is false",
                    text("name"),
                    text("value")
                ));
            }
            Some(known) => *known = variable.clone(),
            None => held.push(variable.clone()),
        }
    }
    held.retain(|variable| !changes.removed.iter().any(|removed| variable["name"] == removed.as_str()));
    Ok(())
}

fn listed(variable: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, from) = (text(&variable["name"]), &variable["valueFrom"]);
    let (map, secret, field) = (&from["configMapKeyRef"], &from["secretKeyRef"], &from["fieldRef"]);
    let amount = &from["resourceFieldRef"];
    if !map.is_null() {
        return format!("# {name} from configmap {}, key {}", text(&map["name"]), text(&map["key"]));
    }
    if !secret.is_null() {
        return format!("# {name} from secret {}, key {}", text(&secret["name"]), text(&secret["key"]));
    }
    if !field.is_null() {
        return format!("# {name} from field path {}", text(&field["fieldPath"]));
    }
    if !amount.is_null() {
        return format!("# {name} from resource field {}", text(&amount["resource"]));
    }
    format!("{name}={}", text(&variable["value"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_in_place_and_removed() {
        let changes = parse(&["A=1", "B-", "C=x=y"]).unwrap();
        let mut held = vec![json!({"name": "A", "value": "0"}), json!({"name": "B", "value": "0"})];
        update(&mut held, &changes, true).unwrap();
        assert_eq!(held, [json!({"name": "A", "value": "1"}), json!({"name": "C", "value": "x=y"})]);
        assert!(update(&mut held, &parse(&["A=2"]).unwrap(), false).is_err());
        assert!(parse(&["A=1", "A-"]).is_err());
    }
}
