//! The API server over HTTPS, as clients see it: real TLS, real store, an ephemeral port.

#![allow(clippy::unwrap_used)]

mod access;
mod errors;
mod harness;
mod mutants;
mod reads;
mod seeds;
mod streams;
mod tokens;
