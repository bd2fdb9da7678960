//! Runs controllers: shared caches, one queue each, back-off, the revision barrier, plans carried out through
//! the API with each controller's own identity, events told.
//!
//! It decides nothing about Kubernetes objects; that is the controllers' part, which in turn know nothing of
//! caches, retries and time.
//!
//! ```text
//!   hub (caches) ──changes──▶ inbox ──▶ driver: queue, turns ──▶ carry (writes) ──▶ API
//!        └────────progress──▶ barrier ──▶ inbox                └─▶ asks, events
//! ```

mod asks;
mod barrier;
mod carry;
mod driver;
mod hub;
mod inbox;
mod queue;
pub mod scheduling;

use std::sync::Arc;

use client::events::{Counted, Teller, recorder};
use client::{Client, World};
use control::{Controller, Watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use driver::Driver;
use hub::Hub;
use inbox::Inbox;

/// Makes the client of a service account in kube-system: `clients("replicaset-controller")`.
pub type Clients = Arc<dyn Fn(&str) -> Client + Send + Sync>;

/// What the runner runs on.
pub struct Config {
    /// `system:kube-controller-manager`: lists and watches for all, and acts for controllers without an account.
    pub manager: Client,
    pub clients: Clients,
    pub world: World,
}

/// Runs all controllers until `stop`; returns when every plan in flight has been carried out.
///
/// # Errors
/// A controller panicked: the others are stopped, because a cluster with half its minds is worse than a restart.
pub async fn run(
    config: Config,
    controllers: Vec<Arc<dyn Controller>>,
    stop: CancellationToken,
) -> Result<(), tokio::task::JoinError> {
    let hub = Arc::new(Hub::new(&controllers, &config.manager, config.world));
    // Drivers end before their caches and recorders.
    let (drivers_stop, rest_stop) = (stop.child_token(), CancellationToken::new());
    let (mut drivers, mut rest) = (JoinSet::new(), JoinSet::new());
    for controller in controllers {
        let client = match controller.account() {
            "" => config.manager.clone(),
            account => (config.clients)(account),
        };
        let client = client.with_manager("kube-controller-manager");
        let teller = Teller { component: controller.component().to_owned(), host: String::new() };
        let (recorder, writing) = recorder(client.clone(), Counted::new(teller), config.world, rest_stop.clone());
        rest.spawn(writing);
        let inbox = Arc::new(Inbox::default());
        let watches: Arc<[Watch]> = controller.watches().into();
        hub.connect(&watches, &inbox, &recorder, config.world);
        let driver = Driver { controller, watches, hub: hub.clone(), client, recorder, inbox, world: config.world };
        drivers.spawn(driver.run(drivers_stop.clone()));
    }
    hub.connect_barriers();
    let caches = hub.clone();
    let caches_stop = rest_stop.clone();
    rest.spawn(async move { caches.run(&caches_stop).await });
    let mut outcome = Ok(());
    while let Some(ended) = drivers.join_next().await {
        if let Err(panic) = ended {
            drivers_stop.cancel();
            outcome = Err(panic);
        }
    }
    rest_stop.cancel();
    rest.join_all().await;
    outcome
}
