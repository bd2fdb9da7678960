//! Roles and bindings.

use serde_json::Value;

use super::Subject;
use super::page::{Page, items, shown};
use crate::failure::Result;

/// One line of a role: a resource of a group, or a URL, and what may be done.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rule {
    verbs: Vec<String>,
    group: Option<String>,
    resource: Option<String>,
    names: Vec<String>,
    url: Option<String>,
}

impl Rule {
    /// Upstream sorts rules by this text of theirs.
    fn key(&self) -> String {
        let one = |part: &Option<String>| part.clone().unwrap_or_default();
        format!(
            "Verbs:[{}],APIGroups:[{}],Resources:[{}],ResourceNames:[{}],NonResourceURLs:[{}],",
            self.verbs.join(" "),
            one(&self.group),
            one(&self.resource),
            self.names.join(" "),
            one(&self.url)
        )
    }

    /// `deployments.apps/scale`.
    fn resource(&self) -> String {
        let Some(resource) = &self.resource else { return String::new() };
        let (name, sub) = resource.split_once('/').map_or((resource.as_str(), None), |(name, sub)| (name, Some(sub)));
        let group = self.group.as_deref().filter(|group| !group.is_empty());
        let group = group.map(|group| format!(".{group}")).unwrap_or_default();
        let sub = sub.map(|sub| format!("/{sub}")).unwrap_or_default();
        format!("{name}{group}{sub}")
    }
}

fn texts(list: &Value) -> Vec<String> {
    items(list).iter().map(shown).collect()
}

/// Rules taken apart to one resource and one name each, the verbs of equal ones together.
fn apart(rules: &Value) -> Vec<Rule> {
    let mut all: Vec<Rule> = Vec::new();
    for rule in items(rules) {
        let verbs = texts(&rule["verbs"]);
        let names: Vec<Vec<String>> = match texts(&rule["resourceNames"]) {
            none if none.is_empty() => vec![Vec::new()],
            names => names.into_iter().map(|name| vec![name]).collect(),
        };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for names in &names {
                    let one = Rule {
                        verbs: verbs.clone(),
                        group: Some(group.clone()),
                        resource: Some(resource.clone()),
                        names: names.clone(),
                        url: None,
                    };
                    match all
                        .iter_mut()
                        .find(|r| r.group == one.group && r.resource == one.resource && r.names == one.names)
                    {
                        Some(known) => known.verbs.extend(one.verbs),
                        None => all.push(one),
                    }
                }
            }
        }
        for url in texts(&rule["nonResourceURLs"]) {
            all.extend(verbs.iter().map(|verb| Rule {
                verbs: vec![verb.clone()],
                url: Some(url.clone()),
                ..Rule::default()
            }));
        }
    }
    all.sort_by_key(Rule::key);
    all
}

/// Rules as lines of a table: resource, URLs, names, verbs.
pub fn rows(rules: &Value) -> Vec<[String; 4]> {
    let row = |rule: Rule| {
        let url = rule.url.as_deref().unwrap_or_default();
        [
            rule.resource(),
            format!("[{url}]"),
            format!("[{}]", rule.names.join(" ")),
            format!("[{}]", rule.verbs.join(" ")),
        ]
    };
    apart(rules).into_iter().map(row).collect()
}

pub async fn role(subject: &Subject<'_>) -> Result<Page> {
    let role = subject.tree;
    let meta = &role["metadata"];
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.line(0, "PolicyRule:");
    page.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    page.line(1, "---------\t-----------------\t--------------\t-----");
    rows(&role["rules"]).iter().for_each(|row| page.line(1, row.join("\t")));
    Ok(page)
}

pub async fn binding(subject: &Subject<'_>) -> Result<Page> {
    let binding = subject.tree;
    let meta = &binding["metadata"];
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page.line(0, "Role:");
    page.field(1, "Kind", shown(&binding["roleRef"]["kind"]));
    page.field(1, "Name", shown(&binding["roleRef"]["name"]));
    page.line(0, "Subjects:");
    page.line(1, "Kind\tName\tNamespace");
    page.line(1, "----\t----\t---------");
    for subject in items(&binding["subjects"]) {
        let [kind, name, namespace] = ["kind", "name", "namespace"].map(|field| shown(&subject[field]));
        page.line(1, format_args!("{kind}\t{name}\t{namespace}"));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_taken_apart_and_verbs_put_together() {
        let rules = json!([
            {"apiGroups": ["", "apps"], "resources": ["a", "a/log"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["a"], "verbs": ["list"]},
            {"nonResourceURLs": ["/x"], "verbs": ["get", "put"]},
        ]);
        let mut found: Vec<String> =
            apart(&rules).iter().map(|rule| format!("{} {}", rule.resource(), rule.verbs.join("+"))).collect();
        found.sort();
        assert_eq!(found, [" get", " put", "a get+list", "a.apps get", "a.apps/log get", "a/log get"]);
    }
}
