//! The termination message of a container: its file, or the end of its log when it failed.
//!
//! Source: <https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rpc::cri::ContainerStatus;

use crate::plan::config::labels;
use crate::server::logs::{Options, line};

const MESSAGE_BYTES_MAX: usize = 4096;
const LOG_BYTES_MAX: usize = 2048;
const LOG_LINES_MAX: usize = 80;
/// What is read from a log's end to find those lines: CRI puts up to 50 bytes before each.
const LOG_TAIL_BYTES: u64 = 16 << 10;

/// The message; nothing when the container was not to leave one.
pub fn message(status: &ContainerStatus) -> Option<String> {
    let path = status.annotations.get(labels::TERMINATION_PATH)?;
    let policy = status.annotations.get(labels::TERMINATION_POLICY).map_or("File", String::as_str);
    let mount = status.mounts.iter().find(|m| m.container_path == *path);
    let told = mount.map(|m| first_bytes(Path::new(&m.host_path))).unwrap_or_default();
    if told.is_empty() && policy == "FallbackToLogsOnError" && status.exit_code != 0 {
        return log_end(Path::new(&status.log_path)).or(Some(told));
    }
    Some(told).filter(|t| !t.is_empty())
}

/// Opens a file that the pod chose: by a volume's subPath it may be a pipe, which would keep us waiting for a writer.
fn regular(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

fn first_bytes(path: &Path) -> String {
    let mut content = Vec::new();
    let limit = MESSAGE_BYTES_MAX as u64;
    match regular(path).and_then(|f| f.take(limit).read_to_end(&mut content)) {
        Ok(_) => String::from_utf8_lossy(&content).into_owned(),
        Err(e) => format!("Error on reading termination log {}: {e}", path.display()),
    }
}

/// The last lines of a CRI log without what the runtime put before them.
fn log_end(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let start = length.saturating_sub(LOG_TAIL_BYTES);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut content = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut content).ok()?;
    let text = String::from_utf8_lossy(&content);
    let mut lines: Vec<&str> = text.lines().skip(usize::from(start > 0)).collect();
    lines = lines.split_off(lines.len().saturating_sub(LOG_LINES_MAX));
    let mut bare = Vec::new();
    lines.iter().for_each(|raw| line::render(raw.as_bytes(), &Options::default(), &mut bare));
    let mut out = String::from_utf8_lossy(&bare).into_owned();
    let cut = out.len().saturating_sub(LOG_BYTES_MAX);
    let cut = (cut..=out.len()).find(|i| out.is_char_boundary(*i)).unwrap_or(0);
    Some(out.split_off(cut))
}

#[cfg(test)]
mod tests {
    use super::log_end;

    #[test]
    fn the_end_of_a_log_has_the_line_ends_that_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let time = "2026-01-02T03:04:05.000000006Z";
        std::fs::write(
            &path,
            format!("{time} stdout F a\n{time} stderr P b\n{time} stderr F c\n{time} stdout P DONE\n"),
        )
        .unwrap();
        assert_eq!(log_end(&path).unwrap(), "a\nbc\nDONE");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("termination-pipe-{}", std::process::id()));
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let told = super::first_bytes(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(told.ends_with("not a regular file"), "{told}");
    }
}
