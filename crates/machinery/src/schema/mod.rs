//! Schemas: one compiled type tree per kind, and what reads it: strict decoding, the canonical form.
//!
//! A schema says for every struct which fields it has, of which type, how Go holds them (so that the canonical
//! form is the one that Go's decode and encode would give), and how lists and maps merge. Strategic patches,
//! managed fields, server-side apply and OpenAPI read the same tree. It knows no kind: the schemas of the
//! built-in ones are made at `api`'s build.
//!
//! ```text
//!   JSON bytes ──decode──▶ canonical tree, unknown and duplicate fields
//!   tree ───────check────▶ the same
//!   tree ──canonicalize──▶ in place, lenient: after defaults and patches
//! ```

mod canonical;
mod decode;
mod go;
pub mod pack;
mod raw;
mod strict;
mod syntax;
mod types;
mod unicode;
mod unstructured;

pub use canonical::canonicalize;
pub(crate) use canonical::float;
pub use decode::{check, convert, decode};
pub use go::printed;
pub use raw::raw;
pub use strict::{Unknown, strict_error};
pub use syntax::{syntax_error, unrecognized};
pub use types::{Absent, Arena, Field, Gvk, Items, Merge, Node, Schema, Schemas, Struct, Text, Type, Zero};
pub use unstructured::mismatch;
