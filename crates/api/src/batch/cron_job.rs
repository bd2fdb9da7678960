//! CronJob: jobs made by the clock.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/cron-job-v1/>.

use machinery::field::Problems;
use machinery::tree;
use serde_json::Value;

use super::{GROUP, job, schedule};
use crate::column;
use crate::core::pod_spec;
use crate::cursor::Field;
use crate::fill;
use crate::kind::{Kind, Subresource};
use crate::rule;
use crate::status;

/// Names of its jobs have `-` and ten digits more, and are at most 63 long.
const NAME_BYTES_MAX: usize = 52;

pub static KIND: Kind = Kind {
    group: GROUP,
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    definition: "io.k8s.api.batch.v1.CronJob",
    subresources: &[Subresource::status("CronJob")],
    generation: true,
    set_defaults: |object| {
        pod_spec::template_defaults(object, "spec.jobTemplate.spec.template");
        let spec = tree::map_mut(object, "spec");
        fill::text(spec, "concurrencyPolicy", "Allow");
        fill::absent(spec, "suspend", false);
        fill::absent(spec, "successfulJobsHistoryLimit", 3);
        fill::absent(spec, "failedJobsHistoryLimit", 1);
    },
    prepare_create: status::clear,
    prepare_update: status::keep,
    validate,
    validate_create: |object, problems| {
        let root = Field::root(object);
        let name = root.get("metadata.name");
        if name.len() > NAME_BYTES_MAX {
            name.invalid(problems, "must be no more than 52 characters");
        }
    },
    warnings: |new, old| {
        const TEMPLATE: &str = "spec.jobTemplate.spec.template";
        let mut out = Vec::new();
        if old.is_null() || tree::get(new, TEMPLATE) != tree::get(old, TEMPLATE) {
            out = pod_spec::warnings(&Field::root(new).get(TEMPLATE), tree::get(old, TEMPLATE));
        }
        if tree::str(new, "spec.schedule").contains("TZ") {
            out.push("CRON_TZ or TZ used in spec.schedule is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
        }
        out
    },
    columns: &[
        column::NAME,
        column::text("Schedule", "The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron."),
        column::text("Timezone", "The time zone name for the given schedule."),
        column::flag("Suspend", "This flag tells the controller to suspend subsequent executions."),
        column::number("Active", "A list of pointers to currently running jobs."),
        column::text("Last Schedule", "Information when was the last time the job was successfully scheduled."),
        column::AGE,
        column::CONTAINERS,
        column::IMAGES,
        column::wide("Selector", "A label query over pods that should match the pod count."),
    ],
    cells: |object, now| {
        let [names, images] = column::containers(object, "spec.jobTemplate.spec.template.spec.containers");
        let last = &object["status"]["lastScheduleTime"];
        let suspend = match object["spec"]["suspend"].as_bool() {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        vec![
            column::name(object),
            tree::str(object, "spec.schedule").into(),
            column::text_or(object, "spec.timeZone", "<none>").into(),
            suspend.into(),
            tree::items(object, "status.active").len().into(),
            if last.is_null() { "<none>".to_owned() } else { column::since(last, now) }.into(),
            column::age(object, now),
            names,
            images,
            column::selector(tree::get(object, "spec.jobTemplate.spec.selector")).into(),
        ]
    },
    ..Kind::BASE
};

fn validate(object: &Value, problems: &mut Problems) {
    let root = Field::root(object);
    let spec = root.get("spec");
    let (schedule, zone) = (spec.get("schedule"), spec.get("timeZone"));
    if rule::required(&schedule, problems) {
        if let Err(why) = schedule::check(schedule.str()) {
            schedule.invalid(problems, why);
        }
        if schedule.str().contains("TZ") && zone.is_set() {
            schedule.invalid(problems, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
        }
    }
    rule::not_negative(&spec.get("startingDeadlineSeconds"), problems);
    if zone.is_set() {
        time_zone(&zone, problems);
    }
    rule::required_one_of(&spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"], problems);
    let template = spec.get("jobTemplate.spec");
    job::validate_spec(&template, problems);
    if template.get("selector").is_set() {
        template.get("selector").invalid(problems, "`selector` will be auto-generated");
    }
    if template.get("manualSelector").bool() {
        template.get("manualSelector").not_supported(problems, &["nil", "false"]);
    }
    for limit in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        rule::not_negative(&spec.get(limit), problems);
    }
}

/// The form of a zone's name, by <https://data.iana.org/time-zones/theory.html#naming>. Whether there is such a zone is not
/// known here: that needs the zones' files.
fn time_zone(zone: &Field, problems: &mut Problems) {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+');
    let part = |part: &str| {
        !matches!(part, "." | "..")
            && !part.starts_with('-')
            && (1..=14).contains(&part.len())
            && part.bytes().all(inner)
    };
    if zone.is_empty() {
        zone.invalid(problems, "timeZone must be nil or non-empty string");
    } else if !zone.str().split('/').all(part) {
        zone.invalid(problems, format!("unknown time zone {}", zone.str()));
    } else if zone.str().eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        zone.invalid(problems, detail);
    }
}
