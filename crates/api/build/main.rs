//! Builds the schemas of all built-in kinds: types and descriptions from `k8s-openapi`, how Go holds fields
//! and how lists merge from `facts/`. Writes the packed arena and, apart, the compressed descriptions.
//!
//! ```text
//!   k8s-openapi (JsonSchema) ─┐
//!   facts/fields.facts ───────┼─▶ compile ─▶ schemas.packed      (embedded, read at start)
//!   facts/merges.facts ───────┘          └─▶ descriptions.zst    (embedded, read for OpenAPI and explain)
//! ```

mod compile;
mod facts;
mod roots;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const DESCRIPTIONS_LEVEL: i32 = 19;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=facts");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let facts = facts::Facts::read("facts")?;
    let built = compile::compile(&roots::roots(), &facts)?;
    fs::write(out.join("schemas.packed"), machinery::schema::pack::pack(&built.arena))?;
    let descriptions = serde_json::to_vec(&built.descriptions)?;
    fs::write(out.join("descriptions.zst"), zstd::encode_all(descriptions.as_slice(), DESCRIPTIONS_LEVEL)?)?;
    fs::write(out.join("without-facts.txt"), built.without_facts.join("\n"))?;
    Ok(())
}
