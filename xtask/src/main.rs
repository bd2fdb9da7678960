//! Automation: up, test, e2e, images, leftovers.

fn main() {}
