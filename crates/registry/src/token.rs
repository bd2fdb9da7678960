//! The continue token of a paged list: base64 of JSON with the revision of the list and the key to go on from.
//!
//! The shape is upstream's (`{"v":"meta.k8s.io/v1","rv":N,"start":"KEY"}`); a revision of -1 goes on at the newest.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use machinery::status::Status;
use serde::{Deserialize, Serialize};

const VERSION: &str = "meta.k8s.io/v1";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Encoded {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

/// Where a list goes on.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// `None`: at the newest revision.
    pub revision: Option<u64>,
    /// The first key not yet listed, relative to the collection's prefix of the request.
    pub start: String,
}

impl Token {
    pub fn encode(&self) -> String {
        let rv = self.revision.map_or(-1, u64::cast_signed);
        let encoded = Encoded { v: VERSION.into(), rv, start: self.start.clone() };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&encoded).unwrap_or_default())
    }

    /// # Errors
    /// 400 in upstream's words.
    pub fn decode(text: &str) -> Result<Self, Status> {
        let bad = |what: String| Status::bad_request(format!("continue key is not valid{what}"));
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|e| bad(format!(": {e}")))?;
        let encoded: Encoded = serde_json::from_slice(&bytes).map_err(|e| bad(format!(": {e}")))?;
        if encoded.v != VERSION {
            return Err(bad(format!(": server does not recognize this encoded version {}", encoded.v)));
        }
        if encoded.rv == 0 {
            return Err(bad(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)".into()));
        }
        if encoded.start.is_empty() {
            return Err(bad(": encoded start key empty (version meta.k8s.io/v1)".into()));
        }
        if encoded.start.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(bad(format!(": {}", encoded.start)));
        }
        Ok(Self { revision: u64::try_from(encoded.rv).ok(), start: encoded.start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back() {
        let token = Token { revision: Some(7), start: "a/b\0".into() };
        assert_eq!(Token::decode(&token.encode()).unwrap(), token);
        let newest = Token { revision: None, start: "a".into() };
        assert_eq!(Token::decode(&newest.encode()).unwrap(), newest);
    }

    #[test]
    fn damaged_tokens_are_refused() {
        let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let message = |text: &str| Token::decode(text).unwrap_err().message;
        assert!(message("%%").starts_with("continue key is not valid: "));
        assert!(message(&encode("{}")).contains("does not recognize this encoded version"));
        assert!(message(&encode(r#"{"v":"meta.k8s.io/v1","start":"a"}"#)).contains("incorrect encoded start"));
        assert!(message(&encode(r#"{"v":"meta.k8s.io/v1","rv":1}"#)).contains("start key empty"));
        assert!(message(&encode(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../x"}"#)).ends_with(": ../x"));
    }
}
