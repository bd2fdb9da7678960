//! What a pod's spec means to the runtime: CRI configs, environment, files. Pure functions of spec and facts.

pub mod container;
pub mod dns;
pub mod env;
pub mod expand;
pub mod facts;
pub mod field;
pub mod hosts;
pub mod labels;
pub mod resources;
pub mod sandbox;
pub mod security;
pub mod service_env;
