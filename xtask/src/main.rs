//! Automation: `cargo xtask images|up|test|e2e|leftovers`. It may call other programs; the product may not.

mod images;
mod shell;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND
  images [DIR]     put the test images together from Debian packages, as OCI archives (default /var/tmp/kybern-images)";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["images"] => images::build(images::DEFAULT_DIR.as_ref()),
        ["images", dir] => images::build(dir.as_ref()),
        _ => bail!("{USAGE}"),
    }
}
