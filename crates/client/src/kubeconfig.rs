//! Where a server is and who we are there: kubeconfig files, or the service account of a pod.
//!
//! Source: <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>. Files of
//! `KUBECONFIG` are merged, the first to set a name wins; paths in a file are relative to it. Editing
//! kubeconfigs is the CLI's business.

use std::path::{Path, PathBuf};

use kube_client::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use machinery::status::Status;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// What to take from the kubeconfig instead of its current context.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// One file instead of `KUBECONFIG` and `~/.kube/config` (`--kubeconfig`).
    pub file: Option<PathBuf>,
    pub context: Option<String>,
    pub cluster: Option<String>,
    pub user: Option<String>,
    /// `--server`.
    pub server: Option<String>,
    /// `--token`.
    pub token: Option<String>,
    /// `--as`, `--as-group`.
    pub impersonate: Option<String>,
    pub impersonate_groups: Vec<String>,
    pub impersonate_uid: Option<String>,
    /// `--certificate-authority`, `--client-certificate`, `--client-key`: files.
    pub certificate_authority: Option<PathBuf>,
    pub client_certificate: Option<String>,
    pub client_key: Option<String>,
    /// `--username`, `--password`.
    pub username: Option<String>,
    pub password: Option<String>,
    /// `--tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--insecure-skip-tls-verify`.
    pub insecure: bool,
}

/// A server with credentials, and the namespace that its context names.
#[derive(Clone)]
pub struct Access {
    pub(crate) config: Config,
}

impl Access {
    /// The namespace of the context, else `default`.
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// The server's URL.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }
}

/// Access as kubectl finds it: the kubeconfig, and without one the pod's service account.
///
/// # Errors
/// Files that cannot be read or parsed, a context or cluster that does not exist, no server at all.
pub async fn load(choice: &Choice) -> Result<Access, Status> {
    let options = KubeConfigOptions {
        context: choice.context.clone(),
        cluster: choice.cluster.clone(),
        user: choice.user.clone(),
    };
    let read = match &choice.file {
        Some(file) => Kubeconfig::read_from(file),
        None => read_listed().unwrap_or_else(Kubeconfig::read),
    };
    let mut config = match read {
        // A server on the command line needs no context: `--server … --token …` with an empty file, or with none.
        Ok(kubeconfig) if is_blank(&kubeconfig) && choice.context.is_none() && choice.server.is_some() => bare(choice)?,
        Err(_) if choice.file.is_none() && choice.server.is_some() => bare(choice)?,
        Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(refused)?,
        Err(error) if choice.file.is_some() => return Err(refused(error)),
        Err(error) => Config::incluster().map_err(|_| refused(error))?,
    };
    overrule(&mut config, choice)?;
    Ok(Access { config })
}

fn is_blank(kubeconfig: &Kubeconfig) -> bool {
    kubeconfig.current_context.as_deref().unwrap_or_default().is_empty()
}

/// Nothing but the server that was named.
fn bare(choice: &Choice) -> Result<Config, Status> {
    Ok(Config::new(choice.server.as_deref().unwrap_or_default().parse().map_err(refused)?))
}

/// The files that `KUBECONFIG` lists, merged; those that do not exist are passed over, as kubectl does. `None` when
/// it lists none that exists.
fn read_listed() -> Option<Result<Kubeconfig, KubeconfigError>> {
    let listed = std::env::var_os("KUBECONFIG")?;
    let mut files = std::env::split_paths(&listed).filter(|path| path.exists()).peekable();
    files.peek()?;
    Some(files.try_fold(Kubeconfig::default(), |merged, path| merged.merge(Kubeconfig::read_from(path)?)))
}

/// Access by one file and its current context.
///
/// # Errors
/// As [`load`].
pub async fn load_file(path: &Path) -> Result<Access, Status> {
    load(&Choice { file: Some(path.into()), ..Choice::default() }).await
}

/// Access by the service account mounted into this pod.
///
/// # Errors
/// Not in a pod, or its files cannot be read.
pub fn in_cluster() -> Result<Access, Status> {
    Config::incluster().map(|config| Access { config }).map_err(refused)
}

fn overrule(config: &mut Config, choice: &Choice) -> Result<(), Status> {
    if let Some(server) = &choice.server {
        config.cluster_url = server.parse().map_err(refused)?;
    }
    if let Some(token) = &choice.token {
        config.auth_info = kube_client::config::AuthInfo { token: Some(token.clone().into()), ..Default::default() };
    }
    if let Some(user) = &choice.impersonate {
        config.auth_info.impersonate = Some(user.clone());
    }
    if !choice.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(choice.impersonate_groups.clone());
    }
    if let Some(uid) = &choice.impersonate_uid {
        config.auth_info.impersonate_uid = Some(uid.clone());
    }
    if let Some(file) = &choice.certificate_authority {
        let pem =
            std::fs::read(file).map_err(|why| refused(std::io::Error::other(format!("{}: {why}", file.display()))))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        config.root_cert = Some(found.map_err(refused)?.iter().map(|one| one.to_vec()).collect());
        config.root_cert_file = None;
    }
    if let (Some(certificate), Some(key)) = (&choice.client_certificate, &choice.client_key) {
        config.auth_info = kube_client::config::AuthInfo {
            client_certificate: Some(certificate.clone()),
            client_key: Some(key.clone()),
            ..Default::default()
        };
    }
    if let Some(name) = &choice.username {
        config.auth_info = kube_client::config::AuthInfo {
            username: Some(name.clone()),
            password: Some(choice.password.clone().unwrap_or_default().into()),
            ..Default::default()
        };
    }
    if choice.tls_server_name.is_some() {
        config.tls_server_name.clone_from(&choice.tls_server_name);
    }
    config.accept_invalid_certs |= choice.insecure;
    Ok(())
}

fn refused(error: impl std::error::Error) -> Status {
    Status::bad_request(format!("loading the client configuration: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_named_needs_no_context() {
        let given = |server: Option<&str>| Choice {
            file: Some("/dev/null".into()),
            server: server.map(str::to_owned),
            token: Some("t".into()),
            ..Choice::default()
        };
        let access = load(&given(Some("https://127.0.0.1:1"))).await.unwrap();
        assert_eq!((access.namespace(), access.server().as_str()), ("default", "https://127.0.0.1:1/"));
        assert!(load(&given(None)).await.is_err());
    }
}
