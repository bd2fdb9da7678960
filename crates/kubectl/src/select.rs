//! What a command line names: `pods`, `pod a b`, `pod/a svc/b`, `all`, a selector, or files.

use clap::ArgMatches;
use client::Options;
use machinery::object::Object;
use machinery::request::List;
use machinery::status::Status;
use std::sync::Arc;

use crate::discovery::Served;
use crate::failure::{Failure, Result, error};
use crate::session::Session;
use crate::{files, flags};

/// What is said when neither words nor files name anything.
pub const NOTHING_NAMED: &str = "You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'";

/// What is said where all objects of a type would be meant and nobody said so.
pub const NO_NAME: &str = "resource(s) were provided, but no name was specified";

/// One resource with the names asked for; no names mean all of them.
#[derive(Clone, Debug)]
pub struct Named {
    pub served: Served,
    pub names: Vec<String>,
}

/// An object that is there.
#[derive(Clone, Debug)]
pub struct Found {
    pub served: Served,
    pub object: Arc<Object>,
}

impl Found {
    pub fn name(&self) -> String {
        machinery::meta::name(&self.object.tree()).to_owned()
    }

    pub fn namespace(&self) -> String {
        machinery::meta::namespace(&self.object.tree()).to_owned()
    }

    /// `deployment.apps/nginx`.
    pub fn reference(&self) -> String {
        format!("{}/{}", self.served.singular_qualified(), self.name())
    }
}

/// Resolves `TYPE NAME…` and `TYPE/NAME…` words.
///
/// # Errors
/// Unknown resource types, and both forms mixed.
pub async fn words(session: &Session, words: &[&str]) -> Result<Vec<Named>> {
    let discovery = session.discovery().await?;
    let slashed = words.iter().filter(|word| word.contains('/')).count();
    if slashed == 0 {
        let Some((types, names)) = words.split_first() else { return Ok(Vec::new()) };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut found = Vec::new();
        for word in types.split(',').filter(|word| !word.is_empty()) {
            let category = discovery.category(word);
            if category.is_empty() {
                found.push(Named { served: discovery.find(word)?.clone(), names: names.clone() });
            } else {
                found.extend(category.into_iter().map(|s| Named { served: s.clone(), names: names.clone() }));
            }
        }
        return Ok(found);
    }
    if slashed != words.len() {
        return error(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'",
        );
    }
    let mut found: Vec<Named> = Vec::new();
    for word in words {
        let (kind, name) = word.split_once('/').unwrap_or((word, ""));
        if kind.is_empty() || name.is_empty() || name.contains('/') {
            return error("arguments in resource/name form may not have more than one slash");
        }
        let served = discovery.find(kind)?;
        match found.last_mut() {
            Some(last) if last.served == *served => last.names.push(name.into()),
            _ => found.push(Named { served: served.clone(), names: vec![name.into()] }),
        }
    }
    Ok(found)
}

/// The objects that words, selectors and files of a command line name, as they are on the server now.
///
/// # Errors
/// Nothing is named; or an object is not there (after all others were found).
pub async fn objects(session: &Session, matches: &ArgMatches) -> Result<Vec<Found>> {
    let words = flags::all(matches, "resources");
    agree(&words, is_selected(matches))?;
    chosen(session, matches, &words).await
}

/// Whether objects are chosen by what they are.
pub fn is_selected(matches: &ArgMatches) -> bool {
    ["selector", "field-selector"].iter().any(|flag| !flags::try_of(matches, flag).is_empty())
}

/// # Errors
/// Objects are named, and chosen in another way too.
pub fn agree(words: &[&str], is_selected: bool) -> Result {
    match words {
        _ if !is_selected => Ok(()),
        all if all.iter().any(|word| word.contains('/')) => {
            error("selectors and the all flag cannot be used when passing resource/name arguments")
        }
        [_, _, ..] => error("name cannot be provided when a selector is specified"),
        _ => Ok(()),
    }
}

/// As [`objects`], with the words that name resources already told from others.
///
/// # Errors
/// As [`objects`].
pub async fn chosen(session: &Session, matches: &ArgMatches, words: &[&str]) -> Result<Vec<Found>> {
    // Commands on nodes take no files.
    let given = matches.try_get_many::<String>("filename").ok().flatten();
    let filenames: Vec<&str> = given.into_iter().flatten().map(String::as_str).collect();
    if !filenames.is_empty() {
        return from_files(session, &filenames, flags::is_set(matches, "recursive")).await;
    }
    if words.is_empty() {
        return error(NOTHING_NAMED);
    }
    let selector = flags::try_of(matches, "selector");
    let everywhere = flags::try_is_set(matches, "all-namespaces");
    let fields = flags::try_of(matches, "field-selector");
    let options = Options { label_selector: selector.into(), field_selector: fields.into(), ..Options::default() };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for named in self::words(session, words).await? {
        let namespace = namespace(session, &named.served, everywhere);
        if named.names.is_empty() {
            let list = list(session, &named.served, &namespace, options.clone()).await?;
            let items = list.items.into_iter();
            found.extend(items.map(|object| Found { served: named.served.clone(), object }));
        }
        for name in &named.names {
            match session.client.dynamic(named.served.resource()).get(&namespace, name).await {
                Ok(object) => found.push(Found { served: named.served.clone(), object }),
                Err(status) => failures.push(Failure::Server(status)),
            }
        }
    }
    Failure::all(failures)?;
    Ok(found)
}

/// The namespace to ask in: none for cluster-scoped resources and across all.
pub fn namespace(session: &Session, served: &Served, everywhere: bool) -> String {
    if served.is_namespaced && !everywhere { session.namespace.clone() } else { String::new() }
}

/// A whole collection, page by page.
pub async fn list(session: &Session, served: &Served, namespace: &str, options: Options) -> Result<List> {
    const PAGE: u64 = 500;
    let resource = session.client.dynamic(served.resource());
    let mut options = Options { limit: Some(PAGE), ..options };
    let first = resource.list(namespace, options.clone()).await;
    let mut whole = first.map_err(|status| not_listed(status, served, &options))?;
    while !whole.continue_token.is_empty() {
        options.continue_token = std::mem::take(&mut whole.continue_token);
        let next = resource.list(namespace, options.clone()).await?;
        whole.items.extend(next.items);
        whole.continue_token = next.continue_token;
    }
    Ok(whole)
}

/// Upstream names what was asked for where the server says that it is wrong or not there.
pub fn not_listed(mut status: Status, served: &Served, options: &Options) -> Status {
    if !["BadRequest", "NotFound"].contains(&status.reason.as_str()) {
        return status;
    }
    let resource = format!("{}/{}, Resource={}", served.group, served.version, served.plural);
    let (labels, fields) = (&options.label_selector, &options.field_selector);
    status.message = if labels.is_empty() && fields.is_empty() {
        format!("Unable to list {resource:?}: {}", status.message)
    } else {
        format!(
            "Unable to find {resource:?} that match label selector {labels:?}, field selector {fields:?}: {}",
            status.message
        )
    };
    status
}

async fn from_files(session: &Session, names: &[&str], recursive: bool) -> Result<Vec<Found>> {
    let all = in_files(session, names, recursive).await?;
    all.into_iter().map(|(_, found)| found.map_err(Failure::Server)).collect()
}

/// What the objects of files are on the server now, each with the name of its file.
///
/// # Errors
/// A file cannot be read or holds a kind that the server does not know.
pub async fn in_files(
    session: &Session,
    names: &[&str],
    recursive: bool,
) -> Result<Vec<(String, std::result::Result<Found, Status>)>> {
    let discovery = session.discovery().await?;
    let mut found = Vec::new();
    for given in files::read(names, recursive).await? {
        let served =
            discovery.of_kind(machinery::meta::api_version(&given.tree), machinery::meta::kind(&given.tree))?;
        let namespace = namespace_of(session, served, &given.tree)?;
        let name = machinery::meta::name(&given.tree);
        let got = session.client.dynamic(served.resource()).get(&namespace, name).await;
        found.push((given.source, got.map(|object| Found { served: served.clone(), object })));
    }
    Ok(found)
}

/// Where an object of a file belongs.
///
/// # Errors
/// `-n` names another namespace than the object.
pub fn namespace_of(session: &Session, served: &Served, tree: &serde_json::Value) -> Result<String> {
    if !served.is_namespaced {
        return Ok(String::new());
    }
    let own = machinery::meta::namespace(tree);
    if own.is_empty() {
        return Ok(session.namespace.clone());
    }
    if session.is_namespace_given && own != session.namespace {
        return error(format!(
            "the namespace from the provided object \"{own}\" does not match the namespace \"{}\". You must pass '--namespace={own}' to perform this operation.",
            session.namespace
        ));
    }
    Ok(own.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_selectors_do_not_go_together() {
        let said = |words: &[&str]| agree(words, true).unwrap_err().to_string();
        assert_eq!(said(&["pods", "p"]), "error: name cannot be provided when a selector is specified");
        assert_eq!(
            said(&["pods/p"]),
            "error: selectors and the all flag cannot be used when passing resource/name arguments"
        );
        assert!(agree(&["pods,svc"], true).is_ok() && agree(&["pods", "p"], false).is_ok());
    }
}
