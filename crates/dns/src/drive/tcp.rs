//! TCP (RFC 7766): queries of one connection in their order, as many as the client likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::net::{SocketFlags, SocketType, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::server::{Reply, Server, Transport};
use super::udp::family;

const CONNECTIONS_MAX: usize = 512;
/// A client that says nothing for so long, or does not take its answer, is left.
const IDLE_MS: u64 = 10_000;
const BACKLOG: i32 = 128;
/// After an error of the listener that is not a client's doing (out of file descriptors).
const PAUSE_MS: u64 = 50;

pub fn serve(
    address: SocketAddr,
    server: &Arc<Server>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let listener = bind(address).with_context(|| format!("listen for DNS queries on {address}, TCP"))?;
    let (server, stop) = (server.clone(), stop.clone());
    tasks.spawn(async move {
        let mut clients = JoinSet::new();
        stop.run_until_cancelled(accept(listener, server, &mut clients)).await;
        clients.shutdown().await;
    });
    Ok(())
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family(address), SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_ip_freebind(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from_std(std::net::TcpListener::from(socket))?)
}

async fn accept(listener: TcpListener, server: Arc<Server>, clients: &mut JoinSet<()>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = server.clone();
                clients.spawn(async move {
                    // The client's end of the connection tells it all that there is to tell.
                    let _ = converse(stream, &server).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("accept DNS clients: {error}");
                tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
            }
        }
    }
}

async fn converse(mut stream: TcpStream, server: &Server) -> std::io::Result<()> {
    let idle = Duration::from_millis(IDLE_MS);
    loop {
        let packet = tokio::time::timeout(idle, read(&mut stream)).await??;
        let answer = match server.now(&packet, Transport::Tcp) {
            Reply::Silence => return Ok(()),
            Reply::Packet(answer) => answer,
            Reply::Ask => server.later(&packet, Transport::Tcp).await,
        };
        let length = (answer.len() as u16).to_be_bytes();
        tokio::time::timeout(idle, stream.write_all(&[&length[..], &answer].concat())).await??;
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut packet = vec![0; usize::from(length)];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}
