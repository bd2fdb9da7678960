//! TokenRequest: a service-account token bound to an audience, a time, and maybe a pod, Secret or node.

use jiff::{SignedDuration, Timestamp};
use machinery::field::{Path, Problems};
use machinery::request::Request;
use machinery::status::Status;
use serde_json::{Value, json};

use super::{Answered, body, text, texts, validate};
use crate::authn::{Bound, Claims, Reference};
use crate::front::Front;

const GROUP: &str = "authentication.k8s.io";
/// What kubelets ask for pods' projected tokens: it only warns at the end of the hour, and lasts a year.
const WARN_ONLY_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 24 * 365 * 3600;

pub async fn answer(front: &Front, request: &Request) -> Answered {
    let (namespace, name) = (request.namespace.as_str(), request.name.as_str());
    let kind = api::by_kind(GROUP, "v1", "TokenRequest").ok_or_else(Status::no_such_resource)?;
    let (mut tree, warnings) = body(request, kind)?;
    matches_path(&tree, "name", name, "must match the service account name if specified")?;
    matches_path(&tree, "namespace", namespace, "must match the service account namespace if specified")?;
    let account = front.authenticator.live().get("serviceaccounts", namespace, name).await?;
    let issuer = front.authenticator.issuer();
    if texts(&tree["spec"]["audiences"]).is_empty() {
        tree["spec"]["audiences"] = json!(issuer.audiences());
    }
    validate(kind, &tree)?;
    let seconds = tree["spec"]["expirationSeconds"].as_i64().unwrap_or_default();
    let now = front.registry().world().now();
    let mut claims = Claims {
        aud: texts(&tree["spec"]["audiences"]),
        iat: Some(now.as_second()),
        nbf: Some(now.as_second()),
        iss: issuer.name().to_owned(),
        jti: front.registry().world().uid(),
        sub: format!("system:serviceaccount:{namespace}:{name}"),
        ..Claims::default()
    };
    let account = Reference { name: name.into(), uid: text(&account["metadata"]["uid"]) };
    let mut bound = Bound { namespace: namespace.into(), serviceaccount: account, ..Bound::default() };
    bind(front, &tree["spec"]["boundObjectRef"], namespace, name, &mut bound).await?;
    let mut life = seconds;
    let ours = claims.aud.iter().all(|a| issuer.audiences().contains(a));
    if bound.pod.is_some() && seconds == WARN_ONLY_SECONDS && ours {
        bound.warnafter = Some(now.as_second() + seconds);
        life = EXTENDED_SECONDS;
    }
    claims.exp = Some(now.as_second() + life);
    claims.kubernetes = Some(bound);
    let token = issuer.sign(&claims).map_err(|e| Status::internal(format!("failed to generate token: {e}")))?;
    tree["metadata"]["name"] = name.into();
    tree["metadata"]["namespace"] = namespace.into();
    tree["metadata"]["creationTimestamp"] = stamp(now).into();
    let expires = stamp(now + SignedDuration::from_secs(seconds));
    tree["status"] = json!({"token": token, "expirationTimestamp": expires});
    Ok((tree, warnings))
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn matches_path(tree: &Value, field: &str, want: &str, why: &str) -> Result<(), Status> {
    let said = text(&tree["metadata"][field]);
    if said.is_empty() || said == want {
        return Ok(());
    }
    let mut problems = Problems::default();
    problems.invalid(&Path::new("metadata").child(field), said, why);
    Err(Status::invalid(GROUP, "TokenRequest", want, &problems))
}

/// Binds the token to the object asked for; a pod's token also names the pod's node.
async fn bind(front: &Front, asked: &Value, namespace: &str, account: &str, bound: &mut Bound) -> Result<(), Status> {
    if asked.is_null() {
        return Ok(());
    }
    let live = front.authenticator.live();
    let (version, kind, name) = (text(&asked["apiVersion"]), text(&asked["kind"]), text(&asked["name"]));
    let uid = match (version.as_str(), kind.as_str()) {
        ("v1", "Pod") => {
            let pod = live.get("pods", namespace, &name).await?;
            if pod["spec"]["serviceAccountName"] != account {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            let node = text(&pod["spec"]["nodeName"]);
            if !node.is_empty() {
                let uid = live.get("nodes", "", &node).await.map(|n| text(&n["metadata"]["uid"])).unwrap_or_default();
                bound.node = Some(Reference { name: node, uid });
            }
            let uid = text(&pod["metadata"]["uid"]);
            bound.pod = Some(Reference { name: name.clone(), uid: uid.clone() });
            uid
        }
        ("v1", "Secret") => {
            let uid = text(&live.get("secrets", namespace, &name).await?["metadata"]["uid"]);
            bound.secret = Some(Reference { name: name.clone(), uid: uid.clone() });
            uid
        }
        ("v1", "Node") => {
            let uid = text(&live.get("nodes", "", &name).await?["metadata"]["uid"]);
            bound.node = Some(Reference { name: name.clone(), uid: uid.clone() });
            uid
        }
        _ => {
            let (group, version) = version.split_once('/').unwrap_or(("", &version));
            let what = format!("{group}/{version}, Kind={kind}");
            return Err(Status::bad_request(format!("cannot bind token to object of type {what}")));
        }
    };
    let asked_uid = text(&asked["uid"]);
    if !asked_uid.is_empty() && asked_uid != uid {
        let why = format!(
            "the UID in the bound object reference ({asked_uid}) does not match the UID in record. The object might have been \
             deleted and then recreated"
        );
        return Err(Status::conflict("", &kind, &name, &why));
    }
    Ok(())
}
