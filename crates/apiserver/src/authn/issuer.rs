//! Signs service-account tokens and says how to verify them (OpenID discovery and JWKS).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::claims::Claims;

/// The `iss` of tokens in Secrets.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// An uncompressed point: 0x04, x, y.
const COORDINATE_BYTES: usize = 32;

/// The service-account signing key under its issuer name.
pub struct Issuer {
    name: String,
    audiences: Vec<String>,
    key_id: String,
    sign: EncodingKey,
    verify: DecodingKey,
    /// x and y of the public key, base64url.
    point: [String; 2],
}

impl Issuer {
    /// `name` is the issuer URL; it is also the default audience, as upstream.
    ///
    /// # Errors
    /// The key is not a P-256 key in PKCS#8 PEM.
    pub fn new(name: &str, key_pem: &str) -> Result<Self, String> {
        let pair = KeyPair::from_pem(key_pem).map_err(|e| e.to_string())?;
        let raw = pair.public_key_raw();
        if raw.len() != 1 + 2 * COORDINATE_BYTES {
            return Err("the service account key is not on the curve P-256".into());
        }
        let point = [&raw[1..=COORDINATE_BYTES], &raw[1 + COORDINATE_BYTES..]].map(|c| URL_SAFE_NO_PAD.encode(c));
        let verify = DecodingKey::from_ec_components(&point[0], &point[1]).map_err(|e| e.to_string())?;
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()));
        let sign = EncodingKey::from_ec_der(&pair.serialize_der());
        Ok(Self { name: name.into(), audiences: vec![name.into()], key_id, sign, verify, point })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The audiences of the API server itself.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The signed token.
    ///
    /// # Errors
    /// Signing failed in the library.
    pub fn sign(&self, claims: &Claims) -> Result<String, String> {
        let header = Header { typ: None, kid: Some(self.key_id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.sign).map_err(|e| e.to_string())
    }

    /// The claims of a token that we signed; times and audiences are not looked at.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        let mut rules = Validation::new(Algorithm::ES256);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        rules.set_issuer(&[self.name.as_str(), LEGACY_ISSUER]);
        jsonwebtoken::decode::<Claims>(token, &self.verify, &rules).ok().map(|data| data.claims)
    }

    /// `/.well-known/openid-configuration`.
    pub fn discovery(&self, jwks_uri: &str) -> Value {
        json!({
            "issuer": self.name,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// `/openid/v1/jwks`.
    pub fn jwks(&self) -> Value {
        let [x, y] = &self.point;
        json!({"keys": [
            {"use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256", "x": x, "y": y},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Issuer::new("https://kubernetes.default.svc.cluster.local", &key.serialize_pem()).unwrap()
    }

    #[test]
    fn own_tokens_are_verified_and_others_are_not() {
        let (ours, theirs) = (issuer(), issuer());
        let claims = Claims { sub: "x".into(), iss: ours.name().into(), exp: Some(1), ..Claims::default() };
        let token = ours.sign(&claims).unwrap();
        assert_eq!(ours.verify(&token), Some(claims));
        assert_eq!(theirs.verify(&token), None);
        assert_eq!(ours.verify("a.b.c"), None);
    }
}
