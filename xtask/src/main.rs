//! Automation: `cargo xtask up|test|e2e|images|kills|lifecycle|start|leftovers`. It may call other programs; the product may not.

mod e2e;
mod images;
mod leftovers;
mod licences;
mod packages;
mod product;
mod shell;
mod tally;
mod test;
mod trials;
mod up;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND
  up               build the release, bring a cluster up, run the hello application, print its address
  test             everything: format, lints, licences, unit and end-to-end tests, leftovers
  e2e [FILTER]     the suites whose file or test names contain FILTER, on real containers
  images [DIR]     put the test images together from Debian packages, as OCI archives (default /var/tmp/kybern-images)
  kills [N]        kill server and supervisor N times (100) under load: nothing answered is lost, no pod notices
  lifecycle        down and up, up twice at once, delete while up, two clusters on one machine
  start            how long a cluster takes to be ready, and a pod to run and resolve a name; nothing and much in the data
  leftovers        what a cluster leaves on the machine after kybern delete: nothing";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["up"] => up::run(),
        ["test"] => test::run(),
        ["e2e"] => e2e::run(""),
        ["e2e", filter] => e2e::run(filter),
        ["images"] => images::build(images::DEFAULT_DIR.as_ref()),
        ["images", dir] => images::build(dir.as_ref()),
        ["kills"] => trials::run(&["kills", trials::KILLS]),
        ["kills", count] => trials::run(&["kills", count]),
        [trial @ ("lifecycle" | "start")] => trials::run(&[trial]),
        ["leftovers"] => leftovers::run(),
        _ => bail!("{USAGE}"),
    }
}
