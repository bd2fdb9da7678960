//! The rules of a pod spec, put together.

use machinery::field::Problems;

use super::containers::{self, Around};
use super::{affinity, network, scheduling, security, volumes};
use crate::cursor::Field;
use crate::rule;

/// What the spec stands in.
pub enum Holder<'a> {
    /// A pod of this name (empty when it is not known).
    Pod {
        name: &'a str,
    },
    Template,
}

impl Holder<'_> {
    pub fn pod_name(&self) -> &str {
        match self {
            Holder::Pod { name } => name,
            Holder::Template => "",
        }
    }

    pub fn is_pod(&self) -> bool {
        matches!(self, Holder::Pod { .. })
    }
}

pub fn spec(spec: &Field, holder: &Holder, problems: &mut Problems) {
    let names = volumes::check(&spec.get("volumes"), holder, problems);
    let claims = resource_claims(&spec.get("resourceClaims"), holder, problems);
    let around = Around {
        volumes: names,
        claims,
        grace_seconds: spec.get("terminationGracePeriodSeconds").int(),
        host_users: !spec.get("hostUsers").is_false(),
    };
    containers::regular(&spec.get("containers"), &around, problems);
    containers::init(spec, &around, problems);
    containers::ephemeral(spec, &around, problems);
    network::host_ports(spec, holder.is_pod(), problems);
    rule::required_one_of(&spec.get("restartPolicy"), &["Always", "OnFailure", "Never"], problems);
    rule::required_one_of(&spec.get("dnsPolicy"), &network::DNS_POLICIES, problems);
    rule::labels(&spec.get("nodeSelector"), problems);
    security::pod(spec, problems);
    pull_secrets(&spec.get("imagePullSecrets"), problems);
    affinity::check(&spec.get("affinity"), problems);
    network::dns_config(spec, problems);
    scheduling::readiness_gates(&spec.get("readinessGates"), problems);
    scheduling::gates(&spec.get("schedulingGates"), problems);
    scheduling::spread(&spec.get("topologySpreadConstraints"), problems);
    security::host_process(spec, problems);
    security::host_users(spec, problems);
    names_and_numbers(spec, problems);
    if spec.get("overhead").is_set() {
        super::resources::limits_alone(&spec.get("overhead"), problems);
    }
    super::resources::pod_level(&spec.get("resources"), problems);
    if spec.get("os").is_set() {
        operating_system(spec, problems);
    }
}

fn names_and_numbers(spec: &Field, problems: &mut Problems) {
    const NAMES: [&str; 3] = ["serviceAccountName", "nodeName", "priorityClassName"];
    for name in NAMES {
        if !spec.get(name).is_empty() {
            rule::dns_subdomain(&spec.get(name), problems);
        }
    }
    let deadline = spec.get("activeDeadlineSeconds");
    if deadline.is_set() {
        rule::in_range(&deadline, 1, i64::from(i32::MAX), problems);
    }
    for label in ["hostname", "subdomain"] {
        if !spec.get(label).is_empty() {
            rule::dns_label(&spec.get(label), problems);
        }
    }
    scheduling::tolerations(&spec.get("tolerations"), problems);
    network::host_aliases(&spec.get("hostAliases"), problems);
    if spec.get("runtimeClassName").is_set() {
        rule::dns_subdomain(&spec.get("runtimeClassName"), problems);
    }
    let preemption = spec.get("preemptionPolicy");
    if preemption.is_set() {
        rule::required_one_of(&preemption, &["PreemptLowerPriority", "Never"], problems);
    }
}

fn pull_secrets(secrets: &Field, problems: &mut Problems) {
    for secret in secrets.items() {
        if secret.value.as_object().is_some_and(|map| map.keys().any(|key| key != "name")) {
            secret.invalid(problems, "only name may be set");
        }
    }
}

/// Names of `spec.resourceClaims`, which containers may refer to.
fn resource_claims<'v>(claims: &Field<'v, '_>, holder: &Holder, problems: &mut Problems) -> Vec<&'v str> {
    let mut names: Vec<&str> = Vec::new();
    for claim in claims.items() {
        let name = claim.get("name");
        if name.is_empty() {
            name.required(problems, "");
        } else if names.contains(&name.str()) {
            name.duplicate(problems);
        } else if rule::dns_label(&name, problems) && claim.get("resourceClaimTemplateName").is_set() {
            final_claim_name(&name, holder, problems);
        }
        if !name.is_empty() {
            names.push(name.str());
        }
        claim_source(&claim, problems);
    }
    names
}

fn final_claim_name(name: &Field, holder: &Holder, problems: &mut Problems) {
    if holder.pod_name().is_empty() {
        return;
    }
    let made = format!("{}-{}", holder.pod_name(), name.str());
    for message in rule::dns_subdomain_messages(&made) {
        name.invalid_as(problems, made.as_str(), format!("final ResourceClaim name: {message}"));
    }
}

fn claim_source(claim: &Field, problems: &mut Problems) {
    let (by_name, by_template) = (claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName"));
    match (by_name.is_set(), by_template.is_set()) {
        (true, true) => claim
            .invalid(problems, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
        (false, false) => {
            claim.invalid(problems, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
        }
        _ => {}
    }
    for name in [by_name, by_template].iter().filter(|n| n.is_set()) {
        rule::dns_subdomain(name, problems);
    }
}

fn operating_system(spec: &Field, problems: &mut Problems) {
    let name = spec.get("os.name");
    match name.str() {
        "" => name.required(problems, "cannot be empty"),
        "linux" => security::linux(spec, problems),
        "windows" => security::windows(spec, problems),
        _ => spec.get("os").with(name.value).not_supported(problems, &["linux", "windows"]),
    }
}
