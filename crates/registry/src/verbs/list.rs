//! LIST: a pointer copy of the collection at one revision, filtered and cut into pages.

use std::sync::Arc;

use api::Kind;
use machinery::field::{Path, Problems};
use machinery::object::Object;
use machinery::request::{Answer, Content, List, Request, RevisionMatch};
use machinery::status::Status;

use super::get::{answer, parse_revision, presented};
use crate::cache::Objects;
use crate::select::Selection;
use crate::token::Token;
use crate::{Registry, errors, keys};

const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. \
     You can start a new list without the continue parameter, or use the continue token in this response to retrieve \
     the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that \
     were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
const LIST_TOO_OLD: &str = "The resourceVersion for the provided list is too old.";

/// The objects to list, where to start, and how many.
struct Source {
    objects: Objects,
    revision: u64,
    start: Option<String>,
    limit: usize,
}

impl Registry {
    pub(crate) async fn list(&self, kind: &'static Kind, request: &Request) -> Result<Answer, Status> {
        check_options(request)?;
        let selection = Selection::of(kind, request)?;
        let source = self.source(kind, request, &selection).await?;
        let (items, more) = page(&source, &selection);
        let items = match kind.stored_as {
            None => items,
            Some(_) => items.iter().map(|object| presented(kind, object)).collect(),
        };
        let (continue_token, remaining) = more.map_or_else(Default::default, |more| {
            let start = relative(&more.last, &selection.namespace);
            let token = Token { revision: Some(source.revision), start: format!("{start}\0") };
            (token.encode(), more.remaining)
        });
        let list = List {
            kind: kind.list_kind(),
            api_version: kind.api_version(),
            revision: source.revision,
            continue_token,
            remaining,
            items,
        };
        Ok(answer(200, Content::List(list)))
    }

    async fn source(&self, kind: &Kind, request: &Request, selection: &Selection) -> Result<Source, Status> {
        let options = &request.options;
        let collection = keys::collection(kind);
        let limit = options.limit.filter(|n| *n > 0).map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if !options.continue_token.is_empty() {
            if !matches!(options.resource_version.as_str(), "" | "0") {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            let token = Token::decode(&options.continue_token)?;
            let start = Some(absolute(&token.start, &selection.namespace));
            let (objects, revision) = match token.revision {
                Some(revision) => {
                    let newest = Token { revision: None, start: token.start };
                    let past = self.past(&collection, revision, CONTINUE_TOO_OLD).await;
                    let go_on = |status: Status| match status.is_expired() {
                        true => Status { continue_token: newest.encode(), ..status },
                        false => status,
                    };
                    (past.map_err(go_on)?, revision)
                }
                None => self.cache.snapshot(&collection),
            };
            return Ok(Source { objects, revision, start, limit });
        }
        let exact = options.resource_version_match == Some(RevisionMatch::Exact)
            || (options.resource_version_match.is_none() && limit != usize::MAX);
        if exact && !matches!(options.resource_version.as_str(), "" | "0") {
            let revision = parse_revision(&options.resource_version)?;
            let objects = self.past(&collection, revision, LIST_TOO_OLD).await?;
            return Ok(Source { objects, revision, start: None, limit });
        }
        self.fresh(&options.resource_version).await?;
        let (objects, revision) = self.cache.snapshot(&collection);
        // As upstream's cache does, a list at "any" revision is never cut.
        let limit = if options.resource_version == "0" { usize::MAX } else { limit };
        Ok(Source { objects, revision, start: None, limit })
    }

    async fn past(&self, collection: &str, revision: u64, too_old: &str) -> Result<Objects, Status> {
        self.reach(revision).await?;
        self.cache.read().objects_at(collection, revision).map_err(|_| Status::expired(too_old))
    }
}

struct More {
    last: Arc<str>,
    remaining: Option<u64>,
}

/// The selected objects up to the limit; what comes after, when there is more.
fn page(source: &Source, selection: &Selection) -> (Vec<Arc<Object>>, Option<More>) {
    if let Some(key) = selection.key() {
        let held = source.objects.get(key.as_str()).filter(|held| selection.matches(&key, held));
        return (held.into_iter().map(|held| held.object.clone()).collect(), None);
    }
    let span = keys::Span::new(&selection.namespace, source.start.as_deref());
    let mut range = source.objects.range::<_, str>(span.bounds());
    let everything = selection.is_everything();
    let mut items = Vec::new();
    let mut last = None;
    for (key, held) in range.by_ref() {
        if !everything && !selection.matches(key, held) {
            continue;
        }
        if items.len() == source.limit {
            let remaining = everything.then(|| 1 + range.count() as u64);
            return (items, last.map(|last| More { last, remaining }));
        }
        items.push(held.object.clone());
        last = Some(key.clone());
    }
    (items, None)
}

/// A key without the namespace that the request names anyway.
fn relative<'a>(key: &'a str, namespace: &str) -> &'a str {
    let rest = key.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('/'));
    if namespace.is_empty() { key } else { rest.unwrap_or(key) }
}

fn absolute(start: &str, namespace: &str) -> String {
    if namespace.is_empty() { start.to_owned() } else { format!("{namespace}/{start}") }
}

/// The combinations of list options that upstream refuses.
fn check_options(request: &Request) -> Result<(), Status> {
    let options = &request.options;
    let (mut problems, at) = (Problems::default(), Path::new("resourceVersionMatch"));
    if let Some(how) = options.resource_version_match {
        if options.resource_version.is_empty() {
            problems.forbidden(&at, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !options.continue_token.is_empty() {
            problems.forbidden(&at, "resourceVersionMatch is forbidden when continue is provided");
        }
        if how == RevisionMatch::Exact && options.resource_version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            problems.forbidden(&at, why);
        }
    }
    if options.send_initial_events.is_some() {
        let at = Path::new("sendInitialEvents");
        problems.forbidden(&at, "sendInitialEvents is forbidden for list");
    }
    errors::options("ListOptions", &problems)
}
