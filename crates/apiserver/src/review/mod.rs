//! Kinds that are questions: access reviews, token reviews and token requests. Answered here, never stored.
//!
//! The registry asks through [`registry::Virtual`], after admission; the table [`QUESTIONS`] says who answers what.

mod access;
mod components;
mod token;
mod token_request;

use std::sync::{Arc, Weak};

use api::Kind;
use futures::future::BoxFuture;
use machinery::field::Problems;
use machinery::identity::User;
use machinery::request::{Answer, Body, Content, FieldValidation, Request};
use machinery::schema;
use machinery::status::Status;
use registry::Virtual;
use serde_json::{Value, json};

use crate::front::Front;

#[derive(Clone, Copy)]
enum Question {
    TokenReview,
    SelfSubjectReview,
    SubjectAccess,
    LocalSubjectAccess,
    SelfSubjectAccess,
    SelfSubjectRules,
    TokenRequest,
    Components,
}

/// Group, resource, subresource, and what is asked there.
const QUESTIONS: &[(&str, &str, &str, Question)] = &[
    ("authentication.k8s.io", "tokenreviews", "", Question::TokenReview),
    ("authentication.k8s.io", "selfsubjectreviews", "", Question::SelfSubjectReview),
    ("authorization.k8s.io", "subjectaccessreviews", "", Question::SubjectAccess),
    ("authorization.k8s.io", "localsubjectaccessreviews", "", Question::LocalSubjectAccess),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "", Question::SelfSubjectAccess),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "", Question::SelfSubjectRules),
    ("", "serviceaccounts", "token", Question::TokenRequest),
    ("", "componentstatuses", "", Question::Components),
];

/// Has the registry ask this front. It holds the front weakly: the front holds the registry.
pub fn register(front: &Arc<Front>) {
    for (group, resource, subresource, question) in QUESTIONS {
        let reviewer = Reviewer { front: Arc::downgrade(front), question: *question };
        front.registry().serve(group, resource, subresource, Arc::new(reviewer));
    }
}

struct Reviewer {
    front: Weak<Front>,
    question: Question,
}

impl Virtual for Reviewer {
    fn call<'a>(&'a self, user: &'a User, request: &'a Request) -> BoxFuture<'a, Result<Answer, Status>> {
        Box::pin(async move {
            let front = self.front.upgrade().ok_or_else(|| Status::unavailable("the server is shutting down"))?;
            if matches!(self.question, Question::Components) {
                return components::answer(&front, request).await;
            }
            let (tree, warnings) = self.answer(&front, user, request).await?;
            Ok(Answer { code: 201, warnings, content: Content::Tree(Arc::new(tree)) })
        })
    }
}

impl Reviewer {
    async fn answer(&self, front: &Front, user: &User, request: &Request) -> Answered {
        match self.question {
            Question::TokenReview => token::review(front, request).await,
            Question::SelfSubjectReview => token::myself(front, user, request),
            Question::SubjectAccess | Question::LocalSubjectAccess => access::subject(front, request).await,
            Question::SelfSubjectAccess => access::myself(front, user, request).await,
            Question::SelfSubjectRules => access::my_rules(front, user, request),
            Question::TokenRequest => token_request::answer(front, request).await,
            Question::Components => Err(Status::method_not_allowed()),
        }
    }
}

/// The answered tree, and warnings.
type Answered = Result<(Value, Vec<String>), Status>;

/// The request's body, decoded strictly as the kind, defaulted, and with an empty status.
///
/// # Errors
/// 400 in upstream's words: not JSON, wrong types, another kind, unknown fields under `Strict`.
fn body(request: &Request, kind: &Kind) -> Result<(Value, Vec<String>), Status> {
    let missing = || Status::internal(format!("no schema {}", kind.definition));
    let schema = api::schemas().get(kind.definition).ok_or_else(missing)?;
    let (mut tree, unknown) = match &request.body {
        Body::None => schema::decode(schema, b"")?,
        Body::Json(bytes) => schema::decode(schema, bytes)?,
        Body::Tree(tree) => schema::check(schema, tree.clone())?,
    };
    let want = kind.api_version();
    let (said_kind, said_version) = (text(&tree["kind"]), text(&tree["apiVersion"]));
    if !said_kind.is_empty() && said_kind != kind.kind {
        let version = said_version.rsplit('/').next().unwrap_or_default();
        let why = format!("converting ({said_version}.{said_kind}) to ({want}.{}): unknown conversion", kind.kind);
        return Err(Status::bad_request(format!(
            "{said_kind} in version {version:?} cannot be handled as a {}: {why}",
            kind.kind
        )));
    }
    if !said_version.is_empty() && said_version != want {
        return Err(Status::bad_request(format!(
            "the API version in the data ({said_version}) does not match the expected API version ({want})"
        )));
    }
    let how = request.options.field_validation;
    if how == FieldValidation::Strict && !unknown.is_empty() {
        return Err(schema::strict_error(schema, &unknown));
    }
    tree["kind"] = kind.kind.into();
    tree["apiVersion"] = want.into();
    if !tree["metadata"].is_object() {
        tree["metadata"] = json!({});
    }
    (kind.set_defaults)(&mut tree);
    let wanted = how == FieldValidation::Warn;
    Ok((tree, unknown.iter().filter(|_| wanted).map(ToString::to_string).collect()))
}

/// The kind's own rules.
///
/// # Errors
/// 422 with all that is wrong.
fn validate(kind: &Kind, tree: &Value) -> Result<(), Status> {
    let mut problems = Problems::default();
    (kind.validate)(tree, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(Status::invalid(kind.group, kind.kind, "", &problems)) }
}

/// The kind that is posted to this resource.
fn kind_of(request: &Request) -> Result<&'static Kind, Status> {
    api::by_plural(&request.group, &request.version, &request.resource).ok_or_else(Status::no_such_resource)
}

/// A user as `status.user` and `status.userInfo` show it.
fn user_tree(user: &User) -> Value {
    let mut tree = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        tree["uid"] = user.uid.clone().into();
    }
    if !user.extra.is_empty() {
        tree["extra"] = json!(user.extra);
    }
    tree
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| Some(v.as_str()?.to_owned())).collect()
}
