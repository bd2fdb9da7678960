//! TokenRequest: a token for a service account, exchanged with `serviceaccounts/token`. It is no resource of its own.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>.

use machinery::tree;

use super::GROUP;
use crate::cursor::Field;
use crate::kind::{Held, Kind};

const SECONDS: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "TokenRequest",
    held: Held::Virtual,
    definition: "io.k8s.api.authentication.v1.TokenRequest",
    verbs: &["create"],
    set_defaults: |object| {
        tree::default(object, "spec.expirationSeconds", SECONDS);
    },
    validate: |object, problems| {
        let root = Field::root(object);
        let seconds = root.get("spec.expirationSeconds");
        if seconds.num() < SECONDS_MIN {
            seconds.invalid(problems, "may not specify a duration less than 10 minutes");
        }
        if seconds.num() > SECONDS_MAX {
            seconds.invalid(problems, "may not specify a duration larger than 2^32 seconds");
        }
    },
    ..Kind::BASE
};
