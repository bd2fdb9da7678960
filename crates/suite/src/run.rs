//! Carrying a test out in a world: a real cluster behind `sh`, or a simulated one.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use similar::TextDiff;

use crate::hole;
use crate::parse::{Command, Step, Test};

const EVENTUALLY_SECONDS_MAX: u64 = 60;
const AGAIN_MS: u64 = 100;

/// Where commands run.
pub trait World {
    /// Runs a shell command line; gives its standard output and error as a terminal would show them, with a last
    /// line `[exit N]` when it failed.
    fn run(&mut self, line: &str, input: &str) -> String;

    /// Lets time go by before a command is tried again.
    fn wait(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }

    /// The time since some moment before, by the clock that [`World::wait`] goes by.
    fn clock(&mut self) -> Duration {
        static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGUN.elapsed()
    }
}

/// Runs a test; `Err` says which step failed and how.
pub fn run(test: &Test, world: &mut dyn World) -> Result<(), String> {
    let mut always: Vec<&Command> = Vec::new();
    for step in &test.steps {
        match step {
            Step::Apply(yaml) => {
                let said = world.run("kubectl apply -f -", yaml);
                if said.contains("[exit ") {
                    return Err(format!("kubectl apply -f -\n{said}"));
                }
            }
            Step::Command(command) => expect(command, &always, world)?,
            Step::Always(command) => always.push(command),
        }
        hold(&always, world)?;
    }
    Ok(())
}

fn expect(command: &Command, always: &[&Command], world: &mut dyn World) -> Result<(), String> {
    let end = world.clock() + Duration::from_secs(EVENTUALLY_SECONDS_MAX);
    loop {
        let said = world.run(&command.line, "");
        if hole::matches(&command.expected, &said) {
            return Ok(());
        }
        hold(always, world)?;
        if !command.is_eventual || world.clock() > end {
            return Err(difference(command, &said));
        }
        world.wait(Duration::from_millis(AGAIN_MS));
    }
}

fn hold(always: &[&Command], world: &mut dyn World) -> Result<(), String> {
    for command in always {
        let said = world.run(&command.line, "");
        if !hole::matches(&command.expected, &said) {
            return Err(format!("always: {}", difference(command, &said)));
        }
    }
    Ok(())
}

fn difference(command: &Command, said: &str) -> String {
    let said = hole::filled(&command.expected, said);
    let diff = TextDiff::from_lines(command.expected.as_str(), said.as_str());
    format!("$ {}\n{}", command.line, diff.unified_diff().context_radius(1).header("expected", "said"))
}
