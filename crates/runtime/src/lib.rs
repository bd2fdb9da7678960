//! The CRI service: sandboxes and their network, containers, images, logs, exec; shims.

pub mod shim;
