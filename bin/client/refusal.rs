//! A request that the node understood and refused, in words and with the way out.

use http::StatusCode;
use serde_json::Value;

/// A request that the node understood and refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) status: StatusCode,
    message: String,
    /// The causes, outermost first.
    pub(crate) causes: Vec<String>,
    words: Words,
}

/// Whose command was refused: the node speaks of services, but endpoints have commands
/// of their own, and v2's have other flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Words {
    /// `lusk service` and the like.
    #[default]
    Service,
    /// `lusk endpoint realtime`.
    Endpoint,
    /// `lusk online-endpoint` and `lusk online-deployment`.
    Online,
}

/// How the node says that a name is no service's, and that it is taken.
const NO_SERVICE: &str = "no service `";
const TAKEN: &str = "` exists already; update it";

impl Refusal {
    /// What an error object says.
    pub(crate) fn of(error: &Value) -> Self {
        let status = error["statusCode"].as_u64().unwrap_or_default();
        let status = u16::try_from(status).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        Self::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error)
    }

    pub(super) fn new(status: StatusCode, body: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let message =
            text(&body["message"]).unwrap_or_else(|| format!("the node answered {status}"));
        let causes = body["details"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|detail| text(&detail["message"]))
            // Single violations are all in the message already.
            .filter(|cause| !message.contains(cause.as_str()))
            .collect();
        Self {
            status,
            message,
            causes,
            words: Words::default(),
        }
    }

    /// Says it in the words of the command that was refused.
    pub(crate) fn say_in(&mut self, words: Words) {
        self.words = words;
        if words == Words::Service {
            return;
        }
        if let Some(rest) = self.message.strip_prefix(NO_SERVICE) {
            self.message = format!("no endpoint `{rest}");
        }
        // What follows is about a flag.
        if words == Words::Online
            && let Some(at) = self.message.find(TAKEN)
        {
            self.message.truncate(at);
            self.message += "` exists already";
        }
    }

    /// The way out, where status and message tell one.
    pub(crate) fn help(&self) -> Option<String> {
        let begins = |with: &str| self.message.starts_with(with);
        let help = match self.status {
            StatusCode::UNAUTHORIZED => {
                "the token is of another node; give the right --data, or LUSK_ADMIN_TOKEN"
            }
            StatusCode::NOT_FOUND if begins(NO_SERVICE) => {
                "`lusk service list` shows those that are there"
            }
            StatusCode::NOT_FOUND if begins("no endpoint `") => match self.words {
                Words::Online => "`lusk online-endpoint list` shows those that are there",
                _ => "`lusk endpoint realtime list` shows those that are there",
            },
            StatusCode::NOT_FOUND if begins("no model `") => {
                "`lusk model list` shows those that are there"
            }
            StatusCode::NOT_FOUND if begins("no environment `") => {
                "`lusk environment list` shows those that are there"
            }
            StatusCode::CONFLICT
                if self.words == Words::Online && self.message.ends_with("` exists already") =>
            {
                "`lusk online-endpoint update` changes it; another --name makes another one"
            }
            StatusCode::CONFLICT if self.message.contains(TAKEN) => {
                "--overwrite replaces it; another --name makes another one"
            }
            _ => return None,
        };
        Some(help.to_owned())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_tell_the_way_out() {
        let help = |status: u16, message: &str| {
            let error = json!({"statusCode": status, "message": message});
            Refusal::of(&error).help().unwrap_or_default()
        };
        assert!(help(404, "no service `a`").contains("lusk service list"));
        for taken in ["service `a`", "endpoint `a`", "`a`"] {
            let said = help(409, &format!("{taken} exists already; update it, or not"));
            assert!(said.contains("--overwrite"), "{taken}");
        }
        // Of a version the message itself says it.
        let version = "endpoint `a`: version `b` exists already, update it instead";
        assert_eq!(help(409, version), "");
        assert_eq!(help(409, "operation 1 on service `a` is still running"), "");
    }

    #[test]
    fn a_refusal_is_said_in_the_words_of_its_command() {
        let said = |status: u16, message: &str, words: Words| {
            let mut refusal = Refusal::of(&json!({"statusCode": status, "message": message}));
            refusal.say_in(words);
            (refusal.to_string(), refusal.help().unwrap_or_default())
        };
        let unknown = |words| said(404, "no service `a`", words);
        let (message, help) = unknown(Words::Endpoint);
        assert_eq!(message, "no endpoint `a`");
        assert!(help.contains("`lusk endpoint realtime list`"), "{help}");
        assert!(
            unknown(Words::Online)
                .1
                .contains("`lusk online-endpoint list`")
        );
        assert_eq!(unknown(Words::Service).0, "no service `a`");

        let taken = "endpoint `a` exists already; update it, or create it with overwrite";
        let (message, help) = said(409, taken, Words::Online);
        assert_eq!(message, "endpoint `a` exists already");
        assert!(help.contains("online-endpoint update") && !help.contains("overwrite"));
    }

    #[test]
    fn a_refusal_repeats_no_cause_that_its_message_has() {
        let body = json!({
            "message": "settings: `a`: bad",
            "details": [{"code": "x", "message": "`a`: bad"}, {"code": "y", "message": "else"}]
        });
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, &body);
        assert_eq!(refusal.to_string(), "settings: `a`: bad");
        assert_eq!(refusal.causes, ["else"]);
        assert_eq!(
            Refusal::new(StatusCode::BAD_GATEWAY, &Value::Null).to_string(),
            "the node answered 502 Bad Gateway"
        );
    }
}
