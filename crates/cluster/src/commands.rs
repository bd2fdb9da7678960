//! `kybern up`, `status`, `down`, `delete`: what people type.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::home::Home;
use crate::owner::{self, Owner};
use crate::progress::{self, Said};
use crate::settings::{self, Settings};
use crate::turn::Turn;
use crate::{cgroup, checks, kubeconfig, ranges, supervise, switches, teardown, turn};

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
    checks::root(&format!("up{}", home.flag()))?;
    home.check_length()?;
    let file = if args.wait { Some(kubeconfig::checked_user_file()?) } else { None };
    let running = start(args, &home)?;
    let Some(file) = file else { return Ok(()) };
    let Some(supervisor) = supervise::living(&home)? else {
        bail!("the supervisor ended at once: {}", last_words(&home))
    };
    let mut before = 0;
    let followed = progress::follow(&home.progress(), None, &supervisor, READY_PATIENCE, |said| {
        if let (Said::Step { what, at_ms }, false) = (said, running) {
            println!("  ✓ {what:<40} {:>6} ms", at_ms - before);
            before = *at_ms;
        }
    });
    followed.with_context(|| last_words(&home))?;
    let context = kubeconfig::context_name(&home.name);
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
    let _name = prepare(home, &chosen)?;
    supervise::start(home)?;
    Ok(false)
}

/// What comes before every start. The caller has the cluster's turn, and nobody keeps it running. The answer is held
/// until somebody is in the cluster's cgroup.
pub(crate) fn prepare(home: &Home, settings: &Settings) -> Result<Turn> {
    // Homes do not know of each other: they take turns at what the kernel has for all of them.
    let name = turn::take(Path::new(cgroup::ROOT))?;
    owner::check(home)?;
    supervise::end_orphans(home)?;
    checks::machine(home, settings)?;
    settings.save(home)?;
    switches::turn_on(home)?;
    remove_old_progress(home)?;
    Ok(name)
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
        match value.parse::<network::pool::Cidr>() {
            Ok(range) => *field = range.to_string(),
            Err(error) => bail!("{flag}: {error}"),
        }
    }
    if let Some(domain) = &args.domain {
        chosen.domain.clone_from(domain);
    }
    if kept.as_ref() != Some(&chosen) {
        ranges::check(&chosen)?;
    }
    chosen.dns_address = dns_address(&chosen)?;
    match kept {
        Some(kept) if kept != chosen => {
            bail!(
                "the cluster {:?} exists with other settings: delete it first (kybern delete{})",
                home.name,
                home.flag()
            )
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
    settings::check_name(&args.name)?;
    let home = Home::of(&args.name);
    checks::root(&format!("down{}", home.flag()))?;
    let Some(settings) = Settings::load(&home)? else { bail!("there is no cluster {:?}", home.name) };
    tell_other(&home, teardown::stop(&home, &settings)?);
    println!("Stopped the cluster {:?}", home.name);
    Ok(())
}

/// Removes the cluster and everything that it left on the machine.
pub fn delete(args: &Name) -> Result<()> {
    settings::check_name(&args.name)?;
    let home = Home::of(&args.name);
    checks::root(&format!("delete{}", home.flag()))?;
    // Half a cluster, without settings, is removed too.
    let settings = Settings::load(&home)?;
    let had_data = home.data.exists();
    let owner = teardown::delete(&home, settings.as_ref())?;
    tell_other(&home, owner);
    let known = had_data || owner == Owner::Ours;
    match kubeconfig::user_file() {
        // The entry is that of the cluster that has the name.
        _ if matches!(owner, Owner::Other(_)) => {}
        Ok(file) => {
            let removed = kubeconfig::remove(&file, &kubeconfig::context_name(&home.name));
            removed.context("the cluster is deleted, but its entry stays in the kubeconfig")?;
        }
        Err(error) => println!("No kubeconfig is changed: {error}"),
    }
    if known {
        println!("Deleted the cluster {:?}", home.name);
    } else {
        println!("There is no cluster {:?}", home.name);
    }
    Ok(())
}

fn tell_other(home: &Home, owner: Owner) {
    if let Owner::Other(_) = owner {
        println!("What runs under the name {:?} belongs to another KYBERN_HOME, and was left alone", home.name);
    }
}

/// Where to look after a failure; a full disk leaves no other words.
fn last_words(home: &Home) -> String {
    let log = home.server_log();
    let silent = std::fs::metadata(&log).map_or(true, |log| log.len() == 0);
    let full = |folder: &&Path| rustix::fs::statvfs(*folder).is_ok_and(|system| system.f_bavail == 0);
    match home.folders().into_iter().find(full) {
        Some(folder) => format!("no space is left on the file system of {} (ENOSPC)", folder.display()),
        None if silent => format!("{} is empty: the server ended before its first word", log.display()),
        None => format!("see {}", log.display()),
    }
}

/// Says what runs; exits with 1 when it is not all.
pub fn status(args: &Name) -> Result<()> {
    settings::check_name(&args.name)?;
    let home = Home::of(&args.name);
    checks::root(&format!("status{}", home.flag()))?;
    if Settings::load(&home)?.is_none() {
        bail!("there is no cluster {:?}: start it with kybern up{}", home.name, home.flag());
    }
    let living = supervise::living(&home)?;
    let ready = living.is_some() && matches!(progress::last(&home.progress()), Some(Said::Ready { .. }));
    let context = kubeconfig::context_name(&home.name);
    let configured = kubeconfig::user_file().is_ok_and(|file| kubeconfig::has(&file, &context).unwrap_or(false));
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
