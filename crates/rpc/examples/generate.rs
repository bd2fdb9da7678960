//! Compiles `proto/*.proto` and writes the Rust code to `src/`, which is checked in: users need no protoc.
//! Run it from anywhere in the workspace after a change of a `.proto` file: `cargo run -p rpc --example generate`.

use std::path::Path;

/// Each file in `proto/`, its package, and the module that its code becomes.
const FILES: [(&str, &str, &str); 2] =
    [("archives.proto", "kybern.v1", "archives"), ("cri.proto", "runtime.v1", "cri")];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, package, module) in FILES {
        let descriptors = protox::compile([file], [root.join("proto")])?;
        let out = tempfile::tempdir()?;
        tonic_prost_build::configure().btree_map(".").out_dir(out.path()).compile_fds(descriptors)?;
        let code = std::fs::read_to_string(out.path().join(format!("{package}.rs")))?;
        std::fs::write(root.join("src").join(format!("{module}.rs")), code)?;
    }
    Ok(())
}
