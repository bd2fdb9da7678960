//! `cargo xtask up`: from a fresh machine with Debian and Rust to an application that answers.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{packages, product, shell};

const IMAGE: &str = "kybern.io/hello:latest";

/// Builds, brings the cluster up, runs the hello application and prints where it answers.
pub fn run() -> Result<()> {
    packages::ensure(packages::BUILD)?;
    packages::ensure(packages::UP)?;
    let kybern = product::build()?;
    let kybern = kybern.to_string_lossy();
    shell::run(&kybern, &["up"])?;
    shell::run(&kybern, &["image", "hello"])?;
    let kubectl = |args: &[&str]| {
        let args: Vec<&str> = ["kubectl", "--context", "kybern"].iter().chain(args).copied().collect();
        shell::output(&kybern, &args, Path::new("/"))
    };
    if kubectl(&["get", "deployment", "hello"]).is_err() {
        print!("{}", kubectl(&["create", "deployment", "hello", &format!("--image={IMAGE}"), "--port=8080"])?);
        print!("{}", kubectl(&["expose", "deployment", "hello", "--type=NodePort", "--port=8080"])?);
    }
    print!("{}", kubectl(&["rollout", "status", "deployment", "hello"])?);
    let port = kubectl(&["get", "service", "hello", "-o", "jsonpath={.spec.ports[0].nodePort}"])?;
    let address = kubectl(&["get", "node", "-o", "jsonpath={.items[0].status.addresses[0].address}"])?;
    let url = format!("http://{address}:{port}/");
    print!(
        "{}",
        shell::output("curl", &["-sS", "--max-time", "10", &url], Path::new("/")).context("ask the application")?
    );
    println!("The hello application answers at {url}");
    Ok(())
}
