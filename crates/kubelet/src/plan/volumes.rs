//! What each volume of a pod holds: a pure function of the pod and the objects that it refers to.
//!
//! Source: <https://kubernetes.io/docs/concepts/storage/volumes/> and `…/projected-volumes/>.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret, Volume, VolumeProjection,
};
use volume::folder::File;

use super::config::facts::{Node, Refs};
use super::config::{field, security};
use super::{qos, spec};

const TOKEN_SECONDS_DEFAULT: i64 = 3600;
const MODE_DEFAULT: i32 = 0o644;
/// A token's file, when only one user or the pod's group may read it.
const TOKEN_MODE_PRIVATE: u32 = 0o600;

pub type Files = BTreeMap<String, File>;

/// What a volume should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    Empty {
        memory: bool,
        limit_bytes: Option<u64>,
    },
    Host {
        path: String,
        kind: String,
    },
    /// Files that follow their sources; `plugin` names the folder as upstream does.
    Files {
        plugin: &'static str,
        files: Files,
    },
}

/// A service account token that a projected volume asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    pub audience: String,
    pub seconds: i64,
}

pub type Tokens = BTreeMap<Token, String>;

fn projections(volume: &Volume) -> impl Iterator<Item = &VolumeProjection> {
    volume.projected.iter().flat_map(|p| p.sources.iter().flatten())
}

/// The tokens to be had before [`wanted`] can be asked.
pub fn tokens(pod: &Pod) -> BTreeSet<Token> {
    let volumes = spec::spec(pod).volumes.iter().flatten();
    let sources = volumes.flat_map(projections).filter_map(|p| p.service_account_token.as_ref());
    sources.map(|s| token(s.audience.as_deref(), s.expiration_seconds)).collect()
}

fn token(audience: Option<&str>, seconds: Option<i64>) -> Token {
    Token { audience: audience.unwrap_or_default().into(), seconds: seconds.unwrap_or(TOKEN_SECONDS_DEFAULT) }
}

/// The names of the ConfigMaps and Secrets that the pod refers to anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub config_maps: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
}

/// All objects that the pod's containers, volumes and pulls refer to.
pub fn names(pod: &Pod) -> Names {
    let mut out = Names::default();
    let ephemeral = spec::ephemeral_containers(pod);
    for container in spec::init_containers(pod).iter().chain(spec::containers(pod)).chain(&ephemeral) {
        for from in container.env_from.iter().flatten() {
            out.config_maps.extend(from.config_map_ref.iter().map(|r| r.name.clone()));
            out.secrets.extend(from.secret_ref.iter().map(|r| r.name.clone()));
        }
        for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
            out.config_maps.extend(source.config_map_key_ref.iter().map(|r| r.name.clone()));
            out.secrets.extend(source.secret_key_ref.iter().map(|r| r.name.clone()));
        }
    }
    for volume in spec::spec(pod).volumes.iter().flatten() {
        out.config_maps.extend(volume.config_map.iter().map(|s| s.name.clone()));
        out.secrets.extend(volume.secret.iter().filter_map(|s| s.secret_name.clone()));
        for source in projections(volume) {
            out.config_maps.extend(source.config_map.iter().map(|s| s.name.clone()));
            out.secrets.extend(source.secret.iter().map(|s| s.name.clone()));
        }
    }
    let pulls = spec::spec(pod).image_pull_secrets.iter().flatten();
    out.secrets.extend(pulls.map(|s| s.name.clone()).filter(|n| !n.is_empty()));
    out
}

/// What this volume should be now.
///
/// # Errors
/// The message of a `FailedMount` event.
pub fn wanted(pod: &Pod, volume: &Volume, refs: &Refs, node: &Node, tokens: &Tokens) -> Result<Wanted, String> {
    if let Some(empty) = &volume.empty_dir {
        let limit = empty.size_limit.as_ref().map(|q| BTreeMap::from([("b".to_owned(), q.clone())]));
        let bytes = qos::whole(limit.as_ref(), "b");
        let limit_bytes = u64::try_from(bytes).ok().filter(|b| *b > 0);
        return match empty.medium.as_deref() {
            None | Some("") => Ok(Wanted::Empty { memory: false, limit_bytes }),
            Some("Memory") => Ok(Wanted::Empty { memory: true, limit_bytes }),
            Some(other) => Err(format!("unknown storage medium {other:?}")),
        };
    }
    if let Some(host) = &volume.host_path {
        return Ok(Wanted::Host { path: host.path.clone(), kind: host.type_.clone().unwrap_or_default() });
    }
    let (plugin, files) = if let Some(source) = &volume.config_map {
        let map = refs.config_maps.get(&source.name).map(AsRef::as_ref);
        let pick = Pick { items: source.items.as_deref(), optional: source.optional, mode: source.default_mode };
        ("configmap", config_map(&source.name, map, &pick)?)
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let found = refs.secrets.get(name).map(AsRef::as_ref);
        let pick = Pick { items: source.items.as_deref(), optional: source.optional, mode: source.default_mode };
        ("secret", secret(name, found, &pick)?)
    } else if let Some(source) = &volume.downward_api {
        ("downward-api", downward(pod, source.items.as_deref(), source.default_mode, node)?)
    } else if let Some(source) = &volume.projected {
        ("projected", projected(pod, source, refs, node, tokens)?)
    } else {
        return Err(unsupported(volume));
    };
    Ok(Wanted::Files { plugin, files })
}

fn unsupported(volume: &Volume) -> String {
    let kind = if volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some() {
        "PersistentVolumeClaims"
    } else if volume.csi.is_some() {
        "CSI volumes"
    } else if volume.image.is_some() {
        "image volumes"
    } else {
        "this kind of volume"
    };
    format!("this node does not support {kind} yet")
}

/// Which keys under which paths and modes.
struct Pick<'a> {
    items: Option<&'a [KeyToPath]>,
    optional: Option<bool>,
    mode: Option<i32>,
}

fn file(content: &[u8], mode: Option<i32>, default: Option<i32>) -> File {
    let mode = mode.or(default).unwrap_or(MODE_DEFAULT).unsigned_abs();
    File { content: content.to_vec(), mode, uid: None, gid: None }
}

fn config_map(name: &str, map: Option<&ConfigMap>, pick: &Pick) -> Result<Files, String> {
    let Some(map) = map else { return absent("configmap", name, pick) };
    let text = map.data.iter().flatten().map(|(k, v)| (k.as_str(), v.as_bytes()));
    let binary = map.binary_data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice()));
    choose(&text.chain(binary).collect(), pick, "config key")
}

fn secret(name: &str, secret: Option<&Secret>, pick: &Pick) -> Result<Files, String> {
    let Some(secret) = secret else { return absent("secret", name, pick) };
    let data = secret.data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice()));
    choose(&data.collect(), pick, "secret key")
}

fn absent(sort: &str, name: &str, pick: &Pick) -> Result<Files, String> {
    match pick.optional {
        Some(true) => Ok(Files::new()),
        _ => Err(format!("{sort} {name:?} not found")),
    }
}

fn choose(data: &BTreeMap<&str, &[u8]>, pick: &Pick, what: &str) -> Result<Files, String> {
    let Some(items) = pick.items.filter(|i| !i.is_empty()) else {
        return Ok(data.iter().map(|(k, v)| ((*k).to_owned(), file(v, None, pick.mode))).collect());
    };
    let mut out = Files::new();
    for item in items {
        match data.get(item.key.as_str()) {
            Some(content) => drop(out.insert(item.path.clone(), file(content, item.mode, pick.mode))),
            None if pick.optional == Some(true) => {}
            None => return Err(format!("references non-existent {what}: {}", item.key)),
        }
    }
    Ok(out)
}

fn downward(
    pod: &Pod,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: Option<i32>,
    node: &Node,
) -> Result<Files, String> {
    let mut out = Files::new();
    for item in items.into_iter().flatten() {
        let text = if let Some(f) = &item.field_ref {
            field::field(pod, &f.field_path, node, &[])?
        } else if let Some(r) = &item.resource_field_ref {
            field::resource(pod, "", r, node)?
        } else {
            continue;
        };
        out.insert(item.path.clone(), file(text.as_bytes(), item.mode, mode));
    }
    Ok(out)
}

fn projected(
    pod: &Pod,
    source: &ProjectedVolumeSource,
    refs: &Refs,
    node: &Node,
    tokens: &Tokens,
) -> Result<Files, String> {
    let mode = source.default_mode;
    let mut out = Files::new();
    for part in source.sources.iter().flatten() {
        if let Some(s) = &part.config_map {
            let map = refs.config_maps.get(&s.name).map(AsRef::as_ref);
            out.extend(config_map(&s.name, map, &Pick { items: s.items.as_deref(), optional: s.optional, mode })?);
        } else if let Some(s) = &part.secret {
            let found = refs.secrets.get(&s.name).map(AsRef::as_ref);
            out.extend(secret(&s.name, found, &Pick { items: s.items.as_deref(), optional: s.optional, mode })?);
        } else if let Some(s) = &part.downward_api {
            out.extend(downward(pod, s.items.as_deref(), mode, node)?);
        } else if let Some(s) = &part.service_account_token {
            let wish = token(s.audience.as_deref(), s.expiration_seconds);
            let text = tokens.get(&wish).ok_or("failed to fetch token: it was not issued")?;
            out.insert(s.path.clone(), token_file(pod, text, mode));
        } else {
            return Err("this node does not support this source of a projected volume".into());
        }
    }
    Ok(out)
}

/// A token is readable by the one user of all containers, or by the pod's group, if there is such a one.
fn token_file(pod: &Pod, text: &str, mode: Option<i32>) -> File {
    let mut out = file(text.as_bytes(), None, mode);
    let all = spec::init_containers(pod).iter().chain(spec::containers(pod));
    let users: BTreeSet<_> = all.map(|c| security::effective(pod, c).run_as_user).collect();
    let single = users.first().copied().flatten().filter(|_| users.len() == 1);
    let group = fs_group(pod);
    if single.is_some() || group.is_some() {
        out.mode = TOKEN_MODE_PRIVATE;
        out.uid = single.and_then(|u| u32::try_from(u).ok());
    }
    out
}

/// The group that owns the pod's volumes.
pub fn fs_group(pod: &Pod) -> Option<u32> {
    u32::try_from(spec::spec(pod).security_context.as_ref()?.fs_group?).ok()
}

/// Whether the group is given only where a volume's root does not have it.
pub fn fs_group_on_mismatch(pod: &Pod) -> bool {
    let context = spec::spec(pod).security_context.as_ref();
    context.and_then(|c| c.fs_group_change_policy.as_deref()) == Some("OnRootMismatch")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn made(volume: serde_json::Value, refs: &Refs) -> Result<Wanted, String> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "labels": {"a": "b"}},
            "spec": {"containers": [], "volumes": [volume]}}))
        .unwrap();
        let tokens = [(Token { audience: String::new(), seconds: 3600 }, "T".to_owned())].into();
        wanted(&pod, &spec::spec(&pod).volumes.clone().unwrap()[0], refs, &Node::default(), &tokens)
    }

    fn refs() -> Refs {
        let map = serde_json::from_value(json!({"metadata": {}, "data": {"k": "v", "l": "w"}})).unwrap();
        Refs { config_maps: [("m".into(), Arc::new(map))].into(), ..Refs::default() }
    }

    #[test]
    fn items_choose_keys_paths_and_modes() {
        let volume =
            json!({"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "d/f", "mode": 256}]}});
        let Ok(Wanted::Files { files, .. }) = made(volume, &refs()) else { panic!() };
        assert_eq!(files.keys().collect::<Vec<_>>(), ["d/f"]);
        assert_eq!(files["d/f"].mode, 0o400);
        let missing = json!({"name": "v", "configMap": {"name": "m", "items": [{"key": "x", "path": "f"}]}});
        assert_eq!(made(missing, &refs()).unwrap_err(), "references non-existent config key: x");
        let none = json!({"name": "v", "secret": {"secretName": "s"}});
        assert_eq!(made(none, &refs()).unwrap_err(), "secret \"s\" not found");
        let optional = json!({"name": "v", "secret": {"secretName": "s", "optional": true}});
        assert!(matches!(made(optional, &refs()), Ok(Wanted::Files { files, .. }) if files.is_empty()));
    }

    #[test]
    fn projections_are_put_together() {
        let volume = json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}},
            {"configMap": {"name": "m"}}, {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}});
        let Ok(Wanted::Files { files, .. }) = made(volume, &refs()) else { panic!() };
        assert_eq!(files.keys().collect::<Vec<_>>(), ["k", "l", "labels", "token"]);
        assert_eq!(files["labels"].content, b"a=\"b\"");
    }

    #[test]
    fn claims_are_refused_clearly() {
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}});
        assert!(made(volume, &refs()).unwrap_err().contains("PersistentVolumeClaims"));
    }
}
