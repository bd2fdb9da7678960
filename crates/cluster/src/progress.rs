//! What a starting server says, and how `up` follows it: JSON lines in a file, heard through inotify.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use serde::{Deserialize, Serialize};

/// One line of the progress file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// A step is done, so many milliseconds after the server's start.
    Step { what: String, at_ms: u64 },
    /// The cluster can be used.
    Ready { at_ms: u64 },
    /// The server gives up.
    Failed { why: String },
}

/// The server's side: a new file for each start.
pub struct Teller {
    file: File,
    start: Instant,
}

impl Teller {
    pub fn new(path: &Path, start: Instant) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        file.set_len(0).with_context(|| format!("empty {}", path.display()))?;
        Ok(Self { file, start })
    }

    pub fn step(&self, what: &str) -> Result<()> {
        self.say(&Said::Step { what: what.into(), at_ms: self.at_ms() })
    }

    pub fn ready(&self) -> Result<()> {
        self.say(&Said::Ready { at_ms: self.at_ms() })
    }

    pub fn failed(&self, why: &str) -> Result<()> {
        self.say(&Said::Failed { why: why.into() })
    }

    fn say(&self, said: &Said) -> Result<()> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        (&self.file).write_all(&line).context("write the progress file")
    }

    fn at_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

/// Follows the file until the server is ready or failed; every step is shown once.
pub fn follow(path: &Path, patience: Duration, mut show: impl FnMut(&Said)) -> Result<()> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).context("start inotify")?;
    let file = OpenOptions::new().create(true).append(true).read(true).open(path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    inotify::add_watch(&watch, path, inotify::WatchFlags::MODIFY)
        .with_context(|| format!("watch {}", path.display()))?;
    let end = Instant::now() + patience;
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    loop {
        while lines.read_line(&mut line).context("read the progress file")? > 0 {
            if !line.ends_with('\n') {
                break;
            }
            let said: Said = serde_json::from_str(&line).with_context(|| format!("progress line {line:?}"))?;
            line.clear();
            show(&said);
            match said {
                Said::Ready { .. } => return Ok(()),
                Said::Failed { why } => bail!("{why}"),
                Said::Step { .. } => {}
            }
        }
        wait(&watch, end)?;
    }
}

fn wait(watch: &rustix::fd::OwnedFd, end: Instant) -> Result<()> {
    let left = end.saturating_duration_since(Instant::now());
    let left = rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    if poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&left)).context("wait for the server")? == 0 {
        bail!("the server did not become ready in time");
    }
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    while events.next().is_ok() {}
    Ok(())
}

/// The last thing said, for `status`.
pub fn last(path: &Path) -> Option<Said> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}
