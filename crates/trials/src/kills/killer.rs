//! Kills server, supervisor or both at random moments, and waits for the cluster as people would: by what it says of
//! its start.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use cluster::progress::{self, Mark, Said};
use cluster::{cgroup, supervise};
use suite::writer::Dice;
use tokio::task::JoinHandle;

use super::Signals;
use crate::bed::Bed;

const START_PATIENCE: Duration = Duration::from_secs(60);
/// Between two kills there are at most so many answered writes and so much time besides.
const WRITES_MAX: u64 = 300;
const PAUSE_MAX_US: u64 = 200_000;
/// A kill during a start comes within this time.
const START_MAX_US: u64 = 400_000;

/// Whom to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victims {
    Server,
    Supervisor,
    Both,
}

/// Kills so many times; afterwards the cluster is ready.
pub async fn kill(bed: &Bed, kills: usize, dice: &mut Dice, signals: &Signals) -> Result<()> {
    let mut done = 0;
    let mut starting: Option<JoinHandle<Result<()>>> = None;
    while done < kills {
        // Sometimes it is killed again before it is ready.
        if let Some(start) = starting.take_if(|_| dice.roll(4) != 0) {
            start.await??;
            let target = *signals.writes.borrow() + dice.roll(WRITES_MAX);
            signals.writes.subscribe().wait_for(|writes| *writes >= target).await?;
            tokio::time::sleep(Duration::from_micros(dice.roll(PAUSE_MAX_US))).await;
        } else if starting.is_some() {
            tokio::time::sleep(Duration::from_micros(dice.roll(START_MAX_US))).await;
        }
        let victims = match dice.roll(10) {
            0 => Victims::Supervisor,
            1 => Victims::Both,
            _ => Victims::Server,
        };
        let mark = progress::mark(&bed.home.progress());
        signals.alive.send_replace(false);
        if !strike(bed, victims)? {
            // It was not started again yet: there was nothing to kill.
            signals.alive.send_replace(true);
            continue;
        }
        done += 1;
        starting = Some(start_again(bed.clone(), victims, mark, signals.clone()));
    }
    if let Some(start) = starting {
        start.await??;
    }
    Ok(())
}

/// Kills, and waits until they are gone. Says whether there was anybody.
fn strike(bed: &Bed, victims: Victims) -> Result<bool> {
    let mut struck = Vec::new();
    if victims != Victims::Server {
        struck.extend(supervise::process(&bed.home)?);
    }
    if victims != Victims::Supervisor {
        struck.extend(supervise::servers(&bed.home)?);
    }
    cgroup::end(&struck)?;
    Ok(!struck.is_empty())
}

/// Until the cluster is ready again: by its supervisor, or by `kybern up` when that was killed.
fn start_again(bed: Bed, victims: Victims, mark: Option<Mark>, signals: Signals) -> JoinHandle<Result<()>> {
    tokio::task::spawn_blocking(move || {
        if victims != Victims::Server {
            bed.kybern(&["up"])?;
            signals.alive.send_replace(true);
            return Ok(());
        }
        let Some(supervisor) = supervise::living(&bed.home)? else { bail!("the supervisor is gone") };
        let followed = progress::follow(&bed.home.progress(), mark, &supervisor, START_PATIENCE, |said| {
            if matches!(said, Said::Step { what, .. } if what == "API server") {
                signals.alive.send_replace(true);
            }
        });
        match followed {
            // Killed again meanwhile, with its supervisor: the next start is waited for by somebody else.
            Err(_) if !progress::lives(&supervisor)? => Ok(()),
            other => other.context("a start after a kill"),
        }
    })
}
