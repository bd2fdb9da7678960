//! DaemonSet: one pod on each node of a sort.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/daemon-set-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use crate::apps::workload;
use crate::column;
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::kind::{Kind, Subresource};
use crate::rule;
use crate::status;

/// Says how often the template changed; it was a field once.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "DaemonSet",
    plural: "daemonsets",
    singular: "daemonset",
    short_names: &["ds"],
    categories: &["all"],
    definition: "io.k8s.api.apps.v1.DaemonSet",
    subresources: &[Subresource::status("DaemonSet")],
    generation: true,
    set_defaults,
    prepare_create: |object| {
        status::clear(object);
        count_template(object, 1);
    },
    prepare_update: |new, old| {
        status::keep(new, old);
        let before = template_generation(old);
        let changed = new["spec"]["template"] != old["spec"]["template"];
        count_template(new, before + i64::from(changed));
    },
    validate,
    validate_update: |new, old, problems| rule::immutable("spec.selector", new, old, problems),
    validate_status,
    warnings: workload::warnings,
    columns: &[
        column::NAME,
        column::number(
            "Desired",
            "The total number of nodes that should be running the daemon pod (including nodes correctly running the daemon pod).",
        ),
        column::number(
            "Current",
            "The number of nodes that are running at least 1 daemon pod and are supposed to run the daemon pod.",
        ),
        column::number(
            "Ready",
            "Total number of nodes that should be running the daemon pod and have one or more of the daemon pod running with a Ready Condition by passing the readinessProbe.",
        ),
        column::number("Up-to-date", "The total number of nodes that are running updated daemon pod"),
        column::number(
            "Available",
            "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and available.",
        ),
        column::text("Node Selector", "NodeSelector is a selector which must be true for the pod to fit on a node."),
        column::AGE,
        column::CONTAINERS,
        column::IMAGES,
        column::wide("Selector", "A label query over pods that are managed by the daemon set."),
    ],
    cells: |object, now| {
        let [names, images] = column::containers(object, "spec.template.spec.containers");
        let count = |field: &str| -> Value { column::int(object, field).into() };
        vec![
            column::name(object),
            count("status.desiredNumberScheduled"),
            count("status.currentNumberScheduled"),
            count("status.numberReady"),
            count("status.updatedNumberScheduled"),
            count("status.numberAvailable"),
            column::labels(tree::get(object, "spec.template.spec.nodeSelector")).into(),
            column::age(object, now),
            names,
            images,
            workload::selector_cell(object),
        ]
    },
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    pod_spec::template_defaults(object, "spec.template");
    workload::default_strategy(object, "spec.updateStrategy", 1.into(), 0.into());
    tree::default(object, "spec.revisionHistoryLimit", 10);
}

fn template_generation(object: &Value) -> i64 {
    let text = machinery::meta::annotation(object, TEMPLATE_GENERATION).unwrap_or("");
    text.parse().unwrap_or(0)
}

fn count_template(object: &mut Value, count: i64) {
    machinery::meta::set_annotation(object, TEMPLATE_GENERATION, &count.to_string());
}

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    rule::label_selector(&selector, problems);
    if rule::is_label_selector(&selector) && !rule::selector_matches(&selector, template.get("metadata.labels").value) {
        template.get("metadata.labels").invalid(problems, "`selector` does not match template `labels`");
    }
    if selector.is_set() {
        workload::not_empty(&selector, "daemonset", problems);
    }
    pod_spec::template(&template, problems);
    workload::only_always(&template, "DaemonSet", problems);
    rule::not_negative(&spec.get("minReadySeconds"), problems);
    strategy(&spec.get("updateStrategy"), problems);
    rule::not_negative(&spec.get("revisionHistoryLimit"), problems);
}

fn strategy(strategy: &Field, problems: &mut Problems) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").str() {
        "OnDelete" => {}
        "RollingUpdate" if rolling.is_set() => rolling_update(&rolling, problems),
        "RollingUpdate" => rolling.required(problems, ""),
        _ => strategy.not_supported(problems, &["RollingUpdate", "OnDelete"]),
    }
}

/// Either pods go first, or new ones come first.
fn rolling_update(rolling: &Field, problems: &mut Problems) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    for bound in [&unavailable, &surge] {
        rule::count_or_percent(bound, problems);
        rule::at_most_100_percent(bound, problems);
    }
    match (rule::count_or_percent_value(&unavailable), rule::count_or_percent_value(&surge)) {
        (0, 0) => unavailable.required(problems, "cannot be 0 when maxSurge is 0"),
        (0, _) | (_, 0) => {}
        _ => surge.invalid(problems, "may not be set when maxUnavailable is non-zero"),
    }
}

fn validate_status(new: &Value, old: &Value, problems: &mut Problems) {
    let root = Field::root(new);
    let status = root.get("status");
    const COUNTS: [&str; 9] = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    workload::not_negative(&status, &COUNTS, problems);
    workload::collisions_only_grow(&status, &old["status"], problems);
}
