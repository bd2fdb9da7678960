//! `kybern up`, `status`, `down`, `delete`: what people type.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::home::Home;
use crate::progress::{self, Said};
use crate::settings::{self, Settings};
use crate::{checks, kubeconfig, supervise, switches, teardown, turn};

const READY_PATIENCE: Duration = Duration::from_secs(120);

#[derive(Args, Clone, Debug)]
pub struct Name {
    /// The cluster's name
    #[arg(long, default_value = "kybern")]
    pub name: String,
}

#[derive(Args, Debug)]
pub struct Up {
    #[command(flatten)]
    name: Name,
    /// Wait until the node is Ready (--wait=false returns once the server was started)
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    wait: bool,
    /// Port of the API server (first start only)
    #[arg(long)]
    api_port: Option<u16>,
    /// Range of pod addresses (first start only)
    #[arg(long)]
    pod_cidr: Option<String>,
    /// Range of Service addresses (first start only)
    #[arg(long)]
    service_cidr: Option<String>,
    /// Domain of the cluster's DNS names (first start only)
    #[arg(long)]
    domain: Option<String>,
}

/// Brings the cluster up; harmless when it is.
pub fn up(args: &Up) -> Result<()> {
    let begun = Instant::now();
    settings::check_name(&args.name.name)?;
    let home = Home::of(&args.name.name);
    let running = start(args, &home)?;
    if !args.wait {
        return Ok(());
    }
    let Some(supervisor) = supervise::living(&home)? else {
        bail!("the supervisor ended at once: see {}", home.server_log().display())
    };
    let mut before = 0;
    let followed = progress::follow(&home.progress(), None, &supervisor, READY_PATIENCE, |said| {
        if let (Said::Step { what, at_ms }, false) = (said, running) {
            println!("  ✓ {what:<40} {:>6} ms", at_ms - before);
            before = *at_ms;
        }
    });
    followed.with_context(|| format!("see {}", home.server_log().display()))?;
    let context = kubeconfig::context_name(&home.name);
    let file = kubeconfig::user_file()?;
    kubeconfig::merge(&file, &context, &home.kubeconfig())?;
    println!(
        "Ready after {} ms. kubectl uses the context {context:?} of {}",
        begun.elapsed().as_millis(),
        file.display()
    );
    Ok(())
}

/// Starts the cluster's processes; says whether they were running already.
fn start(args: &Up, home: &Home) -> Result<bool> {
    let _turn = turn::take(&home.run)?;
    let chosen = choose(args, home)?;
    if supervise::living(home)?.is_some() {
        println!("The cluster {:?} is running already", home.name);
        return Ok(true);
    }
    println!("Starting the cluster {:?}", home.name);
    prepare(home, &chosen)?;
    supervise::start(home)?;
    Ok(false)
}

/// What comes before every start. The caller has the cluster's turn, and nobody keeps it running.
pub(crate) fn prepare(home: &Home, settings: &Settings) -> Result<()> {
    supervise::end_orphans(home)?;
    checks::machine(home, settings)?;
    settings.save(home)?;
    switches::turn_on(home)?;
    remove_old_progress(home)
}

/// The settings of an existing cluster are not changed by flags: that is refused, not ignored.
fn choose(args: &Up, home: &Home) -> Result<Settings> {
    let kept = Settings::load(home)?;
    let mut chosen = kept.clone().unwrap_or_default();
    if let Some(port) = args.api_port {
        chosen.api_port = port;
    }
    for (flag, value, field) in [
        ("--pod-cidr", &args.pod_cidr, &mut chosen.pod_cidr),
        ("--service-cidr", &args.service_cidr, &mut chosen.service_cidr),
    ] {
        let Some(value) = value else { continue };
        if let Err(error) = value.parse::<network::pool::Cidr>() {
            bail!("{flag}: {error}");
        }
        field.clone_from(value);
    }
    if let Some(domain) = &args.domain {
        chosen.domain.clone_from(domain);
    }
    chosen.dns_address = dns_address(&chosen)?;
    match kept {
        Some(kept) if kept != chosen => {
            bail!("the cluster {:?} exists with other settings: delete it first (kybern delete --name {0})", home.name)
        }
        _ => Ok(chosen),
    }
}

/// The tenth address of the Service range, as kubeadm chooses it.
fn dns_address(settings: &Settings) -> Result<std::net::Ipv4Addr> {
    const TENTH: u32 = 10;
    let range: network::pool::Cidr = settings.service_cidr.parse()?;
    Ok(std::net::Ipv4Addr::from(u32::from(range.network()) + TENTH))
}

fn remove_old_progress(home: &Home) -> Result<()> {
    match std::fs::remove_file(home.progress()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Stops the cluster; its data stays.
pub fn down(args: &Name) -> Result<()> {
    let home = Home::of(&args.name);
    let Some(settings) = Settings::load(&home)? else { bail!("there is no cluster {:?}", home.name) };
    teardown::stop(&home, &settings)?;
    println!("Stopped the cluster {:?}", home.name);
    Ok(())
}

/// Removes the cluster and everything that it left on the machine.
pub fn delete(args: &Name) -> Result<()> {
    settings::check_name(&args.name)?;
    let home = Home::of(&args.name);
    // Half a cluster, without settings, is removed too.
    let settings = Settings::load(&home)?.unwrap_or_default();
    teardown::delete(&home, &settings)?;
    kubeconfig::remove(&kubeconfig::user_file()?, &kubeconfig::context_name(&home.name))?;
    println!("Deleted the cluster {:?}", home.name);
    Ok(())
}

/// Says what runs; exits with 1 when it is not all.
pub fn status(args: &Name) -> Result<()> {
    let home = Home::of(&args.name);
    if Settings::load(&home)?.is_none() {
        bail!("there is no cluster {:?}: start one with kybern up", home.name);
    }
    let living = supervise::living(&home)?;
    let ready = living.is_some() && matches!(progress::last(&home.progress()), Some(Said::Ready { .. }));
    let context = kubeconfig::context_name(&home.name);
    let configured = kubeconfig::has(&kubeconfig::user_file()?, &context)?;
    println!("{}", home.name);
    println!("host: {}", if living.is_some() { "Running" } else { "Stopped" });
    println!("apiserver: {}", if ready { "Running" } else { "Stopped" });
    println!("kubelet: {}", if ready { "Running" } else { "Stopped" });
    println!("kubeconfig: {}", if configured { "Configured" } else { "Misconfigured" });
    if !ready {
        bail!("the cluster {:?} is not ready", home.name);
    }
    Ok(())
}
