//! What the server serves: kinds, their names and scopes, by aggregated discovery, else group by group.
//!
//! Source: <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api>.

use client::https::Https;
use http::Method;
use serde_json::Value;

use crate::failure::{Result, error};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// A resource that the server serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub is_namespaced: bool,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub verbs: Vec<String>,
    pub subresources: Vec<String>,
}

impl Served {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, as messages name it.
    pub fn qualified(&self) -> String {
        machinery::names::qualified(&self.plural, &self.group)
    }

    /// `deployment.apps`, as `-o name` and messages about one object name it.
    pub fn singular_qualified(&self) -> String {
        machinery::names::qualified(&self.kind.to_lowercase(), &self.group)
    }

    pub fn resource(&self) -> client::Resource {
        client::Resource::new(&self.group, &self.version, &self.plural, &self.kind)
    }

    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// Whether a lower-case word means it.
    pub fn is_called(&self, name: &str) -> bool {
        self.plural == name
            || self.singular == name
            || self.kind.to_lowercase() == name
            || self.short_names.iter().any(|short| short == name)
    }
}

/// All resources, preferred versions of a group first.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    pub all: Vec<Served>,
}

impl Discovery {
    pub async fn ask(https: &Https) -> Result<Self> {
        let mut all = Vec::new();
        for root in ["/api", "/apis"] {
            let answer = https.raw(Method::GET, root, AGGREGATED, None).await?;
            let tree: Value = parse(&answer.body)?;
            match tree["kind"].as_str() {
                Some("APIGroupDiscoveryList") => all.extend(aggregated(&tree)),
                _ => all.extend(one_by_one(https, root, &tree).await?),
            }
        }
        Ok(Self { all })
    }

    /// The resource a user means: `po`, `pods`, `pod`, `deployments.apps`, `deployments.v1.apps`.
    ///
    /// # Errors
    /// Nothing is called so.
    pub fn find(&self, word: &str) -> Result<&Served> {
        let lower = word.to_lowercase();
        let mut parts = lower.splitn(2, '.');
        let (name, rest) = (parts.next().unwrap_or_default(), parts.next());
        let fits = |served: &&Served| {
            let in_group = match rest {
                None => true,
                Some(rest) => {
                    served.group == rest || format!("{}.{}", served.version, served.group).trim_end_matches('.') == rest
                }
            };
            served.is_called(name) && in_group
        };
        match self.all.iter().find(fits) {
            Some(served) => Ok(served),
            None => error(format!("the server doesn't have a resource type \"{word}\"")),
        }
    }

    /// The resources of a category such as `all`, each group in its preferred version.
    pub fn category(&self, name: &str) -> Vec<&Served> {
        let mut found: Vec<&Served> = Vec::new();
        for served in self.all.iter().filter(|s| s.categories.iter().any(|c| c == name)) {
            if !found.iter().any(|f| f.group == served.group && f.plural == served.plural) {
                found.push(served);
            }
        }
        found
    }

    /// The resource behind an object's apiVersion and kind.
    ///
    /// # Errors
    /// `no matches for kind "X" in version "Y"`.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Result<&Served> {
        match self.all.iter().find(|s| s.kind == kind && s.api_version() == api_version) {
            Some(served) => Ok(served),
            None => error(format!(
                "resource mapping not found: no matches for kind \"{kind}\" in version \"{api_version}\"\n\
                 ensure CRDs are installed first"
            )),
        }
    }
}

fn parse(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).map_err(|e| crate::Failure::Here(format!("the server's discovery is not JSON: {e}")))
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn aggregated(tree: &Value) -> Vec<Served> {
    let mut found = Vec::new();
    for group in tree["items"].as_array().into_iter().flatten() {
        for version in group["versions"].as_array().into_iter().flatten() {
            for resource in version["resources"].as_array().into_iter().flatten() {
                let subresources = resource["subresources"].as_array().into_iter().flatten();
                found.push(Served {
                    group: text(&group["metadata"]["name"]),
                    version: text(&version["version"]),
                    plural: text(&resource["resource"]),
                    singular: text(&resource["singularResource"]),
                    kind: text(&resource["responseKind"]["kind"]),
                    is_namespaced: resource["scope"] == "Namespaced",
                    short_names: strings(&resource["shortNames"]),
                    categories: strings(&resource["categories"]),
                    verbs: strings(&resource["verbs"]),
                    subresources: subresources.map(|s| text(&s["subresource"])).collect(),
                });
            }
        }
    }
    found
}

/// Servers without aggregated discovery: one request per group and version.
async fn one_by_one(https: &Https, root: &str, tree: &Value) -> Result<Vec<Served>> {
    let mut versions: Vec<String> = strings(&tree["versions"]);
    for group in tree["groups"].as_array().into_iter().flatten() {
        let listed = group["versions"].as_array().into_iter().flatten();
        versions.extend(listed.map(|version| text(&version["groupVersion"])));
    }
    let mut found = Vec::new();
    for version in versions {
        let answer = https.raw(Method::GET, &format!("{root}/{version}"), "application/json", None).await?;
        found.extend(resources(&parse(&answer.body)?));
    }
    Ok(found)
}

fn resources(list: &Value) -> Vec<Served> {
    let of = text(&list["groupVersion"]);
    let (group, version) = of.split_once('/').unwrap_or(("", &of));
    let entries: Vec<&Value> = list["resources"].as_array().into_iter().flatten().collect();
    let parents = entries.iter().filter(|entry| !text(&entry["name"]).contains('/'));
    let mut found = Vec::new();
    for entry in parents {
        let plural = text(&entry["name"]);
        let below = format!("{plural}/");
        let names = entries.iter().map(|other| text(&other["name"]));
        found.push(Served {
            group: group.to_owned(),
            version: version.to_owned(),
            singular: text(&entry["singularName"]),
            kind: text(&entry["kind"]),
            is_namespaced: entry["namespaced"] == true,
            short_names: strings(&entry["shortNames"]),
            categories: strings(&entry["categories"]),
            verbs: strings(&entry["verbs"]),
            subresources: names.filter_map(|name| name.strip_prefix(&below).map(str::to_owned)).collect(),
            plural,
        });
    }
    found
}
