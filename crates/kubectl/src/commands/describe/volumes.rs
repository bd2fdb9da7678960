//! The volumes of a pod or of a template: a table of sources, each with its title and fields.

use serde_json::Value;

use super::page::{Page, entries, items, joined, or, shown};

const LINE_BYTES_MAX: usize = 140;

/// How a field is shown when it is absent.
enum Field {
    Text(&'static str, &'static str),
    Flag(&'static str, &'static str),
    Number(&'static str, &'static str),
    Or(&'static str, &'static str, &'static str),
}
use Field::{Flag, Number, Or, Text};

struct Source {
    field: &'static str,
    title: &'static str,
    fields: &'static [Field],
}

const SOURCES: &[Source] = &[
    Source {
        field: "hostPath",
        title: "HostPath (bare host directory volume)",
        fields: &[Text("Path", "path"), Or("HostPathType", "type", "<none>")],
    },
    Source {
        field: "emptyDir",
        title: "EmptyDir (a temporary directory that shares a pod's lifetime)",
        fields: &[Text("Medium", "medium"), Or("SizeLimit", "sizeLimit", "<unset>")],
    },
    Source {
        field: "secret",
        title: "Secret (a volume populated by a Secret)",
        fields: &[Text("SecretName", "secretName"), Flag("Optional", "optional")],
    },
    Source {
        field: "configMap",
        title: "ConfigMap (a volume populated by a ConfigMap)",
        fields: &[Text("Name", "name"), Flag("Optional", "optional")],
    },
    Source {
        field: "nfs",
        title: "NFS (an NFS mount that lasts the lifetime of a pod)",
        fields: &[Text("Server", "server"), Text("Path", "path"), Flag("ReadOnly", "readOnly")],
    },
    Source {
        field: "gcePersistentDisk",
        title: "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
        fields: &[
            Text("PDName", "pdName"),
            Text("FSType", "fsType"),
            Number("Partition", "partition"),
            Flag("ReadOnly", "readOnly"),
        ],
    },
    Source {
        field: "awsElasticBlockStore",
        title: "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
        fields: &[
            Text("VolumeID", "volumeID"),
            Text("FSType", "fsType"),
            Number("Partition", "partition"),
            Flag("ReadOnly", "readOnly"),
        ],
    },
    Source {
        field: "gitRepo",
        title: "GitRepo (a volume that is pulled from git when the pod is created)",
        fields: &[Text("Repository", "repository"), Text("Revision", "revision")],
    },
    Source {
        field: "persistentVolumeClaim",
        title: "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        fields: &[Text("ClaimName", "claimName"), Flag("ReadOnly", "readOnly")],
    },
    Source {
        field: "csi",
        title: "CSI (a Container Storage Interface (CSI) volume source)",
        fields: &[Text("Driver", "driver"), Text("FSType", "fsType"), Flag("ReadOnly", "readOnly")],
    },
    Source {
        field: "image",
        title: "Image (a container image or OCI artifact)",
        fields: &[Text("Reference", "reference"), Text("PullPolicy", "pullPolicy")],
    },
    Source {
        field: "projected",
        title: "Projected (a volume that contains injected data from multiple sources)",
        fields: &[],
    },
    Source {
        field: "downwardAPI",
        title: "DownwardAPI (a volume populated by information about the pod)",
        fields: &[],
    },
    Source {
        field: "ephemeral",
        title: "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
        fields: &[],
    },
];

/// Sources that PersistentVolumes have and pods have not, or have otherwise.
const OF_VOLUMES: &[Source] = &[
    Source {
        field: "csi",
        title: "CSI (a Container Storage Interface (CSI) volume source)",
        fields: &[
            Text("Driver", "driver"),
            Text("FSType", "fsType"),
            Text("VolumeHandle", "volumeHandle"),
            Flag("ReadOnly", "readOnly"),
        ],
    },
    Source {
        field: "local",
        title: "LocalVolume (a persistent volume backed by local storage on a node)",
        fields: &[Text("Path", "path")],
    },
];

/// `indent` is two spaces below a template's title.
pub fn describe(page: &mut Page, volumes: &Value, indent: &str) {
    let all = items(volumes);
    if all.is_empty() {
        return page.line(0, format_args!("{indent}Volumes:\t<none>"));
    }
    page.line(0, format_args!("{indent}Volumes:"));
    let nudge = if indent.is_empty() { "" } else { " " };
    for volume in all {
        page.line(1, format_args!("{nudge}{}:", shown(&volume["name"])));
        match SOURCES.iter().find(|source| !volume[source.field].is_null()) {
            Some(source) => one(page, source, &volume[source.field]),
            None => page.line(1, "<unknown>"),
        }
    }
}

fn one(page: &mut Page, source: &Source, value: &Value) {
    page.field(2, "Type", source.title);
    for field in source.fields {
        match *field {
            Text(title, name) => page.field(2, title, shown(&value[name])),
            Flag(title, name) => page.field(2, title, or(&value[name], "false")),
            Number(title, name) => page.field(2, title, or(&value[name], "0")),
            Or(title, name, none) if value[name].is_null() => page.field(2, title, none),
            Or(title, name, _) => page.field(2, title, shown(&value[name])),
        }
    }
    match source.field {
        "csi" => attributes(page, &value["volumeAttributes"]),
        "projected" => items(&value["sources"]).iter().for_each(|part| projected(page, part)),
        "downwardAPI" => downward(page, value),
        "ephemeral" => claim(page, &value["volumeClaimTemplate"]),
        _ => {}
    }
}

fn projected(page: &mut Page, part: &Value) {
    let (secret, map, token) = (&part["secret"], &part["configMap"], &part["serviceAccountToken"]);
    let optional = |reference: &Value| or(&reference["optional"], "<nil>");
    if !secret.is_null() {
        page.field(2, "SecretName", shown(&secret["name"]));
        page.field(2, "SecretOptionalName", optional(secret));
    } else if !part["downwardAPI"].is_null() {
        page.field(2, "DownwardAPI", "true");
    } else if !map.is_null() {
        page.field(2, "ConfigMapName", shown(&map["name"]));
        page.field(2, "ConfigMapOptional", optional(map));
    } else if !token.is_null() {
        page.field(2, "TokenExpirationSeconds", shown(&token["expirationSeconds"]));
    }
}

fn downward(page: &mut Page, value: &Value) {
    page.line(2, "Items:");
    for item in items(&value["items"]) {
        for from in [&item["fieldRef"]["fieldPath"], &item["resourceFieldRef"]["resource"]] {
            if !from.is_null() {
                page.line(3, format_args!("{} -> {}", shown(from), shown(&item["path"])));
            }
        }
    }
}

fn attributes(page: &mut Page, attributes: &Value) {
    let mut lines = entries(attributes).map(|(key, value)| {
        let line = format!("{key}={}", shown(value));
        if line.len() > LINE_BYTES_MAX {
            format!("{}...", line.chars().take(LINE_BYTES_MAX).collect::<String>())
        } else {
            line
        }
    });
    page.field(2, "VolumeAttributes", lines.next().unwrap_or_else(|| "<none>".into()));
    // Upstream indents before and after the tab.
    lines.for_each(|line| page.line(2, format_args!("\t    {line}")));
}

fn claim(page: &mut Page, template: &Value) {
    let spec = &template["spec"];
    page.field(2, "StorageClass", shown(&spec["storageClassName"]));
    page.field(2, "Volume", shown(&spec["volumeName"]));
    page.labels("    Labels", &template["metadata"]["labels"]);
    page.annotations("    Annotations", &template["metadata"]["annotations"]);
    page.field(2, "Capacity", "");
    page.field(2, "Access Modes", "");
    page.optional(2, "VolumeMode", &spec["volumeMode"]);
    data_source(page, 2, &spec["dataSource"]);
}

/// What a claim is filled from.
pub fn data_source(page: &mut Page, level: usize, source: &Value) {
    if source.is_null() {
        return;
    }
    page.line(level, "DataSource:");
    page.optional(level + 1, "APIGroup", &source["apiGroup"]);
    page.field(level + 1, "Kind", shown(&source["kind"]));
    page.field(level + 1, "Name", shown(&source["name"]));
}

/// What a PersistentVolume is made of.
pub fn source(page: &mut Page, spec: &Value) {
    match OF_VOLUMES.iter().chain(SOURCES).find(|source| !spec[source.field].is_null()) {
        Some(source) => one(page, source, &spec[source.field]),
        None => page.line(1, "<unknown>"),
    }
}

/// The claim templates of a StatefulSet.
pub fn claim_templates(page: &mut Page, templates: &Value) {
    if items(templates).is_empty() {
        return page.field(0, "Volume Claims", "<none>");
    }
    page.line(0, "Volume Claims:");
    for claim in items(templates) {
        page.field(1, "Name", shown(&claim["metadata"]["name"]));
        page.field(1, "StorageClass", shown(&claim["spec"]["storageClassName"]));
        page.labels("  Labels", &claim["metadata"]["labels"]);
        page.labels("  Annotations", &claim["metadata"]["annotations"]);
        page.field(1, "Capacity", or(&claim["spec"]["resources"]["requests"]["storage"], "<default>"));
        page.field(1, "Access Modes", format_args!("[{}]", joined(&claim["spec"]["accessModes"], " ")));
    }
}
