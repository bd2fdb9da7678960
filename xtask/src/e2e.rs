//! The Markdown suites on a real cluster with real containers, in namespaces that are made for them and go with them.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tally::Tally;
use crate::{images, packages, product, shell};

const SUITES: &str = "suites";
const CLUSTER: &str = "e2e";
/// Set in the inner process, which is in the namespaces; holds the kubectl programs to test with, `:` between.
const INSIDE: &str = "KYBERN_E2E_KUBECTLS";
const BINARY: &str = "KYBERN_E2E_BINARY";

/// Runs the suites that match and closes with their sums.
pub fn run(filter: &str) -> Result<()> {
    suites(filter)?.close()
}

/// Runs the suites that match, with every upstream kubectl at hand and our own.
pub fn suites(filter: &str) -> Result<Tally> {
    if std::env::var_os(INSIDE).is_some() {
        return inside(filter);
    }
    packages::ensure(packages::TEST)?;
    images::build(images::DEFAULT_DIR.as_ref())?;
    let binary = product::build()?;
    let mut kubectls = vec![packages::kubectl()?];
    kubectls.extend(on_path("kubectl"));
    let report = std::env::temp_dir().join(format!("kybern-e2e-{}", std::process::id()));
    // The namespaces go when the last process in them does.
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe()?)
        .args(["e2e", filter])
        .env(INSIDE, std::env::join_paths(&kubectls)?)
        .env(BINARY, &binary)
        .env("KYBERN_E2E_REPORT", &report)
        .stdin(Stdio::null())
        .status()
        .context("unshare")?;
    let text = fs::read_to_string(&report).with_context(|| format!("the end-to-end run ended early: {status}"))?;
    fs::remove_file(&report)?;
    let mut tally = Tally::default();
    if kubectls.len() == 1 {
        tally.skip("suites with a newer upstream kubectl", "none on the PATH");
    }
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("passed", _)) => tally.passed += 1,
            Some(("failed", name)) => tally.failed.push(name.into()),
            Some(("skipped", name)) => tally.skipped.push(name.into()),
            _ => {}
        }
    }
    Ok(tally)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// In the namespaces: one cluster for all suites.
fn inside(filter: &str) -> Result<Tally> {
    shell::output("ip", &["link", "set", "lo", "up"], Path::new("/"))?;
    let binary = PathBuf::from(std::env::var_os(BINARY).context("no binary")?);
    let home = std::env::temp_dir().join(format!("kybern-e2e-home-{}", std::process::id()));
    fs::create_dir_all(&home)?;
    let cluster = Cluster { binary, home };
    cluster.up()?;
    let mut kubectls: Vec<PathBuf> = std::env::split_paths(&std::env::var_os(INSIDE).context("inside")?).collect();
    kubectls.push(cluster.link_kubectl()?);
    let mut tally = Tally::default();
    for file in files()? {
        for kubectl in &kubectls {
            cluster.suite(&file, kubectl, filter, &mut tally)?;
        }
    }
    tally.add("kybern delete", cluster.delete().map_err(|error| format!("{error:#}")));
    report(&tally)?;
    Ok(tally)
}

fn files() -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(SUITES)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    Ok(files)
}

fn report(tally: &Tally) -> Result<()> {
    let Some(path) = std::env::var_os("KYBERN_E2E_REPORT") else { return Ok(()) };
    let mut text = "passed x\n".repeat(tally.passed);
    tally.failed.iter().for_each(|name| text.push_str(&format!("failed {name}\n")));
    tally.skipped.iter().for_each(|name| text.push_str(&format!("skipped {name}\n")));
    fs::write(path, text).context("write the report")
}

struct Cluster {
    binary: PathBuf,
    home: PathBuf,
}

impl Cluster {
    fn kybern(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.binary);
        let status = command.args(args).env("KYBERN_HOME", &self.home).env("KUBECONFIG", self.kubeconfig()).status()?;
        if status.success() { Ok(()) } else { bail!("kybern {}: {status}", args.join(" ")) }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }

    fn up(&self) -> Result<()> {
        self.kybern(&["up", "--name", CLUSTER])?;
        for entry in fs::read_dir(images::DEFAULT_DIR)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tar") {
                self.kybern(&["image", "load", "--name", CLUSTER, &path.to_string_lossy()])?;
            }
        }
        Ok(())
    }

    /// Our own kubectl is the same executable under another name.
    fn link_kubectl(&self) -> Result<PathBuf> {
        let folder = self.home.join("bin");
        fs::create_dir_all(&folder)?;
        std::os::unix::fs::symlink(&self.binary, folder.join("kubectl"))?;
        Ok(folder.join("kubectl"))
    }

    fn delete(&self) -> Result<()> {
        self.kybern(&["delete", "--name", CLUSTER])?;
        for left in ["lib", "run", "log"] {
            if self.home.join(left).exists() {
                bail!("kybern delete left {}", self.home.join(left).display());
            }
        }
        fs::remove_dir_all(&self.home).context("remove the home of the cluster")
    }

    fn suite(&self, file: &Path, kubectl: &Path, filter: &str, tally: &mut Tally) -> Result<()> {
        let suite = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let tests = suite::parse::parse(&fs::read_to_string(file)?).with_context(|| file.display().to_string())?;
        for (at, test) in tests.iter().enumerate() {
            let name = format!("{suite}: {} ({})", test.name, kubectl.display());
            if !name.contains(filter) {
                continue;
            }
            let mut world = Shell::new(self, kubectl, &format!("{suite}-{at}"))?;
            tally.add(&name, suite::run::run(test, &mut world));
            world.end()?;
        }
        Ok(())
    }
}

/// The kubeconfig with another namespace in its one context.
fn in_namespace(config: &str, namespace: &str) -> Result<String> {
    let context = format!("    cluster: kybern-{CLUSTER}\n    user: kybern-{CLUSTER}\n");
    if !config.contains(&context) {
        bail!("the kubeconfig has no context of the cluster:\n{config}");
    }
    Ok(config.replace(&context, &format!("{context}    namespace: {namespace}\n")))
}

/// One test's shell: a namespace of its own, the kubectl under test first on the path.
struct Shell {
    namespace: String,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
}

impl Shell {
    fn new(cluster: &Cluster, kubectl: &Path, namespace: &str) -> Result<Self> {
        let folder = cluster.home.join("tests").join(namespace);
        fs::create_dir_all(&folder)?;
        // Under another name than `kubectl` our own executable would not know what it is called as.
        std::os::unix::fs::symlink(kubectl, folder.join("kubectl"))?;
        let config = folder.join("config");
        fs::write(&config, in_namespace(&fs::read_to_string(cluster.kubeconfig())?, namespace)?)?;
        let binaries = cluster.binary.parent().map(|p| p.display().to_string()).unwrap_or_default();
        let path = std::env::var("PATH").unwrap_or_default();
        let environment = vec![
            ("PATH", format!("{}:{binaries}:{path}", folder.display())),
            ("KUBECONFIG", config.display().to_string()),
            ("KYBERN_HOME", cluster.home.display().to_string()),
            ("NAMESPACE", namespace.to_owned()),
            ("HOME", folder.display().to_string()),
        ];
        let mut shell = Self { namespace: namespace.into(), environment, folder };
        let begun = format!("kubectl create namespace {namespace}");
        let said = suite::run::World::run(&mut shell, &begun, "");
        if said.contains("[exit ") { bail!("{said}") } else { Ok(shell) }
    }

    fn end(mut self) -> Result<()> {
        let line = format!("kubectl delete namespace {} --wait=false", self.namespace);
        let said = suite::run::World::run(&mut self, &line, "");
        fs::remove_dir_all(&self.folder)?;
        if said.contains("[exit ") { bail!("{said}") } else { Ok(()) }
    }
}

impl suite::run::World for Shell {
    fn run(&mut self, line: &str, input: &str) -> String {
        use std::io::Write;
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1; {line}")]).envs(self.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).current_dir(&self.folder);
        let done = command.spawn().and_then(|mut child| {
            if let Some(mut stdin) = child.stdin.take() {
                // A command that does not read its input is none the worse for it.
                let _ = stdin.write_all(input.as_bytes());
            }
            child.wait_with_output()
        });
        match done {
            Ok(done) if done.status.success() => String::from_utf8_lossy(&done.stdout).into_owned(),
            Ok(done) => {
                let code = done.status.code().unwrap_or(-1);
                format!("{}[exit {code}]\n", String::from_utf8_lossy(&done.stdout))
            }
            Err(error) => format!("{error}\n[exit -1]\n"),
        }
    }
}
