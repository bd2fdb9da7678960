//! The whole cluster on one thread, on virtual time. Development only.
