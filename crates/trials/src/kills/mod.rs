//! `cargo xtask kills`: server and supervisor are killed with SIGKILL at random moments, while clients write, a
//! watcher watches and applications are asked. What was answered holds, the watch misses and repeats nothing, and the
//! applications never notice.
//!
//! ```text
//!   killer ──SIGKILL──▶ cluster ◀──HTTPS── writers, watcher ──▶ ledger ──▶ judged
//!                          ▲──HTTP── visitors of pods and Services
//! ```

mod applications;
mod killer;
mod load;
mod visitors;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use suite::ledger::Ledger;
use suite::writer::Dice;
use tokio::sync::watch;

use crate::bed::Bed;

const CLUSTER: &str = "kills";
const SEED: &str = "KYBERN_KILLS_SEED";
const WRITERS: usize = 4;

/// What the others must know of the cluster: whether it answers, how many writes were answered, whether it is over.
#[derive(Clone)]
pub struct Signals {
    pub alive: watch::Sender<bool>,
    pub writes: watch::Sender<u64>,
    pub over: watch::Sender<bool>,
}

/// Kills so many times.
pub async fn run(binary: PathBuf, kills: usize) -> Result<()> {
    let seed = match std::env::var(SEED) {
        Ok(text) => text.parse().with_context(|| format!("{SEED}={text}"))?,
        Err(_) => (client::World::real().random)(),
    };
    println!("{kills} kills with {SEED}={seed}");
    Bed::with(binary, CLUSTER, async |bed| on(bed, kills, seed).await).await
}

async fn on(bed: &Bed, kills: usize, seed: u64) -> Result<()> {
    let mut dice = Dice(seed);
    bed.kybern(&["up"])?;
    let before = applications::start(bed).await?;
    let signals =
        Signals { alive: watch::Sender::new(true), writes: watch::Sender::new(0), over: watch::Sender::new(false) };
    let client = bed.client().await?;
    let after = load::revision(&client).await?;
    let watching = tokio::spawn(load::watch(client.clone(), after, signals.clone()));
    let mut writing = Vec::new();
    for who in 0..WRITERS {
        let client = bed.client().await?;
        writing.push(tokio::spawn(load::write(client, format!("w{who}"), dice.roll(u64::MAX), signals.clone())));
    }
    let visiting: Vec<_> =
        before.addresses.iter().map(|address| tokio::spawn(visitors::visit(*address, signals.clone()))).collect();
    let begun = Instant::now();
    let killed = killer::kill(bed, kills, &mut dice, &signals).await;
    signals.over.send_replace(true);
    signals.alive.send_replace(true);
    killed?;
    let mut ledger = Ledger::default();
    for writer in writing {
        ledger.join(writer.await?);
    }
    let end = load::end(&client).await?;
    let seen = watching.await??;
    let mut problems = ledger.judge(&seen, &end);
    let mut visits = 0;
    for visitor in visiting {
        match visitor.await? {
            Ok(count) => visits += count,
            Err(why) => problems.push(format!("{why:#}")),
        }
    }
    problems.extend(before.differences(bed).await?);
    if !problems.is_empty() {
        bail!("{} promises broken (seed {seed}):\n{}", problems.len(), problems.join("\n"));
    }
    println!(
        "{kills} kills, {} writes answered, {} not, {} events, {visits} visits in {} s: held",
        ledger.answered(),
        ledger.unknown(),
        seen.len(),
        begun.elapsed().as_secs()
    );
    Ok(())
}
