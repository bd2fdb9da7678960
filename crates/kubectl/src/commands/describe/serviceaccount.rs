//! A ServiceAccount with its secrets.

use client::Options;
use serde_json::Value;

use super::page::{Page, items, shown};
use super::{Subject, events};
use crate::failure::Result;
use crate::select;

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const TOKEN: &str = "kubernetes.io/service-account-token";

pub async fn describe(subject: &Subject<'_>) -> Result<Page> {
    let account = subject.tree;
    let meta = &account["metadata"];
    let mut page = Page::default();
    page.field(0, "Name", shown(&meta["name"]));
    page.field(0, "Namespace", shown(&meta["namespace"]));
    page.labels("Labels", &meta["labels"]);
    page.annotations("Annotations", &meta["annotations"]);
    // Without the right to read secrets their names are shown all the same.
    let secrets = secrets(subject).await.ok();
    let is_missing =
        |name: &str| secrets.as_ref().is_some_and(|all| all.iter().all(|secret| machinery::meta::name(secret) != name));
    let names = |list: &Value| items(list).iter().map(|entry| shown(&entry["name"])).collect::<Vec<_>>();
    let tokens = secrets.iter().flatten().filter(|secret| is_token_of(secret, account));
    let tokens: Vec<String> = tokens.map(|secret| machinery::meta::name(secret).to_owned()).collect();
    for (title, names) in [
        ("Image pull secrets:", names(&account["imagePullSecrets"])),
        ("Mountable secrets: ", names(&account["secrets"])),
        ("Tokens:            ", tokens),
    ] {
        if names.is_empty() {
            page.line(0, format_args!("{title}\t<none>"));
        }
        for (at, name) in names.iter().enumerate() {
            let title = if at == 0 { title } else { "                   " };
            let lost = if is_missing(name) { " (not found)" } else { "" };
            page.line(0, format_args!("{title}\t{name}{lost}"));
        }
    }
    events::append(subject, &mut page).await;
    Ok(page)
}

async fn secrets(subject: &Subject<'_>) -> Result<Vec<Value>> {
    let served = subject.session.discovery().await?.of_kind("v1", "Secret")?;
    let namespace = machinery::meta::namespace(subject.tree);
    let list = select::list(subject.session, served, namespace, Options::default()).await?;
    Ok(list.items.iter().map(|object| Value::clone(&object.tree())).collect())
}

fn is_token_of(secret: &Value, account: &Value) -> bool {
    use machinery::meta::{annotation, name, uid};
    secret["type"] == TOKEN
        && annotation(secret, ACCOUNT_NAME) == Some(name(account))
        && annotation(secret, ACCOUNT_UID) == Some(uid(account))
}
