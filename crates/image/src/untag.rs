//! Taking single names from images, as people do. Not here: removing an image whole, as the CRI does ([`Store::remove`]).

use crate::{Error, Image, Reference, Result, Store};

impl Store {
    /// Takes one name from its image; an id takes all of them. Without a name left the image goes too; its layers stay
    /// until [`Store::collect`]. Returns what went: references, or the id of an image that had none.
    ///
    /// # Errors
    /// No image is called so, or the store cannot be written.
    pub fn untag(&self, text: &str) -> Result<Vec<String>> {
        let _naming = self.naming();
        let image = self.find(text).ok_or_else(|| Error::NotFound(text.to_string()))?;
        let id = image.id.trim_start_matches("sha256:");
        let mut rest = image.clone();
        if text.trim_start_matches("sha256:") == id {
            (rest.tags, rest.digests) = (Vec::new(), Vec::new());
        } else {
            take(&mut rest, &Reference::parse(text)?);
        }
        let kept = |name: &&String| !rest.tags.contains(name) && !rest.digests.contains(name);
        let mut gone: Vec<String> = image.tags.iter().chain(&image.digests).filter(kept).cloned().collect();
        if gone.is_empty() {
            gone.push(image.id.clone());
        }
        if rest.tags.is_empty() && rest.digests.is_empty() {
            self.forget(&image.id)?;
        } else {
            self.save(rest)?;
        }
        Ok(gone)
    }
}

/// A digest goes with the last tag of its repository: it came with one, and nobody would find it to remove it.
fn take(image: &mut Image, name: &Reference) {
    if let Some(digest) = &name.digest {
        let name = name.with_digest(digest);
        return image.digests.retain(|known| *known != name);
    }
    let tag = name.to_string();
    image.tags.retain(|known| *known != tag);
    image.loaded.retain(|known| *known != tag);
    let repository = name.name();
    let is_of = |known: &str, mark: char| known.strip_prefix(&repository).is_some_and(|end| end.starts_with(mark));
    if !image.tags.iter().any(|known| is_of(known, ':')) {
        image.digests.retain(|known| !is_of(known, '@'));
    }
}
