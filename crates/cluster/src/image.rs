//! `kybern image …`: the node's images, through the runtime's socket.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use rpc::archives::archives_client::ArchivesClient;
use rpc::archives::{LoadRequest, UntagRequest};
use rpc::cri::image_service_client::ImageServiceClient;
use rpc::cri::{Image, ImageSpec, ListImagesRequest, PullImageRequest};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::checks;
use crate::commands::Name;
use crate::hello;
use crate::home::Home;

#[derive(Args, Debug)]
pub struct Images {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Load images from an OCI or docker save archive, or from - (standard input)
    Load {
        file: PathBuf,
        #[command(flatten)]
        name: Name,
    },
    /// Pull an image from its registry
    Pull {
        reference: String,
        #[command(flatten)]
        name: Name,
    },
    /// List the images of the node
    List {
        #[command(flatten)]
        name: Name,
    },
    /// Remove a name of an image, and the image with its last one; an id removes all its names
    Rm {
        reference: String,
        #[command(flatten)]
        name: Name,
    },
    /// Load the hello application, made from this executable
    Hello {
        #[command(flatten)]
        name: Name,
    },
}

/// Runs an image command.
///
/// # Errors
/// The cluster does not run, or the runtime refuses.
pub async fn run(args: &Images) -> Result<()> {
    checks::root("image")?;
    match &args.command {
        Command::Load { file, name } => load(&Home::of(&name.name), file).await,
        Command::Pull { reference, name } => pull(&Home::of(&name.name), reference).await,
        Command::List { name } => list(&Home::of(&name.name)).await,
        Command::Rm { reference, name } => remove(&Home::of(&name.name), reference).await,
        Command::Hello { name } => load_hello(&Home::of(&name.name)).await,
    }
}

async fn connect(home: &Home) -> Result<Channel> {
    let socket = home.runtime_socket();
    let endpoint = Endpoint::try_from(format!("unix:{}", socket.display()))?;
    // Why there is nobody at the socket is nothing that anybody can mend: the cluster does not run.
    let nobody = |_| anyhow!("the cluster {:?} does not run: start it with kybern up{}", home.name, home.flag());
    endpoint.connect().await.map_err(nobody)
}

fn refused(status: tonic::Status) -> anyhow::Error {
    anyhow!("{}", status.message())
}

async fn load(home: &Home, file: &Path) -> Result<()> {
    if file != Path::new("-") {
        let path = file.canonicalize().with_context(|| format!("find {}", file.display()))?;
        return load_path(home, &path).await;
    }
    let channel = connect(home).await?;
    drop(channel);
    // The runtime reads files: what comes through a pipe becomes one first.
    let path = home.run.join(format!("load-{}.tar", std::process::id()));
    let outcome = spool(&path).and(load_path(home, &path).await);
    std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    outcome
}

fn spool(path: &Path) -> Result<()> {
    let mut out = File::create(path).with_context(|| format!("create {}", path.display()))?;
    std::io::copy(&mut std::io::stdin().lock(), &mut out).context("read the archive from standard input")?;
    Ok(())
}

async fn load_path(home: &Home, path: &Path) -> Result<()> {
    let mut client = ArchivesClient::new(connect(home).await?);
    let path = path.to_str().with_context(|| format!("{} is no UTF-8 path", path.display()))?;
    let loaded = client.load(LoadRequest { path: path.into() }).await.map_err(refused)?.into_inner();
    loaded.references.iter().for_each(|reference| println!("Loaded {reference}"));
    Ok(())
}

async fn load_hello(home: &Home) -> Result<()> {
    let mut executable = Vec::new();
    File::open("/proc/self/exe")
        .and_then(|mut file| file.read_to_end(&mut executable))
        .context("read this executable")?;
    let path = home.run.join(format!("hello-{}.tar", std::process::id()));
    let mut out = File::create(&path)
        .with_context(|| format!("the cluster {:?} does not run: start it with kybern up", home.name))?;
    let outcome = match out.write_all(&hello::archive(&executable)?).context("write the archive") {
        Ok(()) => load_path(home, &path).await,
        Err(error) => Err(error),
    };
    std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    outcome
}

async fn pull(home: &Home, reference: &str) -> Result<()> {
    let mut client = ImageServiceClient::new(connect(home).await?);
    let image = Some(ImageSpec { image: reference.into(), ..ImageSpec::default() });
    let pulled = client.pull_image(PullImageRequest { image, auth: None, sandbox_config: None }).await;
    println!("Pulled {}", pulled.map_err(refused)?.into_inner().image_ref);
    Ok(())
}

async fn images(home: &Home) -> Result<Vec<Image>> {
    let mut client = ImageServiceClient::new(connect(home).await?);
    Ok(client.list_images(ListImagesRequest { filter: None }).await.map_err(refused)?.into_inner().images)
}

async fn list(home: &Home) -> Result<()> {
    let mut rows = BTreeMap::new();
    for image in images(home).await? {
        for name in if image.repo_tags.is_empty() { &image.repo_digests } else { &image.repo_tags } {
            rows.insert(name.clone(), (image.id.clone(), image.size));
        }
    }
    let width = rows.keys().map(String::len).max().unwrap_or(0).max("IMAGE".len());
    println!("{:<width$}   {:<13}   SIZE", "IMAGE", "IMAGE ID");
    for (name, (id, size)) in rows {
        let short: String = id.trim_start_matches("sha256:").chars().take(13).collect();
        println!("{name:<width$}   {short:<13}   {:.1}MB", size as f64 / 1e6);
    }
    Ok(())
}

async fn remove(home: &Home, reference: &str) -> Result<()> {
    let mut client = ArchivesClient::new(connect(home).await?);
    let removed = client.untag(UntagRequest { reference: reference.into() }).await;
    let removed = removed.map_err(|status| match status.code() {
        Code::NotFound => anyhow!("there is no image {reference:?}"),
        _ => refused(status),
    })?;
    removed.into_inner().removed.iter().for_each(|name| println!("Removed {name}"));
    Ok(())
}
