//! Domain names in wire form: length, label, …, zero. Lower case, because the DNS compares so.

/// A name is at most this long on the wire (RFC 1035, 2.3.4).
pub const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

/// A whole name with its final zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// From text such as `web.default.svc.cluster.local`; `None` for what is no name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.split('.').filter(|_| !text.is_empty()) {
            if label.is_empty() || label.len() > LABEL_BYTES_MAX {
                return None;
            }
            wire.push(label.len() as u8);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        (wire.len() <= NAME_BYTES_MAX).then_some(Self(wire))
    }

    /// From lower-case wire form that a parser has checked.
    pub(crate) fn from_wire(wire: Vec<u8>) -> Self {
        Self(wire)
    }

    /// This name below `labels`, the first one leftmost.
    #[must_use]
    pub fn under(&self, labels: &[&str]) -> Self {
        let mut wire = Vec::with_capacity(self.0.len() + labels.iter().map(|label| label.len() + 1).sum::<usize>());
        for label in labels {
            wire.push(label.len() as u8);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.extend_from_slice(&self.0);
        Self(wire)
    }

    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    pub fn labels(&self) -> Labels<'_> {
        Labels(&self.0)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for label in self.labels() {
            write!(f, "{}.", String::from_utf8_lossy(label))?;
        }
        Ok(())
    }
}

/// The labels of a name from left to right.
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.0.first()?);
        let label = self.0.get(1..=length).filter(|label| !label.is_empty())?;
        self.0 = &self.0[length + 1..];
        Some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        let name = Name::parse("Web.Default").unwrap();
        assert_eq!(name.wire(), b"\x03web\x07default\0");
        assert_eq!(name.under(&["a"]).to_string(), "a.web.default.");
        assert_eq!(Name::parse("").unwrap().wire(), b"\0");
        assert_eq!(Name::parse("a.b.").unwrap(), Name::parse("a.b").unwrap());
        for bad in ["a..b", "..", &"x".repeat(64), &"x.".repeat(130)] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }
}
