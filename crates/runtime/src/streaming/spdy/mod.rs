//! SPDY/3.1, as far as Kubernetes' clients use it: streams with headers, data, half close, ping. No flow control: the
//! library on the other side has none. Not here: what the streams are for.
//! <https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>

mod connection;
mod frame;
mod headers;

pub use connection::{Connection, Incoming, StreamEvent, Writer};
