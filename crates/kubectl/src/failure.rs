//! How a command ends badly: in kubectl's words and with its exit codes.

use std::fmt;
use std::process::ExitCode;

use machinery::status::Status;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The server said no: `Error from server (NotFound): …`.
    Server(Status),
    /// We say no: `error: …`.
    Here(String),
    /// We say no in words that stand alone.
    Plain(String),
    /// Another program's exit code is ours (exec, diff); nothing is printed.
    Exit(u8),
    /// Words and an exit code that are another program's.
    Told(String, u8),
    /// Several, each in a line of its own.
    Many(Vec<Failure>),
}

pub type Result<T = ()> = std::result::Result<T, Failure>;

/// `error: …`
pub fn error<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::Here(message.into()))
}

/// `error: …` and where to read how the command is used.
pub fn misused<T>(command: &str, message: &str) -> Result<T> {
    error(format!("{message}\nSee 'kubectl {command} -h' for help and examples"))
}

/// A failed system call in Go's words: `open /x: permission denied`.
pub fn go_words(call: &str, path: impl fmt::Display, why: &std::io::Error) -> String {
    format!("{call} {path}: {}", words(why))
}

/// Of the system's errors Go says the words alone, in small letters.
fn words(why: &std::io::Error) -> String {
    let text = why.to_string();
    let Some((text, _)) = text.split_once(" (os error") else { return text };
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    format!("{}{}", first.map(String::from).unwrap_or_default(), letters.as_str())
}

impl Failure {
    /// Prints what is to be said and gives the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Failure::Exit(code) => return ExitCode::from(*code),
            Failure::Told(message, code) => {
                eprintln!("{message}");
                return ExitCode::from(*code);
            }
            other => eprintln!("{other}"),
        }
        ExitCode::FAILURE
    }

    /// One failure of many, or success of none.
    pub fn all(failures: Vec<Failure>) -> Result {
        if failures.is_empty() { Ok(()) } else { Err(Failure::Many(failures)) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Server(status) => f.write_str(&server(status)),
            Failure::Here(message) => write!(f, "error: {message}"),
            Failure::Plain(message) | Failure::Told(message, _) => f.write_str(message),
            Failure::Exit(code) => write!(f, "error: exit code {code}"),
            Failure::Many(all) => {
                let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

/// Upstream's words for a refusal: invalid objects name themselves, others name the server.
fn server(status: &Status) -> String {
    // Nobody answered: the message says so by itself.
    if ["The connection to the server ", "Unable to connect to the server: "]
        .iter()
        .any(|words| status.message.starts_with(words))
    {
        return status.message.clone();
    }
    if status.message.starts_with("unable to upgrade connection: ") {
        return format!("error: {}", status.message);
    }
    match status.reason.as_str() {
        "Invalid" => invalid(status),
        "Unauthorized" => format!("error: You must be logged in to the server ({})", status.message),
        "" => format!("Error from server: {}", status.message),
        reason => format!("Error from server ({reason}): {}", status.message),
    }
}

/// `The KIND "NAME" is invalid: field: why`; several causes in lines of their own.
fn invalid(status: &Status) -> String {
    let Some(details) = &status.details else { return format!("The request is invalid: {}", status.message) };
    let causes: Vec<String> =
        details.causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    let head = match (details.kind.as_str(), details.name.as_str()) {
        ("", "") if causes.is_empty() => return format!("The request is invalid: {}", status.message),
        ("", "") => "The request is invalid".to_owned(),
        (kind, name) => format!("The {kind} {name:?} is invalid"),
    };
    match causes.as_slice() {
        [] => head,
        [only] => format!("{head}: {only}"),
        several => format!("{head}: \n* {}", several.join("\n* ")),
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::Server(status)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Here(words(&error))
    }
}

/// A command line that clap does not take, in kubectl's words; `command` is what was asked for, such as `config set`.
pub fn usage(command: &str, error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let whole = format!("kubectl {command}");
    let whole = whole.trim_end();
    let hint = format!("See '{whole} --help' for usage.");
    let context = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let given = context(ContextKind::InvalidArg);
    if error.kind() == ErrorKind::UnknownArgument && (given.starts_with("-k") || given.starts_with("--kustomize")) {
        return "error: kustomizations (-k) are not supported: render the folder with kustomize and pass the result with -f -".into();
    }
    match error.kind() {
        ErrorKind::UnknownArgument if given.starts_with("--") => {
            format!("error: unknown flag: {}\n{hint}", given.split('=').next().unwrap_or_default())
        }
        ErrorKind::UnknownArgument if given.starts_with('-') => {
            let letter = given.chars().nth(1).unwrap_or_default();
            format!("error: unknown shorthand flag: '{letter}' in {given}\n{hint}")
        }
        ErrorKind::UnknownArgument => format!("error: unexpected argument {given:?}\n{hint}"),
        ErrorKind::InvalidSubcommand => {
            let suggested = context(ContextKind::SuggestedSubcommand);
            let suggested =
                if suggested.is_empty() { String::new() } else { format!("\n\nDid you mean this?\n\t{suggested}\n") };
            format!("error: unknown command {:?} for {whole:?}{suggested}", context(ContextKind::InvalidSubcommand))
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            let flag = given.split([' ', '=']).next().unwrap_or_default();
            format!("error: flag needs an argument: {flag}\n{hint}")
        }
        ErrorKind::MissingRequiredArgument => missing(&given, &hint),
        _ => {
            let text = error.to_string();
            format!("{}\n{hint}", text.lines().next().unwrap_or_default())
        }
    }
}

/// Flags by their names, words by what they stand for.
fn missing(given: &str, hint: &str) -> String {
    let flags: Vec<String> = given
        .split(", ")
        .filter_map(|one| one.strip_prefix("--"))
        .map(|one| format!("{:?}", one.split(' ').next().unwrap_or_default()))
        .collect();
    if flags.is_empty() {
        return format!("error: {} is required\n{hint}", given.trim_matches(['<', '>', '.']));
    }
    format!("error: required flag(s) {} not set", flags.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &str) -> String {
        let error = crate::commands::root().try_get_matches_from(words.split(' ')).unwrap_err();
        usage("get", &error)
    }

    #[test]
    fn the_system_s_errors_are_words_alone() {
        let gone = || std::io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error());
        assert_eq!(go_words("open", "/x", &gone()), "open /x: no such file or directory");
        assert_eq!(Failure::from(gone()).to_string(), "error: no such file or directory");
        assert_eq!(Failure::from(std::io::Error::other("Ours")).to_string(), "error: Ours");
    }

    #[test]
    fn wrong_words_are_refused_in_kubectl_s_words() {
        assert_eq!(said("kubectl get --foo=1"), "error: unknown flag: --foo\nSee 'kubectl get --help' for usage.");
        assert_eq!(
            said("kubectl get -Z"),
            "error: unknown shorthand flag: 'Z' in -Z\nSee 'kubectl get --help' for usage."
        );
        assert_eq!(said("kubectl create deployment x"), "error: required flag(s) \"image\" not set");
        assert!(said("kubectl foo").starts_with("error: unknown command \"foo\""));
        assert_eq!(
            said("kubectl get -l"),
            "error: flag needs an argument: --selector\nSee 'kubectl get --help' for usage."
        );
    }
}
