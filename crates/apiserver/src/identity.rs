//! Names of users and groups that the API server itself gives out or acts as.

use machinery::identity::User;

pub const ANONYMOUS: &str = "system:anonymous";
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
pub const AUTHENTICATED: &str = "system:authenticated";
pub const MASTERS: &str = "system:masters";
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// Who makes a request without credentials.
pub fn anonymous() -> User {
    User::new(ANONYMOUS, [UNAUTHENTICATED])
}

/// The API server when it reads or writes for itself.
pub fn apiserver() -> User {
    User::new("system:apiserver", [MASTERS, AUTHENTICATED])
}

/// Adds the group that every authenticated user is in, unless it is there.
pub fn authenticated(mut user: User) -> User {
    if !user.in_group(AUTHENTICATED) && !user.in_group(UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.into());
    }
    user
}
