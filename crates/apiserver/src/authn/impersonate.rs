//! Acting as somebody else: `Impersonate-*` headers, each of which needs a permission of its own.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>.

use http::HeaderMap;
use machinery::identity::User;
use machinery::status::Status;

use crate::authz::{Attributes, Authorizer, Target};
use crate::identity::{ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNTS, UNAUTHENTICATED};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Whom the request wants to be, and the permissions that this needs.
#[derive(Debug, PartialEq)]
pub struct Wish {
    pub user: User,
    pub needs: Vec<Attributes>,
}

/// Reads the headers; `None` when there are none.
///
/// # Errors
/// 500 in upstream's words when groups, uid or extras come without a user.
pub fn wish(headers: &HeaderMap) -> Result<Option<Wish>, Status> {
    let values = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|v| Some(v.to_str().ok()?.to_owned())).collect()
    };
    let name = values(USER).into_iter().next().unwrap_or_default();
    let groups: Vec<_> = values(GROUP);
    let uid = values(UID).into_iter().next().unwrap_or_default();
    let extras: Vec<_> = headers.keys().filter(|k| k.as_str().starts_with(EXTRA_PREFIX)).collect();
    if name.is_empty() {
        if groups.is_empty() && uid.is_empty() && extras.is_empty() {
            return Ok(None);
        }
        let asked = [("groups", !groups.is_empty()), ("uid", !uid.is_empty()), ("userExtra", !extras.is_empty())];
        let what = asked.iter().find(|(_, there)| *there).map_or("", |(what, _)| what);
        return Err(Status::internal(format!("requested {what} impersonation without impersonating a user")));
    }
    let mut needs = vec![need_user(&name)];
    let mut user = User::new(name, groups.iter().cloned());
    needs.extend(groups.iter().map(|group| need("", "groups", "", group)));
    if !uid.is_empty() {
        needs.push(need("authentication.k8s.io", "uids", "", &uid));
        user.uid = uid;
    }
    for key in extras {
        let extra = unescaped(&key.as_str()[EXTRA_PREFIX.len()..]);
        for value in values(key.as_str()) {
            needs.push(need("authentication.k8s.io", "userextras", &extra, &value));
            user.extra.entry(extra.clone()).or_default().push(value);
        }
    }
    add_groups(&mut user, groups.is_empty());
    Ok(Some(Wish { user, needs }))
}

/// Service accounts have fixed groups; and everybody is authenticated or explicitly not.
fn add_groups(user: &mut User, none_given: bool) {
    if none_given && let Some((namespace, _)) = user.service_account() {
        user.groups = vec![SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")];
    }
    let said = |user: &User, group: &str| user.in_group(group);
    if user.name == ANONYMOUS {
        if !said(user, UNAUTHENTICATED) {
            user.groups.push(UNAUTHENTICATED.into());
        }
    } else if !said(user, AUTHENTICATED) && !said(user, UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.into());
    }
}

fn need_user(name: &str) -> Attributes {
    match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, account)) => {
            Attributes::resource("impersonate", "", "serviceaccounts", [namespace, account, ""])
        }
        None => need("", "users", "", name),
    }
}

fn need(group: &str, resource: &str, subresource: &str, name: &str) -> Attributes {
    let mut asked = Attributes::resource("impersonate", group, resource, ["", name, subresource]);
    if let Target::Resource { version, .. } = &mut asked.target {
        *version = "v1".into();
    }
    asked
}

/// Extra keys are percent-encoded in header names.
fn unescaped(key: &str) -> String {
    let bytes = key.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| key.to_owned())
}

/// The user to act as: the impersonated one when all its permissions are there.
///
/// # Errors
/// 403 naming the first permission that is missing.
pub async fn apply(headers: &HeaderMap, user: User, authorizer: &Authorizer) -> Result<User, Status> {
    let Some(wish) = wish(headers)? else { return Ok(user) };
    for asked in &wish.needs {
        authorizer.check(&user, asked).await?;
    }
    Ok(wish.user)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn groups_without_a_user_are_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(wish(&headers).unwrap(), None);
        headers.append(GROUP, HeaderValue::from_static("g"));
        assert!(wish(&headers).unwrap_err().message.contains("without impersonating a user"));
    }

    #[test]
    fn a_service_account_brings_its_groups() {
        let mut headers = HeaderMap::new();
        headers.append(USER, HeaderValue::from_static("system:serviceaccount:ns:sa"));
        headers.append("impersonate-extra-a%2fb", HeaderValue::from_static("v"));
        let wish = wish(&headers).unwrap().unwrap();
        assert_eq!(wish.user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
        assert_eq!(wish.user.extra["a/b"], ["v"]);
        assert_eq!(wish.needs.len(), 2);
    }
}
