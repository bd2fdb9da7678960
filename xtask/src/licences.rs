//! The licence check: every crate that is built in has a licence that Kybern's Apache-2.0 can live with.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// MPL-2.0 is copyleft by file only: imbl is used unchanged.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "MIT-0",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "Unicode-3.0",
    "Unlicense",
    "BSL-1.0",
    "MPL-2.0",
    "MPL-2.0+",
    "OpenSSL",
];

/// # Errors
/// Some crate's licence is not allowed; all such crates are named.
pub fn check() -> Result<usize> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let done = Command::new(cargo).args(args).output().context("cargo metadata")?;
    if !done.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&done.stderr));
    }
    let metadata: Value = serde_json::from_slice(&done.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let refused: Vec<String> = packages.iter().filter(|p| !is_allowed(p)).map(named).collect();
    if refused.is_empty() { Ok(packages.len()) } else { bail!("licences that are not allowed: {}", refused.join(", ")) }
}

fn is_allowed(package: &Value) -> bool {
    package["license"].as_str().is_some_and(expression)
}

fn named(package: &Value) -> String {
    format!("{} {} ({})", package["name"], package["version"], package["license"])
}

/// An SPDX expression without nested brackets: alternatives of conjunctions; a slash is the old form of `OR`.
fn expression(text: &str) -> bool {
    let flat = text.replace('/', " OR ").replace(['(', ')'], "");
    // Brackets are used as in `A AND (B OR C)`: with them dropped, every part of a conjunction has an allowed choice.
    if text.contains('(') {
        return flat.split(" AND ").all(|part| part.split(" OR ").any(|name| ALLOWED.contains(&name.trim())));
    }
    flat.split(" OR ").any(|choice| choice.split(" AND ").all(|name| ALLOWED.contains(&name.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read() {
        assert!(expression("MIT/Apache-2.0"));
        assert!(expression("GPL-3.0 OR MIT"));
        assert!(expression("ISC AND (Apache-2.0 OR ISC)"));
        assert!(!expression("GPL-3.0"));
        assert!(!expression("MIT AND AGPL-3.0"));
    }
}
