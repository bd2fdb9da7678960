//! Pulling from registries.

use std::sync::Arc;

use crate::{Error, Image, Reference, Result, Store};

#[derive(Clone, Debug, Default)]
pub struct Config {}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    #[default]
    None,
    Basic { username: String, password: String },
    Bearer(String),
}

impl Credentials {
    /// From the base64 of `user:password`, as Docker's configuration has it.
    pub fn from_basic(_text: &str) -> Option<Credentials> {
        None
    }
}

pub struct Puller {
    store: Arc<Store>,
}

impl Puller {
    pub fn new(_config: Config, store: Arc<Store>) -> Puller {
        Puller { store }
    }

    pub async fn pull(&self, text: &str, _credentials: Credentials) -> Result<Image> {
        let reference = Reference::parse(text)?;
        self.store.find(&reference.to_string()).ok_or_else(|| Error::NotFound(text.to_string()))
    }
}
