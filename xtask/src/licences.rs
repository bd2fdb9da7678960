//! The licence check: every crate that is built in has a licence that Kybern's Apache-2.0 can live with.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};

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

/// Crates that name a file instead of an expression, and what the file says.
const BY_FILE: &[(&str, &str)] = &[("rust-criu", "MIT")];

/// # Errors
/// Some crate's licence is not allowed; all such crates are named.
pub fn check() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["tree", "--workspace", "--locked", "-e", "normal,build", "--prefix", "none", "--format", "{p}|{l}"];
    let done = Command::new(cargo).args(args).output().context("cargo tree")?;
    if !done.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&done.stderr));
    }
    let text = String::from_utf8_lossy(&done.stdout);
    let refused: BTreeSet<&str> = text.lines().filter(|line| !line.is_empty() && !is_allowed(line)).collect();
    if refused.is_empty() { Ok(()) } else { bail!("licences that are not allowed: {refused:?}") }
}

/// A line `name v1.2.3 (*)|expression (*)`.
fn is_allowed(line: &str) -> bool {
    let Some((package, licence)) = line.split_once('|') else { return false };
    let name = package.split(' ').next().unwrap_or_default();
    let by_file = BY_FILE.iter().find(|(known, _)| *known == name).map(|(_, licence)| *licence);
    expression(by_file.unwrap_or_else(|| licence.trim_end_matches("(*)").trim()))
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
        assert!(is_allowed("rust-criu v0.6.1|"));
        assert!(is_allowed("a v1.0.0 (*)|MIT (*)"));
        assert!(!is_allowed("b v1.0.0|"));
    }
}
