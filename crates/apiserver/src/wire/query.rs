//! Query parameters as the options of a verb.
//!
//! Unknown parameters are ignored, wrong values are refused in upstream's words.

use http::HeaderMap;
use http::header::USER_AGENT;
use machinery::field::{Path, Problems, Wrong};
use machinery::request::{FieldValidation, Options, PatchKind, Propagation, RevisionMatch, Verb};
use machinery::status::Status;
use serde_json::{Value, json};

use super::path::percent_decoded;

const FIELD_MANAGER_CHARS_MAX: usize = 128;

/// The pairs of a query string, in order, decoded.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decoded(k), decoded(v)))
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Everything but absence, `false` and `0` is true.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| v != "0" && !v.eq_ignore_ascii_case("false"))
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 as Go's strconv puts it.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(text) = self.get(name).filter(|t| !t.is_empty()) else { return Ok(None) };
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        text.parse().map(Some).map_err(|_| {
            let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let why = if all_digits { "value out of range" } else { "invalid syntax" };
            Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
        })
    }
}

/// The options of a verb from the query; a delete's body is read elsewhere.
///
/// # Errors
/// 400 for what is not a number, 422 for what is not one of the values allowed.
pub fn options(query: &Query, verb: Verb, headers: &HeaderMap) -> Result<Options, Status> {
    let mut options = Options::default();
    let mut problems = Problems::default();
    if matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection) {
        list_options(query, &mut options, &mut problems)?;
        if !problems.is_empty() {
            return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &problems));
        }
    }
    if verb == Verb::Get {
        options.resource_version = query.text("resourceVersion");
    }
    let kind = match verb {
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        Verb::Patch(_) => "PatchOptions",
        Verb::Delete | Verb::DeleteCollection => "DeleteOptions",
        Verb::Get | Verb::List | Verb::Watch | Verb::Connect => return Ok(options),
    };
    let dry_run: Vec<&str> = query.all("dryRun").collect();
    options.dry_run = self::dry_run(&dry_run, &mut problems);
    if kind == "DeleteOptions" {
        options.grace_period_seconds = query.number("gracePeriodSeconds")?;
        let orphan = query.get("orphanDependents").map(|_| query.flag("orphanDependents"));
        options.propagation = propagation(query.get("propagationPolicy"), orphan, &mut problems);
        options.ignore_store_read_error = query.flag("ignoreStoreReadErrorWithClusterBreakingPotential");
    } else {
        write_options(query, verb, headers, &mut options, &mut problems);
    }
    if problems.is_empty() { Ok(options) } else { Err(Status::invalid("meta.k8s.io", kind, "", &problems)) }
}

fn list_options(query: &Query, options: &mut Options, problems: &mut Problems) -> Result<(), Status> {
    options.label_selector = query.text("labelSelector");
    options.field_selector = query.text("fieldSelector");
    options.limit = query.number("limit")?.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    options.continue_token = query.text("continue");
    options.resource_version = query.text("resourceVersion");
    options.timeout_seconds = query.number("timeoutSeconds")?.and_then(|n| u64::try_from(n).ok());
    options.allow_watch_bookmarks = query.flag("allowWatchBookmarks");
    options.send_initial_events = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
    options.resource_version_match = match query.get("resourceVersionMatch") {
        None | Some("") => None,
        Some("Exact") => Some(RevisionMatch::Exact),
        Some("NotOlderThan") => Some(RevisionMatch::NotOlderThan),
        Some(other) => {
            let supported: &[&str] =
                if query.flag("watch") { &["NotOlderThan"] } else { &["Exact", "NotOlderThan", ""] };
            problems.not_supported(&Path::new("resourceVersionMatch"), other, supported);
            None
        }
    };
    Ok(())
}

fn write_options(query: &Query, verb: Verb, headers: &HeaderMap, options: &mut Options, problems: &mut Problems) {
    options.field_manager = query.text("fieldManager");
    let path = Path::new("fieldManager");
    if verb == Verb::Patch(PatchKind::Apply) {
        options.force = query.flag("force");
        if options.field_manager.is_empty() {
            problems.required(&path, "is required for apply patch");
        }
    } else if matches!(verb, Verb::Patch(_)) && query.get("force").is_some() {
        problems.forbidden(&Path::new("force"), "may not be specified for non-apply patch");
    }
    if options.field_manager.len() > FIELD_MANAGER_CHARS_MAX {
        problems.add(&path, Wrong::TooLong { max: FIELD_MANAGER_CHARS_MAX }, "");
    }
    if let Some((at, odd)) = options.field_manager.char_indices().find(|(_, c)| c.is_control()) {
        let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(odd));
        problems.invalid(&path, options.field_manager.as_str(), detail);
    }
    if options.field_manager.is_empty() {
        options.field_manager = agent(headers);
    }
    options.field_validation = match query.get("fieldValidation").unwrap_or_default() {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            problems.not_supported(&Path::new("fieldValidation"), other, &["", "Ignore", "Strict", "Warn"]);
            FieldValidation::Warn
        }
    };
}

/// A client that names no field manager is known by its program: `kubectl` of `kubectl/v1.32 …`.
fn agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let name = agent.split('/').next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(FIELD_MANAGER_CHARS_MAX).collect()
}

fn dry_run(values: &[&str], problems: &mut Problems) -> bool {
    if values.iter().any(|v| *v != "All") {
        problems.not_supported(&Path::new("dryRun"), json!(values), &["All"]);
    }
    !values.is_empty()
}

fn propagation(policy: Option<&str>, orphan: Option<bool>, problems: &mut Problems) -> Option<Propagation> {
    let path = Path::new("propagationPolicy");
    if let (Some(policy), Some(_)) = (policy, orphan) {
        problems.invalid(&path, policy, "orphanDependents and deletionPropagation cannot be both set");
    }
    match (policy, orphan) {
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some(other), _) => {
            problems.not_supported(&path, other, &["Foreground", "Background", "Orphan", "nil"]);
            None
        }
        (None, None) => None,
    }
}

/// Options from a delete's body, which replaces those of the query.
///
/// # Errors
/// 400 for wrong types, 422 for values that are not allowed.
pub fn delete_body(body: &Value, options: &mut Options) -> Result<(), Status> {
    let mut problems = Problems::default();
    let wrong = |field: &str, want: &str| {
        Status::bad_request(format!(
            "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: {field} is not {want}"
        ))
    };
    let text = |value: &Value, field: &str| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(wrong(field, "a string")),
    };
    let Some(_) = body.as_object() else { return Err(wrong("the body", "an object")) };
    if let Some(kind) = body["kind"].as_str().filter(|k| !k.is_empty() && *k != "DeleteOptions") {
        return Err(Status::bad_request(format!("{kind} cannot be handled as a DeleteOptions")));
    }
    options.grace_period_seconds = match &body["gracePeriodSeconds"] {
        Value::Null => None,
        value => Some(value.as_i64().ok_or_else(|| wrong("gracePeriodSeconds", "a number"))?),
    };
    let policy = text(&body["propagationPolicy"], "propagationPolicy")?;
    options.propagation = propagation(policy.as_deref(), body["orphanDependents"].as_bool(), &mut problems);
    let dry: Vec<&str> = body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    options.dry_run = dry_run(&dry, &mut problems);
    options.precondition_uid = text(&body["preconditions"]["uid"], "preconditions.uid")?;
    options.precondition_revision = text(&body["preconditions"]["resourceVersion"], "preconditions.resourceVersion")?;
    let ignore = &body["ignoreStoreReadErrorWithClusterBreakingPotential"];
    options.ignore_store_read_error = ignore.as_bool().unwrap_or(false);
    if problems.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, verb: Verb) -> Result<Options, Status> {
        options(&Query::parse(Some(query)), verb, &HeaderMap::new())
    }

    #[test]
    fn values_are_read_as_upstream_reads_them() {
        let o = read("labelSelector=a%3Db%2Cc&limit=5&allowWatchBookmarks=&unknown=1", Verb::List).unwrap();
        assert_eq!((o.label_selector.as_str(), o.limit, o.allow_watch_bookmarks), ("a=b,c", Some(5), true));
        let status = read("limit=x", Verb::List).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (400, "strconv.ParseInt: parsing \"x\": invalid syntax"));
        let status = read("dryRun=None", Verb::Create).unwrap_err();
        assert_eq!(
            status.message,
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"None\"]: supported values: \"All\""
        );
        assert_eq!(read("", Verb::Patch(PatchKind::Apply)).unwrap_err().code, 422);
        assert_eq!(
            read("propagationPolicy=Foreground", Verb::Delete).unwrap().propagation,
            Some(Propagation::Foreground)
        );
    }

    #[test]
    fn a_body_says_how_to_delete() {
        let mut options = Options::default();
        let body = json!({"kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}});
        delete_body(&body, &mut options).unwrap();
        assert_eq!((options.grace_period_seconds, options.precondition_uid.as_deref()), (Some(0), Some("u")));
        assert_eq!(delete_body(&json!({"gracePeriodSeconds": "0"}), &mut options).unwrap_err().code, 400);
    }
}
