//! What every kind has in common on its way into the store: decoding, system metadata, deletion. Pure.

pub mod changes;
pub mod decode;
pub mod deletion;
pub mod system;
