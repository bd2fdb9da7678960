//! What a container's command does: the few words of a shell that suites need, so that the same manifest runs on
//! real containers.

use std::time::Duration;

/// A container without an end of its own.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// How a program runs when nobody stops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub lasts: Duration,
    pub exit_code: i32,
    /// Ends when it is told to; a first process without a handler for TERM does not hear it.
    pub hears_term: bool,
}

/// The run of `command` and `args` in an image. Words that are not known do nothing and succeed.
pub fn run(image: &str, command: &[String]) -> Run {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words.as_slice() {
        // A shell without a terminal ends at once; what other images run are servers.
        [] if image.contains("busybox") => Run { lasts: Duration::ZERO, exit_code: 0, hears_term: false },
        [] => Run { lasts: FOR_EVER, exit_code: 0, hears_term: true },
        ["sh" | "/bin/sh", "-c", script] => of_script(script),
        words => of_script(&words.join(" ")),
    }
}

fn of_script(script: &str) -> Run {
    let mut run = Run { lasts: Duration::ZERO, exit_code: 0, hears_term: script.contains("trap") };
    for line in script.split([';', '\n']) {
        let (word, number) = match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [word, number] => ((*word).to_owned(), number.parse().unwrap_or(u32::MAX)),
            [word, ..] => ((*word).to_owned(), 0),
            [] => continue,
        };
        match word.as_str() {
            "sleep" => run.lasts = run.lasts.saturating_add(Duration::from_secs(number.into())),
            "true" => run.exit_code = 0,
            "false" => run.exit_code = 1,
            "exit" => {
                run.exit_code = i32::try_from(number).unwrap_or(255);
                break;
            }
            _ => {}
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn commands_end_as_they_say() {
        let after = |command: &[&str]| {
            let run = run("busybox", &words(command));
            (run.lasts.as_secs(), run.exit_code)
        };
        assert_eq!(after(&["sleep", "30"]), (30, 0));
        assert_eq!(after(&["false"]), (0, 1));
        assert_eq!(after(&["sh", "-c", "sleep 2; exit 3"]), (2, 3));
        assert_eq!(after(&[]), (0, 0));
        assert_eq!(run("nginx:1.14.2", &[]).lasts, FOR_EVER);
    }
}
