//! What a check has found.

use std::time::Duration;

use serde_json::{Value, json};

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// A node works, with something missing or not for long.
    Warning,
    /// A node does not start, or not do what it was asked for.
    Failed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What a check has found, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) state: State,
    pub(super) text: String,
    pub(super) remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self {
            state: State::Ok,
            text: text.into(),
            remedy: None,
        }
    }

    /// Something is missing.
    pub(super) fn warning(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Warning,
            text: text.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Something does not work.
    pub(super) fn failed(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Failed,
            ..Self::warning(text, remedy)
        }
    }

    /// The object that programs read.
    pub(super) fn json(&self, check: &str, took: Duration) -> Value {
        json!({
            "check": check,
            "state": self.state.name(),
            "text": one_line(&self.text),
            "remedy": self.remedy.as_deref().map(one_line),
            "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
