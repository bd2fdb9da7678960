//! The words after `kybern`, and which role they mean.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use cluster::commands::{Name, Up};
use cluster::home::Home;
use cluster::image::Images;

use crate::{server, tls};

/// Kubernetes in one executable: brings a cluster up on this machine, and is its kubectl
#[derive(Parser, Debug)]
#[command(name = "kybern", version, disable_help_subcommand = true)]
struct Kybern {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Bring a local cluster up; harmless when it is
    Up(Up),
    /// Say whether the cluster runs
    Status(Name),
    /// Stop the cluster; its data stays
    Down(Name),
    /// Remove the cluster and everything it left on this machine
    Delete(Name),
    /// Load, pull, list and remove images of the node
    Image(Images),
    /// Run the control plane and the node of a cluster in the foreground
    Server(Server),
    /// Print the version
    Version,
    /// The command line of Kubernetes
    #[command(disable_help_flag = true)]
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
        words: Vec<OsString>,
    },
    /// Measure a cluster
    Bench(bench::Bench),
    /// Keep a server running
    #[command(hide = true)]
    Supervise(Name),
    /// The hello application
    #[command(hide = true)]
    Hello,
}

#[derive(clap::Args, Debug)]
struct Server {
    #[command(flatten)]
    name: Name,
    /// The process that starts this one again, and without which it ends
    #[arg(long, hide = true)]
    supervisor: Option<u32>,
}

/// Worker threads of a server: few, with small stacks; memory is a budget.
const SERVER_THREADS_MAX: usize = 4;
const STACK_BYTES: usize = 1 << 20;
/// Files and mounts of many pods at once: more threads would wait for the same processors, and each keeps memory.
const BLOCKING_THREADS_MAX: usize = 16;

/// Runs the role that the words name.
pub fn run(words: Vec<OsString>) -> ExitCode {
    if called_as_kubectl(&words) {
        return client(kubectl::run(words.into_iter().skip(1)));
    }
    let command = match Kybern::try_parse_from(&words) {
        Ok(parsed) => parsed.command,
        Err(error) => error.exit(),
    };
    let outcome = match command {
        Command::Kubectl { words } => return client(kubectl::run(words)),
        Command::Up(args) => cluster::commands::up(&args),
        Command::Status(args) => cluster::commands::status(&args),
        Command::Down(args) => cluster::commands::down(&args),
        Command::Delete(args) => cluster::commands::delete(&args),
        Command::Image(args) => small(cluster::image::run(&args)),
        Command::Bench(args) => small(bench::run(&args)),
        Command::Supervise(args) => small(cluster::supervise::run(&Home::of(&args.name))),
        Command::Server(args) => serve(&args),
        Command::Hello => cluster::hello::serve(),
        Command::Version => {
            println!("kybern {} (Kubernetes v1.36)", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn called_as_kubectl(words: &[OsString]) -> bool {
    words.first().and_then(|word| Path::new(word).file_name()).is_some_and(|name| name == "kubectl")
}

/// On one thread: commands and the supervisor wait more than they work.
fn small(role: impl Future<Output = Result<()>>) -> Result<()> {
    tls::use_one_provider();
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?.block_on(role)
}

fn client(role: impl Future<Output = ExitCode>) -> ExitCode {
    tls::use_one_provider();
    // `logs -f | head` ends silently, as other programs do.
    container::pipe::end_when_closed();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(role);
            // A read of the terminal cannot be called back: without this `exec -it` would end at the next key only.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("error: start the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Server) -> Result<()> {
    let home = Home::of(&args.name.name);
    let _kept = match args.supervisor {
        Some(supervisor) => cluster::supervise::end_with(supervisor).map(|()| None),
        None => cluster::foreground::keep(&home).map(Some),
    }?;
    tls::use_one_provider();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("KYBERN_LOG").unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(SERVER_THREADS_MAX));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_stack_size(STACK_BYTES)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(server::run(&home))
}
