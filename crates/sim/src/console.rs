//! A suite's console in a simulated cluster.
//!
//! `kubectl …` is our own, called in this thread; `… | …` gives its output to a shell; `$(kubectl …)` and
//! `$NAMESPACE` are put in. `sleep N` moves the clock on. `sim add-node`, `stop-node`, `start-node` and
//! `restart-kubelet NAME`, `kill-minds` and `start-minds` do what only a simulation can.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::cluster::Cluster;
use crate::world;

/// A console with a namespace of its own.
pub struct Console {
    runtime: Runtime,
    cluster: Cluster,
    namespace: String,
    begun: Timestamp,
}

/// What a command said and how it ended.
struct Said {
    out: String,
    err: String,
    code: u8,
}

impl Console {
    /// A cluster with one node, on a runtime with one thread and a paused clock.
    ///
    /// # Errors
    /// The cluster does not start.
    pub fn open(runtime: Runtime, seed: u64, namespace: &str) -> Result<Self> {
        let cluster = runtime.block_on(async {
            let mut cluster = Cluster::start(seed).await?;
            cluster.add_node().await?;
            anyhow::Ok(cluster)
        })?;
        let begun = runtime.block_on(async { world::now() });
        let mut console = Self { runtime, cluster, namespace: namespace.to_owned(), begun };
        console.in_namespace()?;
        Ok(console)
    }

    /// Makes the namespace and names it in the kubeconfig.
    fn in_namespace(&mut self) -> Result<()> {
        let said = self.kubectl(vec!["create".into(), "namespace".into(), self.namespace.clone()], "")?;
        if said.code != 0 {
            bail!("{}", said.err);
        }
        let file = self.cluster.kubeconfig();
        let context = "    user: sim\n";
        let text = std::fs::read_to_string(&file)?;
        let text = text.replacen(context, &format!("{context}    namespace: {}\n", self.namespace), 1);
        std::fs::write(&file, text)?;
        Ok(())
    }

    fn line(&mut self, line: &str, input: &str) -> Result<String> {
        let line = self.expand(line)?;
        let (first, rest) = match split_unquoted(&line, '|') {
            Some((first, rest)) => (first, Some(rest)),
            None => (line.as_str(), None),
        };
        let words = words(first)?;
        let mut said = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["kubectl", ..] => self.kubectl(words[1..].to_vec(), input)?,
            ["sleep", seconds] => {
                let pause = Duration::from_secs_f64(seconds.parse().context("sleep takes seconds")?);
                self.runtime.block_on(async { tokio::time::sleep(pause).await });
                Said { out: String::new(), err: String::new(), code: 0 }
            }
            ["sim", verb, names @ ..] => {
                self.sim(verb, names.first().copied().unwrap_or_default())?;
                Said { out: String::new(), err: String::new(), code: 0 }
            }
            _ => bail!("the console of a simulation knows kubectl, sleep and sim"),
        };
        if let Some(rest) = rest {
            let piped = shell(rest, &said.out)?;
            said = Said { out: piped.out, err: said.err + &piped.err, code: piped.code };
        }
        let mut shown = said.err + &said.out;
        if said.code != 0 {
            writeln!(shown, "[exit {}]", said.code)?;
        }
        Ok(shown)
    }

    fn sim(&mut self, verb: &str, name: &str) -> Result<()> {
        let Self { runtime, cluster, .. } = self;
        runtime.block_on(async {
            match verb {
                "add-node" => cluster.add_node().await,
                "stop-node" => cluster.stop_node(name),
                "start-node" => cluster.start_node(name),
                "restart-kubelet" => cluster.restart_kubelet(name),
                "kill-minds" => {
                    cluster.kill_controllers();
                    cluster.kill_scheduler();
                    Ok(())
                }
                "start-minds" => {
                    cluster.start_scheduler();
                    cluster.start_controllers()
                }
                _ => bail!("sim {verb}: unknown"),
            }
        })
    }

    /// Runs our kubectl with this process' standard streams led elsewhere.
    fn kubectl(&mut self, words: Vec<String>, input: &str) -> Result<Said> {
        let words = words.into_iter().map(OsString::from);
        let config = format!("--kubeconfig={}", self.cluster.kubeconfig().display());
        let words = std::iter::once(OsString::from(config)).chain(words);
        let streams = Streams::lead(input)?;
        let code = self.runtime.block_on(kubectl::run_through(self.cluster.dial(), words));
        let (out, err) = streams.restore()?;
        let code = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).unwrap_or(u8::MAX);
        Ok(Said { out, err, code })
    }

    /// Puts variables and what inner commands say in.
    fn expand(&mut self, line: &str) -> Result<String> {
        let mut line = line.replace("$NAMESPACE", &self.namespace);
        while let Some((before, rest)) = line.split_once("$(") {
            let (inner, after) = rest.split_once(')').context("$( without )")?;
            let said = self.line(inner, "")?;
            line = format!("{before}{}{after}", said.trim_end());
        }
        Ok(line)
    }
}

impl suite::run::World for Console {
    fn run(&mut self, line: &str, input: &str) -> String {
        self.line(line, input).unwrap_or_else(|error| format!("{error:#}\n[exit -1]\n"))
    }

    fn wait(&mut self, pause: Duration) {
        // Virtual time costs nothing, a command does: it is tried again less often than on a real cluster.
        self.runtime.block_on(async { tokio::time::sleep(pause * 5).await });
    }

    fn clock(&mut self) -> Duration {
        let now = self.runtime.block_on(async { world::now() });
        now.duration_since(self.begun).unsigned_abs()
    }
}

/// The parts before and after the first such character outside of quotes.
fn split_unquoted(line: &str, at: char) -> Option<(&str, &str)> {
    let mut quote = None;
    for (index, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == at => return Some((&line[..index], &line[index + 1..])),
            None => {}
        }
    }
    None
}

fn words(line: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(open) if c == open => quote = None,
            Some('"') if c == '\\' => word.get_or_insert_default().extend(chars.next()),
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        bail!("a quote is not closed: {line}");
    }
    words.extend(word);
    Ok(words)
}

fn shell(line: &str, input: &str) -> Result<Said> {
    let mut command = Command::new("sh");
    command.args(["-c", line]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("sh")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input is none the worse for it.
        let _ = stdin.write_all(input.as_bytes());
    }
    let done = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = done.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    Ok(Said { out: text(&done.stdout), err: text(&done.stderr), code })
}

/// This process' standard streams while they lead into files.
struct Streams {
    out: File,
    err: File,
    saved: [OwnedFd; 3],
}

impl Streams {
    fn lead(input: &str) -> Result<Self> {
        std::io::stdout().flush()?;
        let saved = [
            rustix::io::dup(rustix::stdio::stdin())?,
            rustix::io::dup(rustix::stdio::stdout())?,
            rustix::io::dup(rustix::stdio::stderr())?,
        ];
        let (mut given, out, err) = (tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?);
        given.write_all(input.as_bytes())?;
        given.rewind()?;
        let streams = Self { out, err, saved };
        rustix::stdio::dup2_stdin(&given)?;
        rustix::stdio::dup2_stdout(&streams.out)?;
        rustix::stdio::dup2_stderr(&streams.err)?;
        Ok(streams)
    }

    /// What was said on output and error.
    fn restore(mut self) -> Result<(String, String)> {
        std::io::stdout().flush()?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        self.out.rewind()?;
        self.out.read_to_end(&mut out)?;
        self.err.rewind()?;
        self.err.read_to_end(&mut err)?;
        Ok((String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned()))
    }
}

impl Drop for Streams {
    /// After a panic too: its message must be seen.
    fn drop(&mut self) {
        let [stdin, stdout, stderr] = &self.saved;
        let _ = rustix::stdio::dup2_stdin(stdin);
        let _ = rustix::stdio::dup2_stdout(stdout);
        let _ = rustix::stdio::dup2_stderr(stderr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_as_a_shell_does() {
        assert_eq!(split_unquoted("a '|' b | c", '|'), Some(("a '|' b ", " c")));
        assert_eq!(words("get -o jsonpath='{.a b}' \"\" x").unwrap(), ["get", "-o", "jsonpath={.a b}", "", "x"]);
        assert_eq!(words(r#"a "{\"b\": 1}""#).unwrap(), ["a", r#"{"b": 1}"#]);
        assert!(words("a 'b").is_err());
    }
}
