//! How a session ended, as the error stream says it: a Kubernetes `Status` in JSON. Pure.

use serde_json::{Value, json};

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Success,
    /// The command ran and gave this code.
    Code {
        code: i32,
        args: Vec<String>,
    },
    /// It could not be carried out.
    Failed(String),
}

impl Ending {
    /// For protocols of version 4 and later.
    pub fn json(&self) -> Value {
        match self {
            Ending::Success => json!({"metadata": {}, "status": "Success"}),
            Ending::Code { code: 0, .. } => Ending::Success.json(),
            Ending::Code { code, args } => json!({
                "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                "message": format!(
                    "command terminated with non-zero exit code: error executing command [{}], exit code {code}", args.join(" ")
                ),
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
            }),
            Ending::Failed(problem) => json!({
                "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                "message": format!("Internal error occurred: {problem}"),
                "details": {"causes": [{"message": problem}]},
            }),
        }
    }

    /// For older protocols, which know plain text only. Empty for success.
    pub fn text(&self) -> String {
        match self {
            Ending::Success | Ending::Code { code: 0, .. } => String::new(),
            Ending::Code { args, code } => format!("error executing command [{}], exit code {code}", args.join(" ")),
            Ending::Failed(problem) => problem.clone(),
        }
    }
}
