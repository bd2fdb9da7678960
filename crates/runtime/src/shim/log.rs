//! A container's log in the CRI's format: `<time> <stream> <F or P> <text>`. Not here: deciding when to rotate.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// Longer lines are written in parts, tagged `P` but for the last.
const LINE_LENGTH_MAX: usize = 16 << 10;
const NS_PER_S: i64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

/// The log of one container. Without a path everything is dropped.
#[derive(Default)]
pub struct Log {
    path: Option<PathBuf>,
    file: Option<File>,
    partial: [Vec<u8>; 2],
}

impl Log {
    pub fn open(path: Option<PathBuf>) -> std::io::Result<Log> {
        let mut log = Log { path, ..Log::default() };
        log.reopen()?;
        Ok(log)
    }

    /// Opens the path again, after somebody renamed the file.
    pub fn reopen(&mut self) -> std::io::Result<()> {
        if let Some(path) = &self.path {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            self.file = Some(OpenOptions::new().create(true).append(true).open(path)?);
        }
        Ok(())
    }

    /// Takes output that came at `now` (nanoseconds since 1970). A full disk loses lines, never the container.
    pub fn append(&mut self, output: Output, bytes: &[u8], now: i64) {
        let Some(file) = &mut self.file else { return };
        let partial = &mut self.partial[output as usize];
        let mut lines = Vec::with_capacity(bytes.len() + 64);
        let head = head(output, now);
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            write_line(&mut lines, &head, partial, &rest[..end], b'F');
            rest = &rest[end + 1..];
        }
        while partial.len() + rest.len() >= LINE_LENGTH_MAX {
            let (part, tail) = rest.split_at(LINE_LENGTH_MAX - partial.len());
            write_line(&mut lines, &head, partial, part, b'P');
            rest = tail;
        }
        partial.extend_from_slice(rest);
        let _ = file.write_all(&lines);
    }

    /// Writes what had no end of line when the stream ended, as a part: readers add no end of line to it.
    pub fn finish(&mut self, output: Output, now: i64) {
        let Some(file) = &mut self.file else { return };
        let partial = &mut self.partial[output as usize];
        if !partial.is_empty() {
            let mut line = Vec::new();
            write_line(&mut line, &head(output, now), partial, b"", b'P');
            let _ = file.write_all(&line);
        }
        *partial = Vec::new();
    }
}

fn head(output: Output, now: i64) -> String {
    let name = if output == Output::Stdout { "stdout" } else { "stderr" };
    format!("{} {name} ", rfc3339(now))
}

/// One line, in parts if it is long. Empties `partial`.
fn write_line(into: &mut Vec<u8>, head: &str, partial: &mut Vec<u8>, end: &[u8], tag: u8) {
    let whole;
    let text = if partial.is_empty() {
        end
    } else {
        partial.extend_from_slice(end);
        whole = std::mem::take(partial);
        &whole[..]
    };
    let mut parts = text.chunks(LINE_LENGTH_MAX).peekable();
    if parts.peek().is_none() {
        push_line(into, head, b"", tag);
    }
    while let Some(part) = parts.next() {
        push_line(into, head, part, if parts.peek().is_some() { b'P' } else { tag });
    }
}

fn push_line(into: &mut Vec<u8>, head: &str, text: &[u8], tag: u8) {
    into.extend_from_slice(head.as_bytes());
    into.extend_from_slice(&[tag, b' ']);
    into.extend_from_slice(text);
    into.push(b'\n');
}

/// A time as RFC 3339 with nanoseconds, in UTC. Days become dates by Howard Hinnant's `civil_from_days`.
fn rfc3339(now: i64) -> String {
    let (seconds, nanos) = (now.div_euclid(NS_PER_S), now.rem_euclid(NS_PER_S));
    let (days, second) = (seconds.div_euclid(S_PER_DAY), seconds.rem_euclid(S_PER_DAY));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc3339() {
        assert_eq!(rfc3339(1_475_713_029_669_794_202), "2016-10-06T00:17:09.669794202Z");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00.000000000Z");
    }

    #[test]
    fn lines_are_tagged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut log = Log::open(Some(path.clone())).unwrap();
        log.append(Output::Stdout, b"a\nb", 0);
        log.append(Output::Stdout, b"c\n", 0);
        log.append(Output::Stderr, &[b'x'; LINE_LENGTH_MAX + 1], 0);
        log.append(Output::Stderr, b"\n\n", 0);
        log.append(Output::Stdout, b"end", 0);
        log.finish(Output::Stdout, 0);
        let text = std::fs::read_to_string(path).unwrap();
        let tags: Vec<String> = text
            .lines()
            .map(|line| {
                line.splitn(4, ' ').skip(1).map(|word| &word[..word.len().min(6)]).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(tags, ["stdout F a", "stdout F bc", "stderr P xxxxxx", "stderr F x", "stderr F ", "stdout P end"]);
    }
}
