//! The rules of containers: what all share, and what regular, init and ephemeral ones add.

use machinery::field::{Problems, Wrong};

use super::{env, mounts, network, probes, resources, security};
use crate::cursor::Field;
use crate::rule;

/// What containers refer to in the pod around them.
pub struct Around<'v> {
    pub volumes: Vec<super::volumes::Named<'v>>,
    pub claims: Vec<&'v str>,
    pub grace_seconds: Option<i64>,
    pub host_users: bool,
}

const RESTART_RULES_MAX: usize = 20;

pub fn regular(containers: &Field, around: &Around, problems: &mut Problems) {
    if containers.is_empty() {
        containers.required(problems, "");
        return;
    }
    let mut names = Vec::new();
    for container in containers.items() {
        common(&container, around, problems);
        unique_name(&container, &mut names, problems);
        probes::lifecycle(&container.get("lifecycle"), around.grace_seconds, problems);
        probes::all(&container, around.grace_seconds, problems);
        restart_policy(&container, &["Always", "OnFailure", "Never"], problems);
    }
    network::host_port_conflicts(containers.items(), problems);
}

/// Names are unique among regular and init containers.
pub fn init(spec: &Field, around: &Around, problems: &mut Problems) {
    let regular = spec.get("containers");
    let mut names: Vec<_> = regular.items().map(|c| c.get("name").str()).collect();
    for container in spec.get("initContainers").items() {
        common(&container, around, problems);
        restart_policy(&container, &["Always", "OnFailure", "Never"], problems);
        unique_name(&container, &mut names, problems);
        network::host_port_conflicts(std::iter::once(container), problems);
        if container.get("restartPolicy").str() == "Always" {
            probes::lifecycle(&container.get("lifecycle"), around.grace_seconds, problems);
            probes::all(&container, around.grace_seconds, problems);
        } else {
            runs_to_the_end(&container, problems);
        }
    }
}

fn runs_to_the_end(container: &Field, problems: &mut Problems) {
    for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        let field = container.get(field);
        if field.is_set() {
            field.forbidden(problems, "may not be set for init containers without restartPolicy=Always");
        }
    }
}

/// The fields that a container added later for debugging may not have.
const NOT_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
];

pub fn ephemeral(spec: &Field, around: &Around, problems: &mut Problems) {
    let (regular, init) = (spec.get("containers"), spec.get("initContainers"));
    let others: Vec<_> = regular.items().chain(init.items()).map(|c| c.get("name").str()).collect();
    let mut names = others.clone();
    for container in spec.get("ephemeralContainers").items() {
        common(&container, around, problems);
        image_is_trimmed(&container, problems);
        unique_name(&container, &mut names, problems);
        let target = container.get("targetContainerName");
        if !target.is_empty() && !others.contains(&target.str()) {
            target.not_found(problems);
        }
        for field in NOT_EPHEMERAL {
            // `resources: {}` is how an absent one prints.
            if !container.get(field).is_empty() {
                container.get(field).forbidden(problems, "cannot be set for an Ephemeral Container");
            }
        }
        let mounts = container.get("volumeMounts");
        for mount in mounts.items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.get(field).is_empty() {
                    mount.get(field).forbidden(problems, "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

/// Asked of pods only: templates with such images exist.
pub fn image_is_trimmed(container: &Field, problems: &mut Problems) {
    let image = container.get("image");
    if image.str().trim() != image.str() {
        image.invalid(problems, "must not have leading or trailing whitespace");
    }
}

fn unique_name<'v>(container: &Field<'v, '_>, names: &mut Vec<&'v str>, problems: &mut Problems) {
    let name = container.get("name");
    if name.is_empty() {
        return;
    }
    if names.contains(&name.str()) {
        name.duplicate(problems);
    } else {
        names.push(name.str());
    }
}

fn common(container: &Field, around: &Around, problems: &mut Problems) {
    let name = container.get("name");
    if name.is_empty() {
        name.required(problems, "");
    } else {
        rule::dns_label(&name, problems);
    }
    if container.get("image").is_empty() {
        container.get("image").required(problems, "");
    }
    rule::required_one_of(&container.get("terminationMessagePolicy"), &["File", "FallbackToLogsOnError"], problems);
    network::ports(&container.get("ports"), problems);
    env::variables(&container.get("env"), around, problems);
    env::from(&container.get("envFrom"), problems);
    mounts::mounts(container, around, problems);
    mounts::devices(container, around, problems);
    rule::required_one_of(&container.get("imagePullPolicy"), &["Always", "IfNotPresent", "Never"], problems);
    resources::requirements(&container.get("resources"), &around.claims, problems);
    resize_policy(&container.get("resizePolicy"), problems);
    security::container(container, around.host_users, problems);
}

fn resize_policy(policies: &Field, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for policy in policies.items() {
        let resource = policy.get("resourceName");
        if seen.contains(&resource.str()) {
            policy.wrong(problems, Wrong::Duplicate(resource.value.clone()), "");
        }
        seen.push(resource.str());
        rule::required_one_of(&policies.with(resource.value), &["cpu", "memory"], problems);
        let restart = policy.get("restartPolicy");
        rule::required_one_of(&policies.with(restart.value), &["NotRequired", "RestartContainer"], problems);
    }
}

fn restart_policy(container: &Field, supported: &[&str], problems: &mut Problems) {
    let (policy, rules) = (container.get("restartPolicy"), container.get("restartPolicyRules"));
    if policy.is_set() {
        rule::one_of(&policy, supported, problems);
    } else if !rules.is_empty() {
        policy.required(problems, "must specify restartPolicy when restart rules are used");
    }
    if rules.len() > RESTART_RULES_MAX {
        rules.wrong(problems, Wrong::TooMany { count: rules.len(), max: RESTART_RULES_MAX }, "");
    }
    for rule in rules.items() {
        crate::rule::required_one_of(&rule.get("action"), &["Restart", "RestartAllContainers"], problems);
        match rule.get("exitCodes") {
            codes if codes.is_set() => {
                crate::rule::required_one_of(&codes.get("operator"), &["In", "NotIn"], problems);
            }
            codes => codes.required(problems, "must be specified"),
        }
    }
}
