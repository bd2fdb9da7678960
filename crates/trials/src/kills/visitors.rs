//! Asks an application again and again: every answer is 200.

use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use super::Signals;

/// Two visits are so far apart: the machine has other things to do too.
const PACE: Duration = Duration::from_millis(10);
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Visits until it is over; says how often.
pub async fn visit(address: SocketAddrV4, signals: Signals) -> Result<usize> {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut visits = 0;
    while !*signals.over.borrow() {
        pace.tick().await;
        let visit = tokio::time::timeout(ANSWER_MAX, once(address)).await;
        visit.context("no answer in time").flatten().with_context(|| format!("visit {visits} of {address}"))?;
        visits += 1;
    }
    Ok(visits)
}

async fn once(address: SocketAddrV4) -> Result<()> {
    let mut stream = TcpStream::connect(address).await.context("connect")?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.context("ask")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.context("read the answer")?;
    let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    if first.contains(" 200 ") { Ok(()) } else { bail!("it answered {first:?}") }
}
