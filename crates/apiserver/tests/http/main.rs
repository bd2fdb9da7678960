//! The API server over HTTPS, as clients see it: real TLS, real store, an ephemeral port.

mod access;
mod errors;
mod harness;
mod reads;
mod streams;
mod tokens;
