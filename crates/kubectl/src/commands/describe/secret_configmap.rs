//! Secrets (sizes only) and ConfigMaps (whole).

use base64::Engine as _;
use serde_json::Value;

use super::page::{Page, entries, shown};
use super::{Subject, events};
use crate::failure::Result;

const TOKEN: &str = "kubernetes.io/service-account-token";

pub async fn secret(subject: &Subject<'_>) -> Result<Page> {
    let secret = subject.tree;
    let mut page = head(secret);
    page.line(0, "");
    page.field(0, "Type", shown(&secret["type"]));
    page.line(0, "");
    page.line(0, "Data");
    page.line(0, "====");
    for (key, value) in entries(&secret["data"]) {
        let bytes = decoded(value);
        if key == "token" && secret["type"] == TOKEN {
            page.field(0, key, String::from_utf8_lossy(&bytes));
        } else {
            page.field(0, key, format_args!("{} bytes", bytes.len()));
        }
    }
    Ok(page)
}

pub async fn configmap(subject: &Subject<'_>) -> Result<Page> {
    let mut page = head(subject.tree);
    page.line(0, "\nData\n====");
    for (key, value) in entries(&subject.tree["data"]) {
        page.line(0, format_args!("{key}:\n----\n{}\n", shown(value)));
    }
    page.line(0, "\nBinaryData\n====");
    for (key, value) in entries(&subject.tree["binaryData"]) {
        page.line(0, format_args!("{key}: {} bytes", decoded(value).len()));
    }
    page.line(0, "");
    events::append(subject, &mut page).await;
    Ok(page)
}

fn head(tree: &Value) -> Page {
    let meta = &tree["metadata"];
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    page
}

/// The server only keeps valid base64.
fn decoded(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(shown(value)).unwrap_or_default()
}
