//! Test images under the well-known names and tags that manifests use, as OCI archives.
//!
//! ```text
//!   table of recipes ──▶ Debian packages (downloaded once) ──▶ one layer ──▶ OCI archive, one file per recipe
//! ```
//! An archive newer than this program is left as it is.

mod debian;
mod oci;
mod recipes;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::shell;

pub const DEFAULT_DIR: &str = "/var/tmp/kybern-images";

/// Builds every image of [`recipes::ALL`] into `dir`.
pub fn build(dir: &Path) -> Result<()> {
    let cache = dir.join("packages");
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    for recipe in recipes::ALL {
        let archive = dir.join(format!("{}.tar", recipe.file));
        if is_newer(&archive)? {
            continue;
        }
        let mut layer = oci::Layer::new();
        for package in recipe.packages {
            debian::add(&mut layer, package, &cache)?;
        }
        if recipe.packages.contains(&debian::BUSYBOX) {
            debian::link_applets(&mut layer, &cache)?;
        }
        recipe.files.iter().try_for_each(|file| layer.file(file.path, file.text.as_bytes(), file.mode))?;
        recipe.links.iter().try_for_each(|(path, target)| layer.link(path, target))?;
        recipe.folders.iter().try_for_each(|(path, mode)| layer.folder(path, *mode))?;
        oci::write(&archive, recipe, layer)?;
        let size = fs::metadata(&archive)?.len();
        println!("{:5.1} MB  {}", size as f64 / 1e6, recipe.names.join(" "));
    }
    Ok(())
}

fn is_newer(archive: &Path) -> Result<bool> {
    let Ok(made) = fs::metadata(archive).and_then(|m| m.modified()) else { return Ok(false) };
    Ok(made > fs::metadata(shell::this_program())?.modified()?)
}
