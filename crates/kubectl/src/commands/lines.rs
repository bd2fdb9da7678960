//! A body as lines, while it comes: watches with an `Accept` of their own.

use client::https::Https;
use futures::{Stream, StreamExt, stream};

use crate::failure::Result;

/// The lines of a GET's body.
pub async fn of(https: &Https, path: &str, accept: &str) -> Result<impl Stream<Item = Result<String>> + Unpin + use<>> {
    let body = https.stream(path, accept).await?.boxed();
    Ok(stream::unfold((body, Vec::new()), async |(mut body, mut left): (_, Vec<u8>)| {
        loop {
            if let Some(at) = left.iter().position(|b| *b == b'\n') {
                let rest = left.split_off(at + 1);
                let line = String::from_utf8_lossy(&left[..at]).into_owned();
                return Some((Ok(line), (body, rest)));
            }
            let next: Option<std::result::Result<bytes::Bytes, machinery::status::Status>> = body.next().await;
            match next? {
                Ok(bytes) => left.extend_from_slice(&bytes),
                Err(status) => return Some((Err(status.into()), (body, Vec::new()))),
            }
        }
    })
    .boxed())
}
