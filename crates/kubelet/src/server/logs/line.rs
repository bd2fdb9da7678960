//! A line of a CRI log: `TIME stdout|stderr F|P CONTENT`.
//!
//! Source: <https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>.

use jiff::Timestamp;

use super::Options;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A line's parts; the content has its line end when the line is whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub time: &'a str,
    pub stream: Stream,
    /// The rest of the container's line is in the next one.
    pub partial: bool,
    pub content: &'a [u8],
}

/// Reads a line without its line end; nothing when it is not of this form.
pub fn parse(raw: &[u8]) -> Option<Line<'_>> {
    let mut parts = raw.splitn(4, |b| *b == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let tag = parts.next()?;
    let partial = tag.split(|b| *b == b':').any(|t| t == b"P");
    Some(Line { time, stream, partial, content: parts.next().unwrap_or_default() })
}

/// What of the raw line goes to the client, appended to `out`.
pub fn render(raw: &[u8], options: &Options, out: &mut Vec<u8>) {
    let Some(line) = parse(raw) else { return };
    if options.stream.is_some_and(|wanted| wanted != line.stream) {
        return;
    }
    let old = |since: Timestamp| line.time.parse::<Timestamp>().is_ok_and(|time| time < since);
    if options.since.is_some_and(old) {
        return;
    }
    if options.timestamps {
        out.extend_from_slice(line.time.as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(line.content);
    if !line.partial {
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_and_shown() {
        let raw = b"2026-11-21T01:02:03.5Z stdout F a b";
        let shown = |options: Options| {
            let mut out = Vec::new();
            render(raw, &options, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(Options::default()), "a b\n");
        assert_eq!(shown(Options { timestamps: true, ..Options::default() }), "2026-11-21T01:02:03.5Z a b\n");
        assert_eq!(shown(Options { stream: Some(Stream::Stderr), ..Options::default() }), "");
        let since = "2026-11-21T01:02:04Z".parse().ok();
        assert_eq!(shown(Options { since, ..Options::default() }), "");
        assert!(parse(b"2026 stdout P x").unwrap().partial);
        assert_eq!(parse(b"2026 stdout F").unwrap().content, b"");
    }
}
