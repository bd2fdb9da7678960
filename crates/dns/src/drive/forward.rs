//! Questions about others' names: the cache first, then the host's resolvers. One question is asked once at a time.
//!
//! ```text
//!   ask ─▶ same question under way? wait for it
//!       └▶ choose servers ─▶ first ─ no answer for a while ─▶ next, too ─ … ─▶ deadline
//!                              └─────────────┴── whichever answers first
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::OnceCell;

use crate::plan::cache::{Cache, Outcome, Question};
use crate::plan::response::Response;
use crate::plan::upstream::Upstreams;
use crate::plan::wire::{Query, UDP_BYTES_MIN};

/// After that the next server (or the only one again) is asked, too.
const NEXT_MS: u64 = 500;
/// A client hears that there is no answer after at most this.
pub const DEADLINE_MS: u64 = 2_000;
const ATTEMPTS_MAX: usize = 4;
/// Questions under way; more are refused at once.
const QUESTIONS_MAX: usize = 1_024;

type Pending = Arc<OnceCell<Outcome>>;

enum Joined {
    Known(Outcome),
    Pending(Pending),
}

pub struct Forwarder {
    state: Mutex<State>,
    start: Instant,
}

#[derive(Default)]
struct State {
    cache: Cache,
    upstreams: Upstreams,
    under_way: BTreeMap<Question, Pending>,
}

impl Forwarder {
    pub fn new() -> Self {
        Self { state: Mutex::default(), start: Instant::now() }
    }

    /// Asks these from now on. What is kept stays.
    pub fn set_upstreams(&self, addresses: &[SocketAddr]) {
        let mut state = self.state();
        if state.upstreams.addresses() != addresses {
            tracing::info!("names outside of the cluster are asked from {addresses:?}");
            state.upstreams = Upstreams::new(addresses);
        }
    }

    /// What is kept for the question, and its age in seconds.
    pub fn known(&self, question: &Question) -> Option<(Outcome, u32)> {
        self.state().cache.get(question, self.now_ms())
    }

    /// Asks; `None` if nobody answers in time. `packet` is the client's query.
    pub async fn ask(&self, question: &Question, packet: &[u8]) -> Outcome {
        let pending = match self.join(question)? {
            Joined::Known(outcome) => return outcome,
            Joined::Pending(pending) => pending,
        };
        // Whoever comes first asks for all; if that client goes away, the next one takes over.
        let outcome = pending.get_or_init(|| self.resolve(question, packet)).await.clone();
        let mut state = self.state();
        if state.under_way.get(question).is_some_and(|other| Arc::ptr_eq(other, &pending)) {
            state.under_way.remove(question);
            state.cache.put(question.clone(), outcome.clone(), self.now_ms());
        }
        outcome
    }

    fn join(&self, question: &Question) -> Option<Joined> {
        let mut state = self.state();
        // Since the caller looked, another client may have got the answer.
        if let Some((outcome, _)) = state.cache.get(question, self.now_ms()) {
            return Some(Joined::Known(outcome));
        }
        if state.under_way.len() >= QUESTIONS_MAX {
            // Left behind by clients that went away.
            state.under_way.retain(|_, pending| Arc::strong_count(pending) > 1);
        }
        match state.under_way.get(question) {
            Some(pending) => Some(Joined::Pending(pending.clone())),
            None if state.under_way.len() >= QUESTIONS_MAX => None,
            None => Some(Joined::Pending(state.under_way.entry(question.clone()).or_default().clone())),
        }
    }

    async fn resolve(&self, question: &Question, packet: &[u8]) -> Outcome {
        let servers = self.state().upstreams.choose(self.now_ms());
        let deadline = Duration::from_millis(DEADLINE_MS);
        let mut tally = Tally::default();
        let race = race(question, packet, &servers, &mut tally);
        let outcome = tokio::time::timeout(deadline, race).await.unwrap_or_default();
        for server in tally.asked {
            self.report(server, tally.answered.contains(&server));
        }
        outcome
    }

    fn report(&self, server: SocketAddr, answered: bool) {
        let now_ms = self.now_ms();
        self.state().upstreams.report(server, answered, now_ms);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

/// Who was asked one question, and who said something.
#[derive(Default)]
struct Tally {
    asked: BTreeSet<SocketAddr>,
    answered: BTreeSet<SocketAddr>,
}

/// Asks one server after the other without giving up on the former ones.
async fn race(question: &Question, packet: &[u8], servers: &[SocketAddr], tally: &mut Tally) -> Outcome {
    let mut next = servers.iter().cycle().take(ATTEMPTS_MAX.max(servers.len())).copied();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    let mut refused: Vec<SocketAddr> = Vec::new();
    loop {
        match next.by_ref().find(|server| !refused.contains(server)) {
            Some(server) => {
                tally.asked.insert(server);
                attempts.push(attempt(question, packet, server));
            }
            None if attempts.is_empty() => return failure,
            None => {}
        }
        let patience = tokio::time::sleep(Duration::from_millis(NEXT_MS));
        tokio::select! {
            Some((server, outcome)) = attempts.next() => {
                if outcome.is_some() {
                    tally.answered.insert(server);
                }
                match outcome {
                    Some(response) if response.is_failure() => failure = Some(response),
                    Some(response) => return Some(response),
                    None => {}
                }
                // It refused or failed: asking it again now would be the same.
                refused.push(server);
            }
            () = patience => {}
        }
    }
}

async fn attempt(question: &Question, packet: &[u8], server: SocketAddr) -> (SocketAddr, Outcome) {
    let asked = match question.is_tcp {
        true => ask_tcp(question, packet, server).await,
        false => ask_udp(question, packet, server).await,
    };
    let outcome = asked.inspect_err(|error| tracing::debug!("ask {server} for {}: {error:#}", question.name));
    (server, outcome.ok().map(Arc::new))
}

/// A socket (and so a port) and an id of its own for each question: harder to guess for who wants to forge the answer.
async fn ask_udp(question: &Question, packet: &[u8], server: SocketAddr) -> anyhow::Result<Response> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let (id, query) = renumbered(packet)?;
    socket.send(&query).await?;
    let mut buffer = vec![0; received_bytes(packet)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let (name, kind, class) = (&question.name, question.kind, question.class);
        // What is not the answer is somebody's try to be it.
        if let Some(response) = Response::parse(buffer[..length].to_vec(), id, name, kind, class) {
            return Ok(response);
        }
    }
}

/// As much as the client said that it takes: the server goes by that, too.
fn received_bytes(packet: &[u8]) -> usize {
    let edns = Query::parse(packet).ok().and_then(|query| query.edns);
    edns.map_or(UDP_BYTES_MIN, |edns| usize::from(edns.udp_bytes).max(UDP_BYTES_MIN))
}

async fn ask_tcp(question: &Question, packet: &[u8], server: SocketAddr) -> anyhow::Result<Response> {
    let mut stream = TcpStream::connect(server).await?;
    let (id, query) = renumbered(packet)?;
    let length = u16::try_from(query.len())?.to_be_bytes();
    stream.write_all(&[&length[..], &query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    let response = Response::parse(answer, id, &question.name, question.kind, question.class);
    response.context("the answer is to another question")
}

fn renumbered(packet: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    let mut query = packet.to_vec();
    query[..2].copy_from_slice(&id);
    Ok((u16::from_be_bytes(id), query))
}
