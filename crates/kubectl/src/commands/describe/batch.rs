//! Jobs and CronJobs.

use k8s_openapi::jiff::Timestamp;
use machinery::time;
use serde_json::Value;

use super::page::{self, Page, items, number, or, shown};
use super::{Subject, events, pod, template};
use crate::failure::Result;

/// Of the completed indexes about so many characters are shown.
const INDEXES_BYTES_MAX: usize = 50;

pub async fn job(subject: &Subject<'_>) -> Result<Page> {
    let job = subject.tree;
    let (meta, spec, status) = (&job["metadata"], &job["spec"], &job["status"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.field(0, "Selector", template::selector(&spec["selector"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    pod::controlled_by(&mut page, job);
    page.optional(0, "Parallelism", &spec["parallelism"]);
    page.field(0, "Completions", or(&spec["completions"], "<unset>"));
    page.optional(0, "Completion Mode", &spec["completionMode"]);
    page.optional(0, "Suspend", &spec["suspend"]);
    page.optional(0, "Backoff Limit", &spec["backoffLimit"]);
    page.optional(0, "TTL Seconds After Finished", &spec["ttlSecondsAfterFinished"]);
    times(&mut page, status);
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        page.field(0, "Active Deadline Seconds", format_args!("{seconds}s"));
    }
    let ready = status["ready"].as_i64().map(|ready| format!(" ({ready} Ready)")).unwrap_or_default();
    let [active, succeeded, failed] = ["active", "succeeded", "failed"].map(|field| number(&status[field]));
    page.field(0, "Pods Statuses", format_args!("{active} Active{ready} / {succeeded} Succeeded / {failed} Failed"));
    if spec["completionMode"] == "Indexed" {
        page.field(0, "Completed Indexes", indexes(&shown(&status["completedIndexes"])));
    }
    template::describe(&mut page, &spec["template"]);
    events::append(subject, &mut page).await;
    Ok(page)
}

fn times(page: &mut Page, status: &Value) {
    let (start, end) = (&status["startTime"], &status["completionTime"]);
    if !start.is_null() {
        page.field(0, "Start Time", page::date(start));
    }
    if !end.is_null() {
        page.field(0, "Completed At", page::date(end));
    }
    if let (Some(started), Some(ended)) = (time::from_tree(start), time::from_tree(end)) {
        page.field(0, "Duration", duration(started, ended));
    }
}

fn duration(started: Timestamp, ended: Timestamp) -> String {
    time::age(Some(started), ended)
}

/// A long list is cut at a comma.
fn indexes(text: &str) -> String {
    if text.is_empty() {
        return "<none>".into();
    }
    match text.get(INDEXES_BYTES_MAX..).and_then(|rest| rest.find(',')) {
        Some(at) => format!("{}...", &text[..=INDEXES_BYTES_MAX + at]),
        None => text.to_owned(),
    }
}

pub async fn cron_job(subject: &Subject<'_>) -> Result<Page> {
    let cron = subject.tree;
    let (meta, spec, status) = (&cron["metadata"], &cron["spec"], &cron["status"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.field(0, "Schedule", shown(&spec["schedule"]));
    page.field(0, "Concurrency Policy", shown(&spec["concurrencyPolicy"]));
    page.field(0, "Suspend", flag(&spec["suspend"]));
    page.field(0, "Successful Job History Limit", or(&spec["successfulJobsHistoryLimit"], "<unset>"));
    page.field(0, "Failed Job History Limit", or(&spec["failedJobsHistoryLimit"], "<unset>"));
    let seconds = |value: &Value| value.as_i64().map_or_else(|| "<unset>".to_owned(), |seconds| format!("{seconds}s"));
    page.field(0, "Starting Deadline Seconds", seconds(&spec["startingDeadlineSeconds"]));
    let job = &spec["jobTemplate"]["spec"];
    match &job["selector"] {
        Value::Null => page.field(0, "Selector", "<unset>"),
        selector => page.field(0, "Selector", template::selector(selector)),
    }
    page.field(0, "Parallelism", or(&job["parallelism"], "<unset>"));
    page.field(0, "Completions", or(&job["completions"], "<unset>"));
    if !job["activeDeadlineSeconds"].is_null() {
        page.field(0, "Active Deadline Seconds", seconds(&job["activeDeadlineSeconds"]));
    }
    template::describe(&mut page, &job["template"]);
    match &status["lastScheduleTime"] {
        Value::Null => page.field(0, "Last Schedule Time", "<unset>"),
        time => page.field(0, "Last Schedule Time", page::date(time)),
    }
    let active: Vec<String> = items(&status["active"]).iter().map(|job| shown(&job["name"])).collect();
    page.field(0, "Active Jobs", if active.is_empty() { "<none>".into() } else { active.join(", ") });
    events::append(subject, &mut page).await;
    Ok(page)
}

/// `True`, `False` or `<unset>`.
pub fn flag(value: &Value) -> &'static str {
    match value {
        Value::Bool(true) => "True",
        Value::Bool(false) => "False",
        _ => "<unset>",
    }
}

#[cfg(test)]
mod tests {
    use super::indexes;

    #[test]
    fn long_indexes_are_cut_at_a_comma() {
        assert_eq!(indexes(""), "<none>");
        assert_eq!(indexes("1,2"), "1,2");
        assert_eq!(indexes(&"12345678,".repeat(10)), format!("{}...", "12345678,".repeat(6)));
    }
}
