//! UDP: one socket per address, read by as many tasks as there are cores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::server::{Reply, Server, Transport};

const QUERY_BYTES_MAX: usize = 4_096;
/// Bursts wait here; the kernel may allow less.
const RECEIVE_BYTES: usize = 1 << 20;
/// Packets that one task answers before others of its thread have their turn.
const BURST: usize = 64;
/// Clients that wait for an upstream's answer; more are refused.
const WAITING_MAX: usize = 2_048;
/// After an error of the socket that is not a client's doing.
const PAUSE_MS: u64 = 10;
const READERS_MAX: usize = 4;

pub fn serve(
    address: SocketAddr,
    server: &Arc<Server>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let socket = bind(address).with_context(|| format!("listen for DNS queries on {address}, UDP"))?;
    let (socket, waiting) = (Arc::new(socket), Arc::new(Semaphore::new(WAITING_MAX)));
    let readers = std::thread::available_parallelism().map_or(1, usize::from).min(READERS_MAX);
    for _ in 0..readers {
        let reader = Reader { socket: socket.clone(), server: server.clone(), waiting: waiting.clone() };
        let stop = stop.clone();
        tasks.spawn(async move {
            stop.run_until_cancelled(reader.run()).await;
        });
    }
    Ok(())
}

/// Also to an address that the machine does not have yet.
fn bind(address: SocketAddr) -> anyhow::Result<UdpSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family(address), SocketType::DGRAM, flags, None)?;
    sockopt::set_ip_freebind(&socket, true)?;
    sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BYTES)?;
    rustix::net::bind(&socket, &address)?;
    Ok(UdpSocket::from_std(std::net::UdpSocket::from(socket))?)
}

pub fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

struct Reader {
    socket: Arc<UdpSocket>,
    server: Arc<Server>,
    waiting: Arc<Semaphore>,
}

impl Reader {
    async fn run(&self) {
        let mut buffer = vec![0; QUERY_BYTES_MAX];
        loop {
            let ready = self.socket.readable().await;
            let outcome = match ready {
                Ok(()) => self.burst(&mut buffer).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::warn!("read DNS queries: {error}");
                tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn burst(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        for _ in 0..BURST {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => self.answer(&buffer[..length], from).await,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn answer(&self, packet: &[u8], from: SocketAddr) {
        match self.server.now(packet, Transport::Udp) {
            Reply::Silence => {}
            Reply::Packet(answer) => send(&self.socket, &answer, from).await,
            Reply::Ask => self.ask(packet.to_vec(), from),
        }
    }

    /// Answers when upstream has; with too many waiting the client is left to ask again.
    fn ask(&self, packet: Vec<u8>, from: SocketAddr) {
        let Ok(permit) = self.waiting.clone().try_acquire_owned() else { return };
        let (socket, server) = (self.socket.clone(), self.server.clone());
        tokio::spawn(async move {
            let answer = server.later(&packet, Transport::Udp).await;
            send(&socket, &answer, from).await;
            drop(permit);
        });
    }
}

async fn send(socket: &UdpSocket, answer: &[u8], to: SocketAddr) {
    let sent = match socket.try_send_to(answer, to) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => socket.send_to(answer, to).await,
        outcome => outcome,
    };
    if let Err(error) = sent {
        // The client asks again, or is gone.
        tracing::debug!("answer {to}: {error}");
    }
}
