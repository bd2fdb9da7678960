//! Notices when somebody removes our table (`nft flush ruleset`, a firewall's restart), from the kernel's own word.

use network::nft::{self, Events, Family};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub struct Watch {
    table: String,
    /// `None` if the kernel's word cannot be had: then only a refused change tells.
    events: Option<AsyncFd<Events>>,
}

impl Watch {
    pub fn start(table: &str) -> Self {
        let events =
            open().inspect_err(|error| tracing::warn!("a removal of table {table} will not be seen: {error:#}"));
        Self { table: table.to_owned(), events: events.ok() }
    }

    /// Waits until the table is gone.
    pub async fn table(&mut self) {
        while let Some(events) = &self.events {
            match events.async_io(Interest::READABLE, |events| events.read(&self.table)).await {
                // It may have been ourselves, who made it anew in the same moment.
                Ok(true) if self.is_gone() => {
                    tracing::warn!("somebody removed table {}; it is made anew", self.table);
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("a removal of table {} will not be seen any more: {error}", self.table);
                    self.events = None;
                }
            }
        }
        std::future::pending().await
    }

    fn is_gone(&self) -> bool {
        nft::tables(Family::Ipv4).is_ok_and(|tables| !tables.contains(&self.table))
    }
}

/// The call is deprecated for types that may close their descriptor behind its back; `Events` does not.
#[allow(deprecated)]
fn open() -> anyhow::Result<AsyncFd<Events>> {
    Ok(AsyncFd::with_interest(Events::open()?, Interest::READABLE)?)
}
