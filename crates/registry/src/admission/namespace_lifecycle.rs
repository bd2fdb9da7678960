//! NamespaceLifecycle: nothing is made in a namespace that is missing or ending, and the first ones stay.

use machinery::status::{Cause, Status};

use super::{Asked, Operation, Patch, Refusal, View};

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

pub fn admit(asked: &Asked<'_>, view: &View<'_>) -> Result<Patch, Refusal> {
    if asked.is("", "namespaces") {
        if asked.operation == Operation::Delete && IMMORTAL.contains(&asked.name) {
            return Err(asked.forbidden("this namespace may not be deleted"));
        }
        return Ok(Patch::new());
    }
    let review = asked.is("authorization.k8s.io", "localsubjectaccessreviews");
    if asked.namespace.is_empty() || asked.operation == Operation::Delete || review {
        return Ok(Patch::new());
    }
    let Some(namespace) = view.get("core/namespaces", "", asked.namespace) else {
        return Err(Refusal::Denied(Status::not_found("", "namespaces", asked.namespace)));
    };
    let ending = namespace["status"]["phase"] == "Terminating";
    if asked.operation != Operation::Create || !ending {
        return Ok(Patch::new());
    }
    let why = format!("unable to create new content in namespace {} because it is being terminated", asked.namespace);
    let mut status = asked.forbidden(&why).into_status();
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {} is being terminated", asked.namespace),
            field: "metadata.namespace".into(),
        });
    }
    Err(Refusal::Denied(status))
}
