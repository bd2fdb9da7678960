//! Authorities and the certificates they issue.

use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::{self, Batch};
use super::{Pair, PkiError};

const AUTHORITY_VALID_DAYS: i64 = 3650;
const LEAF_VALID_DAYS: i64 = 365;
/// A leaf with less than this left is issued anew at start and by the daily check.
const RENEW_BEFORE_DAYS: i64 = 60;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Server,
    Client,
}

/// Whom a certificate names and what it is good for.
pub struct Subject {
    pub common_name: String,
    pub groups: Vec<String>,
    pub names: Vec<String>,
    pub usage: Use,
}

impl Subject {
    pub fn client(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|g| (*g).to_owned()).collect();
        Self { common_name: name.into(), groups, names: vec![], usage: Use::Client }
    }
}

/// A CA certificate and its key.
pub struct Authority {
    pub cert: String,
    key: String,
}

impl Authority {
    /// Reads `NAME.crt` and `NAME.key`, or makes both. The key is written first: a certificate without its key
    /// can only mean damage, never a stop in the middle.
    pub fn open(
        dir: &Path,
        name: &str,
        common_name: &str,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<Self, PkiError> {
        let (cert_path, key_path) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
        if let Some(cert) = files::read(&cert_path)? {
            let key = files::read(&key_path)?.ok_or_else(|| PkiError::Unusable {
                path: cert_path.display().to_string(),
                what: "certificate authority",
                why: "its key is missing".into(),
            })?;
            return Ok(Self { cert, key });
        }
        let key = new_key(common_name)?;
        let mut params = params(common_name, &[], AUTHORITY_VALID_DAYS, now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key).map_err(failed(common_name))?.pem();
        batch.add(&key_path, &key.serialize_pem());
        batch.add(&cert_path, &cert);
        Ok(Self { cert, key: key.serialize_pem() })
    }

    /// The pair kept as `NAME.crt` and `NAME.key`; issued anew when it is missing or no longer fits.
    pub fn keep(
        &self,
        dir: &Path,
        name: &str,
        subject: &Subject,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<Pair, PkiError> {
        let (cert_path, key_path) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
        if let (Some(cert), Some(key)) = (files::read(&cert_path)?, files::read(&key_path)?)
            && self.fits(&cert, &key, subject, now)
        {
            return Ok(Pair { cert, key });
        }
        let pair = self.issue(subject, now)?;
        batch.add(&key_path, &pair.key);
        batch.add(&cert_path, &pair.cert);
        Ok(pair)
    }

    pub fn issue(&self, subject: &Subject, now: Timestamp) -> Result<Pair, PkiError> {
        let name = subject.common_name.as_str();
        let key = new_key(name)?;
        let mut params = params(name, &subject.groups, LEAF_VALID_DAYS, now);
        params.subject_alt_names =
            CertificateParams::new(subject.names.clone()).map_err(failed(name))?.subject_alt_names;
        params.use_authority_key_identifier_extension = true;
        set_usage(&mut params, subject.usage);
        let cert = params.signed_by(&key, &self.issuer(name)?).map_err(failed(name))?;
        Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
    }

    pub fn sign_request(&self, csr: &str, usage: Use, days: i64, now: Timestamp) -> Result<String, PkiError> {
        let mut request = CertificateSigningRequestParams::from_pem(csr).map_err(failed("a signing request"))?;
        set_validity(&mut request.params, days, now);
        request.params.is_ca = IsCa::NoCa;
        set_usage(&mut request.params, usage);
        let issuer = self.issuer("a signing request")?;
        Ok(request.signed_by(&issuer).map_err(failed("a signing request"))?.pem())
    }

    fn issuer(&self, name: &str) -> Result<Issuer<'static, KeyPair>, PkiError> {
        let key = KeyPair::from_pem(&self.key).map_err(failed(name))?;
        Issuer::from_ca_cert_pem(&self.cert, key).map_err(failed(name))
    }

    /// Issued by this authority, for this subject with all its names, with this key, and good for long enough.
    fn fits(&self, cert: &str, key: &str, subject: &Subject, now: Timestamp) -> bool {
        let (Ok(der), Ok(ca)) =
            (CertificateDer::from_pem_slice(cert.as_bytes()), CertificateDer::from_pem_slice(self.cert.as_bytes()))
        else {
            return false;
        };
        let (Ok((_, leaf)), Ok((_, ca)), Ok(key)) =
            (X509Certificate::from_der(&der), X509Certificate::from_der(&ca), KeyPair::from_pem(key))
        else {
            return false;
        };
        let renew_at = now + SignedDuration::from_hours(24 * RENEW_BEFORE_DAYS);
        leaf.issuer() == ca.subject()
            && authority_key_id(&leaf) == subject_key_id(&ca)
            && leaf.validity().not_after.timestamp() > renew_at.as_second()
            && leaf.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
            && subject.names.iter().all(|name| names_of(&leaf).contains(name))
    }
}

/// A lone signing key in PKCS#8 PEM, made when missing.
pub fn keep_key(path: &Path, batch: &mut Batch) -> Result<String, PkiError> {
    if let Some(key) = files::read(path)? {
        return Ok(key);
    }
    let key = new_key("service accounts")?.serialize_pem();
    batch.add(path, &key);
    Ok(key)
}

fn new_key(name: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed(name))
}

fn failed(name: &str) -> impl FnOnce(rcgen::Error) -> PkiError + '_ {
    move |e| PkiError::Issue { name: name.to_owned(), why: e.to_string() }
}

fn params(common_name: &str, groups: &[String], days: i64, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    // One attribute per type is all that rcgen's name holds; further groups are dropped by nobody: we issue at most one.
    if let Some(group) = groups.first() {
        name.push(DnType::OrganizationName, group.as_str());
    }
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    set_validity(&mut params, days, now);
    params
}

/// From yesterday, because the clocks of a cluster's machines differ.
fn set_validity(params: &mut CertificateParams, days: i64, now: Timestamp) {
    let day = |offset: i64| {
        let at = (now + SignedDuration::from_hours(24 * offset)).to_zoned(TimeZone::UTC);
        date_time_ymd(i32::from(at.year()), at.month().unsigned_abs(), at.day().unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(days);
}

fn set_usage(params: &mut CertificateParams, usage: Use) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match usage {
        Use::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Use::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
}

fn names_of(cert: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = cert.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| std::net::Ipv4Addr::from(b).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string()),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}

fn authority_key_id(cert: &X509Certificate<'_>) -> Option<Vec<u8>> {
    cert.iter_extensions().find_map(|e| match e.parsed_extension() {
        x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
            id.key_identifier.as_ref().map(|k| k.0.to_vec())
        }
        _ => None,
    })
}

fn subject_key_id(cert: &X509Certificate<'_>) -> Option<Vec<u8>> {
    cert.iter_extensions().find_map(|e| match e.parsed_extension() {
        x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}
