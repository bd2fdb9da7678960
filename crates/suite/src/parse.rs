//! From Markdown to tests.

use anyhow::{Result, bail};

/// A test: what its heading says, and its steps in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    pub name: String,
    /// Needs what only a simulation can do; the text says why.
    pub only_in_sim: bool,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Apply(String),
    Command(Command),
    /// Holds from here to the end of the test.
    Always(Command),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub line: String,
    pub is_eventual: bool,
    pub expected: String,
}

const EVENTUALLY: &str = "# eventually";
/// Behind a heading.
const ONLY_IN_SIM: &str = "# sim";

/// The tests of a suite.
///
/// # Errors
/// A block is not closed, its language is unknown, or steps stand before the first heading.
pub fn parse(text: &str) -> Result<Vec<Test>> {
    let mut tests: Vec<Test> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("## ") {
            let name = name.trim();
            let (name, only_in_sim) = match name.strip_suffix(ONLY_IN_SIM) {
                Some(name) => (name.trim_end(), true),
                None => (name, false),
            };
            tests.push(Test { name: name.into(), only_in_sim, steps: Vec::new() });
        }
        let Some(language) = line.strip_prefix("```").map(str::trim) else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        let steps = match language {
            "yaml" => vec![Step::Apply(block.join("\n") + "\n")],
            "console" => commands(&block)?.into_iter().map(Step::Command).collect(),
            "always" => commands(&block)?.into_iter().map(Step::Always).collect(),
            "text" => Vec::new(),
            other => bail!("a block of the language {other:?}: yaml, console, always and text are known"),
        };
        match tests.last_mut() {
            Some(test) => test.steps.extend(steps),
            None if steps.is_empty() => {}
            None => bail!("a block stands before the first test"),
        }
    }
    Ok(tests)
}

fn commands(block: &[&str]) -> Result<Vec<Command>> {
    let mut found: Vec<Command> = Vec::new();
    for line in block {
        if let Some(line) = line.strip_prefix("$ ") {
            let (line, is_eventual) = match line.trim_end().strip_suffix(EVENTUALLY) {
                Some(line) => (line.trim_end(), true),
                None => (line, false),
            };
            found.push(Command { line: line.into(), is_eventual, expected: String::new() });
        } else if let Some(command) = found.last_mut() {
            command.expected.push_str(line);
            command.expected.push('\n');
        } else {
            bail!("a console block starts with {line:?} instead of a command after \"$ \"");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_tests_and_blocks_are_steps() {
        let text = "# Suite\n## one\n```yaml\na: 1\n```\ntext\n```console\n$ get x  # eventually\nout\n$ b\n```\n## two  # sim\n";
        let tests = parse(text).unwrap();
        assert_eq!(tests.len(), 2);
        assert_eq!(tests[0].steps.len(), 3);
        assert_eq!((tests[1].name.as_str(), tests[1].only_in_sim), ("two", true));
        let Step::Command(first) = &tests[0].steps[1] else { panic!() };
        assert_eq!((first.line.as_str(), first.is_eventual, first.expected.as_str()), ("get x", true, "out\n"));
        assert!(parse("```console\nout\n```").is_err());
    }
}
