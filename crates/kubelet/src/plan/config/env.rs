//! A container's environment: Services, `envFrom`, `env` with references and sources.
//!
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables>.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};
use machinery::validation::env_var_name;

use super::expand::expand;
use super::facts::{Node, Refs};
use super::{field, service_env};
use crate::plan::spec;

/// A made environment, and what the pod's events should say about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment {
    pub variables: BTreeMap<String, String>,
    /// Messages of `InvalidEnvironmentVariableNames` events.
    pub invalid: Vec<String>,
}

/// Makes the environment of `container`; `ips` are the pod's addresses.
///
/// # Errors
/// The message of a `CreateContainerConfigError`.
pub fn environment(
    pod: &Pod,
    container: &Container,
    refs: &Refs,
    node: &Node,
    ips: &[String],
) -> Result<Environment, String> {
    let links = spec::spec(pod).enable_service_links.unwrap_or(true);
    let services = refs.services.iter().map(AsRef::as_ref);
    let service_env = service_env::variables(spec::namespace(pod), links, services);
    let mut out = Environment::default();
    from_objects(pod, container, refs, &mut out)?;
    for var in container.env.iter().flatten() {
        let value = match (&var.value, &var.value_from) {
            (Some(text), _) if !text.is_empty() => {
                let known = |name: &str| out.variables.get(name).or_else(|| service_env.get(name)).cloned();
                Some(expand(text, &known))
            }
            (_, Some(_)) => from_source(pod, container, var, refs, node, ips)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            out.variables.insert(var.name.clone(), value);
        }
    }
    for (name, value) in service_env {
        out.variables.entry(name).or_insert(value);
    }
    Ok(out)
}

/// `envFrom`: every valid key of whole ConfigMaps and Secrets.
fn from_objects(pod: &Pod, container: &Container, refs: &Refs, out: &mut Environment) -> Result<(), String> {
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let (sort, name, pairs) = if let Some(r) = &source.config_map_ref {
            let found = refs.config_maps.get(&r.name);
            if found.is_none() && !r.optional.unwrap_or(false) {
                return Err(format!("configmap {:?} not found", r.name));
            }
            let pairs = found.iter().flat_map(|m| m.data.iter().flatten()).map(|(k, v)| (k.clone(), v.clone()));
            ("configMap", &r.name, pairs.collect::<Vec<_>>())
        } else if let Some(r) = &source.secret_ref {
            let found = refs.secrets.get(&r.name);
            if found.is_none() && !r.optional.unwrap_or(false) {
                return Err(format!("secret {:?} not found", r.name));
            }
            let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
            let pairs = found.iter().flat_map(|s| s.data.iter().flatten()).map(|(k, v)| (k.clone(), text(&v.0)));
            ("secret", &r.name, pairs.collect())
        } else {
            continue;
        };
        let mut invalid = Vec::new();
        for (key, value) in pairs {
            let key = format!("{prefix}{key}");
            if env_var_name(&key).is_empty() {
                out.variables.insert(key, value);
            } else {
                invalid.push(key);
            }
        }
        if !invalid.is_empty() {
            invalid.sort();
            let (keys, namespace) = (invalid.join(", "), spec::namespace(pod));
            out.invalid.push(format!(
                "Keys [{keys}] from the EnvFrom {sort} {namespace}/{name} were skipped since they are considered \
                 invalid environment variable names."
            ));
        }
    }
    Ok(())
}

/// `valueFrom`; nothing when the source is optional and absent.
fn from_source(
    pod: &Pod,
    container: &Container,
    var: &EnvVar,
    refs: &Refs,
    node: &Node,
    ips: &[String],
) -> Result<Option<String>, String> {
    let Some(source) = &var.value_from else { return Ok(None) };
    let namespace = spec::namespace(pod);
    if let Some(f) = &source.field_ref {
        return field::field(pod, &f.field_path, node, ips).map(Some);
    }
    if let Some(r) = &source.resource_field_ref {
        return field::resource(pod, &container.name, r, node).map(Some);
    }
    if let Some(r) = &source.config_map_key_ref {
        let optional = r.optional.unwrap_or(false);
        let Some(map) = refs.config_maps.get(&r.name) else {
            return if optional { Ok(None) } else { Err(format!("configmap {:?} not found", r.name)) };
        };
        return match map.data.as_ref().and_then(|d| d.get(&r.key)) {
            Some(value) => Ok(Some(value.clone())),
            None if optional => Ok(None),
            None => Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", r.key, r.name)),
        };
    }
    if let Some(r) = &source.secret_key_ref {
        let optional = r.optional.unwrap_or(false);
        let Some(secret) = refs.secrets.get(&r.name) else {
            return if optional { Ok(None) } else { Err(format!("secret {:?} not found", r.name)) };
        };
        return match secret.data.as_ref().and_then(|d| d.get(&r.key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None if optional => Ok(None),
            None => Err(format!("couldn't find key {} in Secret {namespace}/{}", r.key, r.name)),
        };
    }
    Err(format!("environment variable {:?} has a source that this kubelet does not know", var.name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn references_see_earlier_variables_and_services() {
        let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(C)"},
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
            {"name": "O", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": true}}}]);
        let from = json!([{"prefix": "P_", "configMapRef": {"name": "m"}}]);
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [{"name": "c", "env": env, "envFrom": from}]}}))
        .unwrap();
        let map = serde_json::from_value(json!({"metadata": {}, "data": {"k": "v", "bad=key": "x"}})).unwrap();
        let refs = Refs { config_maps: [("m".into(), Arc::new(map))].into(), ..Refs::default() };
        let made = environment(&pod, &spec::containers(&pod)[0], &refs, &Node::default(), &[]).unwrap();
        assert_eq!(made.variables["B"], "1-$(C)");
        assert_eq!((&*made.variables["K"], &*made.variables["P_k"]), ("v", "v"));
        assert!(!made.variables.contains_key("O"));
        assert_eq!(made.invalid.len(), 1);
        let none = environment(&pod, &spec::containers(&pod)[0], &Refs::default(), &Node::default(), &[]);
        assert_eq!(none.unwrap_err(), "configmap \"m\" not found");
    }
}
