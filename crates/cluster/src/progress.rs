//! What a starting server says, and how `up` follows it: JSON lines in a file, heard through inotify.
//!
//! Each start has a file of its own, renamed over the last one's, so that no reader takes an old word for a new one.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, WatchFlags};
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
        let staged = path.with_extension("new");
        let file = File::create(&staged).with_context(|| format!("create {}", staged.display()))?;
        fs::rename(&staged, path).with_context(|| format!("rename {}", staged.display()))?;
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

/// The file of one start, to tell the next one's from it.
pub struct Mark(File);

/// Marks the last start, whatever became of it.
pub fn mark(path: &Path) -> Option<Mark> {
    File::open(path).ok().map(Mark)
}

/// Follows a start until the server is ready or failed; every step is shown once, and again when the server starts
/// again. With `after`, only a start later than that one counts.
///
/// # Errors
/// The server failed, `supervisor` ended, the cluster was stopped meanwhile, or `patience` is at its end.
pub fn follow(
    path: &Path,
    after: Option<Mark>,
    supervisor: &OwnedFd,
    patience: Duration,
    mut show: impl FnMut(&Said),
) -> Result<()> {
    let end = Instant::now() + patience;
    let folder = path.parent().context("a progress file without a folder")?;
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).context("start inotify")?;
    let heard = WatchFlags::MODIFY | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
    inotify::add_watch(&watch, folder, heard).with_context(|| format!("watch {}", folder.display()))?;
    let mut open = after.map(|mark| BufReader::new(mark.0));
    if let Some(passed_over) = &mut open {
        passed_over.seek(SeekFrom::End(0)).context("pass over an earlier start")?;
    }
    let mut reader = Reader { path: path.to_owned(), open };
    loop {
        match reader.read(&mut show)? {
            Some(Said::Ready { .. }) => return Ok(()),
            Some(Said::Failed { why }) => bail!("{why}"),
            _ => {}
        }
        wait(&watch, supervisor, end)?;
        if !folder.exists() {
            bail!("the cluster was stopped meanwhile");
        }
    }
}

/// Reads the newest file as far as it goes.
struct Reader {
    path: PathBuf,
    open: Option<BufReader<File>>,
}

impl Reader {
    /// The last word of the newest file, if there was a new one.
    fn read(&mut self, show: &mut dyn FnMut(&Said)) -> Result<Option<Said>> {
        let mut last = self.drain(show)?;
        while self.renewed()? {
            last = self.drain(show)?;
        }
        Ok(last)
    }

    fn drain(&mut self, show: &mut dyn FnMut(&Said)) -> Result<Option<Said>> {
        let mut last = None;
        let Some(lines) = &mut self.open else { return Ok(None) };
        let mut line = String::new();
        // Lines are written whole.
        while lines.read_line(&mut line).context("read the progress file")? > 0 {
            let said: Said = serde_json::from_str(&line).with_context(|| format!("progress line {line:?}"))?;
            line.clear();
            show(&said);
            last = Some(said);
        }
        Ok(last)
    }

    /// Opens the file if it is another one than before.
    fn renewed(&mut self) -> Result<bool> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            other => other.with_context(|| format!("open {}", self.path.display()))?,
        };
        let before = self.open.as_ref().map(|open| open.get_ref().metadata()).transpose()?;
        if before.is_some_and(|before| file.metadata().is_ok_and(|now| now.ino() == before.ino())) {
            return Ok(false);
        }
        self.open = Some(BufReader::new(file));
        Ok(true)
    }
}

fn wait(watch: &OwnedFd, supervisor: &OwnedFd, end: Instant) -> Result<()> {
    let left = end.saturating_duration_since(Instant::now());
    let left = rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    let mut polled = [watch.as_fd(), supervisor.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    if poll(&mut polled, Some(&left)).context("wait for the server")? == 0 {
        bail!("the server did not become ready in time");
    }
    if polled[0].revents().is_empty() {
        bail!("the supervisor ended");
    }
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    while events.next().is_ok() {}
    Ok(())
}

/// Whether a process is there still.
pub fn lives(process: &OwnedFd) -> Result<bool> {
    let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&at_once)).context("ask for a process")? == 0)
}

/// The last thing said, for `status`.
pub fn last(path: &Path) -> Option<Said> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

#[cfg(test)]
mod tests {
    use rustix::process::{PidfdFlags, getpid, pidfd_open};

    use super::*;

    #[test]
    fn a_start_after_another_one_is_followed_to_its_own_end() {
        let folder = std::env::temp_dir().join(format!("kybern-progress-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("progress");
        let living = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let first = Teller::new(&path, Instant::now()).unwrap();
        first.step("store").unwrap();
        let mut second = None;
        let mut steps = 0;
        follow(&path, None, &living, Duration::from_secs(60), |said| match (said, &mut second) {
            // The first server dies here, and another one starts.
            (Said::Step { .. }, None) => {
                let again = Teller::new(&path, Instant::now()).unwrap();
                again.step("store").unwrap();
                second = Some(again);
            }
            (Said::Step { .. }, Some(second)) => {
                steps += 1;
                second.ready().unwrap();
            }
            _ => {}
        })
        .unwrap();
        assert_eq!(steps, 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
