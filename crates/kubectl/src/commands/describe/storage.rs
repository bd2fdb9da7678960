//! PersistentVolumes, PersistentVolumeClaims and StorageClasses.

use client::Options;
use serde_json::Value;

use super::batch::flag;
use super::page::{self, Page, items, or, shown};
use super::{Subject, events, volumes};
use crate::failure::Result;
use crate::print::table::labels_text;
use crate::select;

const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const IS_DEFAULT: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// The annotation of old, else the field.
fn class(tree: &Value) -> String {
    let annotated = machinery::meta::annotation(tree, CLASS).map(str::to_owned);
    annotated.unwrap_or_else(|| shown(&tree["spec"]["storageClassName"]))
}

/// `RWO,ROX`, in upstream's order.
fn modes(list: &Value) -> String {
    const MODES: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let held = |mode: &str| items(list).iter().any(|item| item == mode);
    let short: Vec<&str> = MODES.iter().filter(|(mode, _)| held(mode)).map(|(_, short)| *short).collect();
    short.join(",")
}

fn finalizers(page: &mut Page, meta: &Value) {
    page.field(0, "Finalizers", format_args!("[{}]", page::joined(&meta["finalizers"], " ")));
}

fn status(page: &mut Page, tree: &Value) {
    match &tree["metadata"]["deletionTimestamp"] {
        Value::Null => page.field(0, "Status", shown(&tree["status"]["phase"])),
        since => page.field(0, "Status", format_args!("Terminating (lasts {})", page::since(since))),
    }
}

pub async fn volume(subject: &Subject<'_>) -> Result<Page> {
    let volume = subject.tree;
    let (meta, spec) = (&volume["metadata"], &volume["spec"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    finalizers(&mut page, meta);
    page.field(0, "StorageClass", class(volume));
    status(&mut page, volume);
    let claim = &spec["claimRef"];
    let claim = if claim.is_null() {
        String::new()
    } else {
        format!("{}/{}", shown(&claim["namespace"]), shown(&claim["name"]))
    };
    page.field(0, "Claim", claim);
    page.field(0, "Reclaim Policy", shown(&spec["persistentVolumeReclaimPolicy"]));
    page.field(0, "Access Modes", modes(&spec["accessModes"]));
    page.optional(0, "VolumeMode", &spec["volumeMode"]);
    page.field(0, "Capacity", or(&spec["capacity"]["storage"], "0"));
    affinity(&mut page, &spec["nodeAffinity"]["required"]);
    page.field(0, "Message", shown(&volume["status"]["message"]));
    page.line(0, "Source:");
    volumes::source(&mut page, spec);
    events::append(subject, &mut page).await;
    Ok(page)
}

fn affinity(page: &mut Page, required: &Value) {
    if required.is_null() {
        return page.field(0, "Node Affinity", "<none>");
    }
    page.field(0, "Node Affinity", "");
    let terms = items(&required["nodeSelectorTerms"]);
    page.field(1, "Required Terms", if terms.is_empty() { "<none>" } else { "" });
    for (at, term) in terms.iter().enumerate() {
        requirements(page, 2, at, &term["matchExpressions"], |requirement| {
            let operator = shown(&requirement["operator"]).to_lowercase();
            match items(&requirement["values"]) {
                [] => format!("{} {operator}", shown(&requirement["key"])),
                _ => format!(
                    "{} {operator} [{}]",
                    shown(&requirement["key"]),
                    page::joined(&requirement["values"], ", ")
                ),
            }
        });
    }
}

fn requirements(page: &mut Page, level: usize, at: usize, list: &Value, text: impl Fn(&Value) -> String) {
    let (first, rest) = match items(list).split_first() {
        Some((first, rest)) => (text(first), rest),
        None => ("<none>".into(), &[][..]),
    };
    page.field(level, &format!("Term {at}"), first);
    rest.iter().for_each(|requirement| page.line(level, format_args!("\t{}", text(requirement))));
}

pub async fn claim(subject: &Subject<'_>) -> Result<Page> {
    let claim = subject.tree;
    let (meta, spec) = (&claim["metadata"], &claim["spec"]);
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.field(0, "StorageClass", class(claim));
    status(&mut page, claim);
    page.field(0, "Volume", shown(&spec["volumeName"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    finalizers(&mut page, meta);
    let is_bound = spec["volumeName"].as_str().is_some_and(|name| !name.is_empty());
    let held = &claim["status"];
    page.field(0, "Capacity", if is_bound { or(&held["capacity"]["storage"], "0") } else { String::new() });
    page.field(0, "Access Modes", if is_bound { modes(&held["accessModes"]) } else { String::new() });
    page.optional(0, "VolumeMode", &spec["volumeMode"]);
    volumes::data_source(&mut page, 0, &spec["dataSource"]);
    page.stack("Used By", &used_by(subject).await?);
    conditions(&mut page, items(&held["conditions"]));
    events::append(subject, &mut page).await;
    Ok(page)
}

async fn used_by(subject: &Subject<'_>) -> Result<Vec<String>> {
    let served = subject.session.discovery().await?.of_kind("v1", "Pod")?;
    let (namespace, name) = (machinery::meta::namespace(subject.tree), machinery::meta::name(subject.tree));
    let list = select::list(subject.session, served, namespace, Options::default()).await?;
    let mut names = Vec::new();
    for pod in list.items {
        let pod = pod.tree();
        let mut volumes = items(&pod["spec"]["volumes"]).iter();
        if volumes.any(|volume| volume["persistentVolumeClaim"]["claimName"] == name) {
            names.push(machinery::meta::name(&pod).to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn conditions(page: &mut Page, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage");
    page.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for condition in conditions {
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|field| shown(&condition[field]));
        let [probed, changed] = ["lastProbeTime", "lastTransitionTime"].map(|field| page::date(&condition[field]));
        page.line(1, format_args!("{kind} \t{status} \t{probed} \t{changed} \t{reason} \t{message}"));
    }
}

pub async fn storage_class(subject: &Subject<'_>) -> Result<Page> {
    let class = subject.tree;
    let meta = &class["metadata"];
    let is_default = IS_DEFAULT.iter().any(|key| machinery::meta::annotation(class, key) == Some("true"));
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "IsDefaultClass", if is_default { "Yes" } else { "No" });
    page.field(0, "Annotations", labels_text(&meta["annotations"]));
    page.field(0, "Provisioner", shown(&class["provisioner"]));
    page.field(0, "Parameters", labels_text(&class["parameters"]));
    page.field(0, "AllowVolumeExpansion", flag(&class["allowVolumeExpansion"]));
    let options = items(&class["mountOptions"]);
    if options.is_empty() {
        page.field(0, "MountOptions", "<none>");
    } else {
        page.line(0, "MountOptions:");
        options.iter().for_each(|option| page.line(1, shown(option)));
    }
    page.optional(0, "ReclaimPolicy", &class["reclaimPolicy"]);
    page.optional(0, "VolumeBindingMode", &class["volumeBindingMode"]);
    let topologies = items(&class["allowedTopologies"]);
    if !topologies.is_empty() {
        page.field(0, "AllowedTopologies", "");
    }
    for (at, term) in topologies.iter().enumerate() {
        requirements(&mut page, 1, at, &term["matchLabelExpressions"], |requirement| {
            format!("{} in [{}]", shown(&requirement["key"]), page::joined(&requirement["values"], ", "))
        });
    }
    events::append(subject, &mut page).await;
    Ok(page)
}

/// A PriorityClass.
pub async fn priority_class(subject: &Subject<'_>) -> Result<Page> {
    let class = subject.tree;
    let mut page = Page::default();
    page.field(0, "Name", machinery::meta::name(class));
    page.field(0, "Value", or(&class["value"], "0"));
    page.field(0, "GlobalDefault", or(&class["globalDefault"], "false"));
    page.field(0, "PreemptionPolicy", shown(&class["preemptionPolicy"]));
    page.field(0, "Description", shown(&class["description"]));
    page.field(0, "Annotations", labels_text(&class["metadata"]["annotations"]));
    events::append(subject, &mut page).await;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn modes_are_short_and_in_order() {
        assert_eq!(modes(&json!(["ReadWriteMany", "ReadWriteOnce"])), "RWO,RWX");
    }
}
