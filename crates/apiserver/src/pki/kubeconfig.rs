//! The text of a kubeconfig file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Pair;

/// A kubeconfig with one cluster, one user and one context, all called `name`; certificates are embedded.
pub fn kubeconfig(name: &str, server: &str, ca_pem: &str, user: &Pair) -> String {
    let ca = STANDARD.encode(ca_pem);
    let cert = STANDARD.encode(&user.cert);
    let key = STANDARD.encode(&user.key);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  \
         name: {name}\ncontexts:\n- context:\n    cluster: {name}\n    user: {name}\n  name: {name}\n\
         current-context: {name}\npreferences: {{}}\nusers:\n- name: {name}\n  user:\n    \
         client-certificate-data: {cert}\n    client-key-data: {key}\n"
    )
}
