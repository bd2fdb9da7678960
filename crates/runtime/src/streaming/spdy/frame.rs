//! Frames of SPDY/3: reading and writing their bytes. Not here: streams' states.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of one frame; clients send at most 64 KiB of data at once.
const FRAME_LENGTH_MAX: usize = 1 << 20;
const VERSION: u16 = 3;
const CONTROL: u8 = 0x80;
pub const FLAG_FIN: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SynStream,
    SynReply,
    RstStream,
    Ping,
    GoAway,
    Headers,
    /// Settings, window updates and what else need not be answered.
    Other,
}

#[derive(Debug)]
pub enum Frame {
    Data { stream: u32, fin: bool, payload: Bytes },
    Control { kind: Kind, flags: u8, payload: Bytes },
}

/// The next frame; `None` at the end of the connection.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut head = [0; 8];
    match from.read_exact(&mut head).await {
        Err(problem) if problem.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => drop(other?),
    }
    let [a, b, c, d, flags, e, f, g] = head;
    let length = u32::from_be_bytes([0, e, f, g]) as usize;
    if length > FRAME_LENGTH_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a SPDY frame of {length} bytes")));
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload).await?;
    let payload = Bytes::from(payload);
    if a & CONTROL == 0 {
        let stream = u32::from_be_bytes([a, b, c, d]);
        return Ok(Some(Frame::Data { stream, fin: flags & FLAG_FIN != 0, payload }));
    }
    let kind = match u16::from_be_bytes([c, d]) {
        1 => Kind::SynStream,
        2 => Kind::SynReply,
        3 => Kind::RstStream,
        6 => Kind::Ping,
        7 => Kind::GoAway,
        8 => Kind::Headers,
        _ => Kind::Other,
    };
    Ok(Some(Frame::Control { kind, flags, payload }))
}

fn length_bytes(length: usize) -> [u8; 3] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    [a, b, c]
}

pub fn data(stream: u32, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.push(if fin { FLAG_FIN } else { 0 });
    bytes.extend_from_slice(&length_bytes(payload.len()));
    bytes.extend_from_slice(payload);
    bytes
}

fn control(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend_from_slice(&(VERSION | u16::from(CONTROL) << 8).to_be_bytes());
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&length_bytes(payload.len()));
    bytes.extend_from_slice(payload);
    bytes
}

pub fn syn_reply(stream: u32, block: &[u8]) -> Vec<u8> {
    control(2, &[&stream.to_be_bytes(), block].concat())
}

/// For tests: what clients send.
#[cfg(test)]
pub fn syn_stream(stream: u32, block: &[u8]) -> Vec<u8> {
    control(1, &[&stream.to_be_bytes()[..], &[0; 6], block].concat())
}

pub fn ping(payload: &[u8]) -> Vec<u8> {
    control(6, payload)
}

/// Status 0: nothing was wrong.
pub fn go_away(last: u32) -> Vec<u8> {
    control(7, &[last.to_be_bytes(), [0; 4]].concat())
}
