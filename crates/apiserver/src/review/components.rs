//! ComponentStatus: are the scheduler, the controllers and the store well?
//!
//! Deprecated upstream and answered all the same. Scheduler and controllers run in this process, which ends when
//! one of them does: that it answers says that they are there. The store is asked.

use machinery::object::Object;
use machinery::request::{Answer, Content, List, Request, Verb};
use machinery::status::Status;
use serde_json::{Value, json};

use crate::front::Front;
use crate::health;

const COMPONENTS: &[&str] = &["controller-manager", "etcd-0", "scheduler"];

pub async fn answer(front: &Front, request: &Request) -> Result<Answer, Status> {
    let store = health::store(front).await;
    let all = COMPONENTS.iter().map(|name| component(name, if *name == "etcd-0" { &store } else { &Ok(()) }));
    let content = match request.verb {
        Verb::List => Content::List(List {
            kind: "ComponentStatusList".into(),
            api_version: "v1".into(),
            items: all.map(|tree| Object::from_tree(&tree)).collect(),
            ..List::default()
        }),
        Verb::Get => {
            let found = all.into_iter().find(|tree| tree["metadata"]["name"] == request.name.as_str());
            let none = || Status::not_found("", "componentstatuses", &request.name);
            Content::Object(Object::from_tree(&found.ok_or_else(none)?))
        }
        _ => return Err(Status::method_not_allowed()),
    };
    let warnings = vec!["v1 ComponentStatus is deprecated in v1.19+".to_owned()];
    Ok(Answer { code: 200, warnings, content })
}

fn component(name: &str, state: &Result<(), String>) -> Value {
    let condition = match state {
        Ok(()) => json!({"type": "Healthy", "status": "True", "message": "ok"}),
        Err(why) => json!({"type": "Healthy", "status": "False", "error": why}),
    };
    json!({"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition]})
}
