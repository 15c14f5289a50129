//! What went wrong with one request, and whether to try again.

use std::{error::Error, fmt::Write as _, time::Duration};

use jiff::Timestamp;
use reqwest::{StatusCode, header::HeaderMap};

/// How long a registry is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Tries of one request or one blob, the first included.
    pub(crate) tries: u32,
    /// Wait before the second try; each further one is twice as long.
    pub(crate) first_wait: Duration,
    /// Longest wait, whatever `Retry-After` says.
    pub(crate) most_wait: Duration,
    /// For a connection to come about.
    pub(crate) connect: Duration,
    /// Without a byte.
    pub(crate) stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 4,
            first_wait: Duration::from_millis(500),
            most_wait: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
        }
    }
}

/// Tries of a registry that cannot be connected to.
const CONNECT_TRIES: u32 = 2;

/// Why a try failed.
#[derive(Debug)]
pub(crate) struct Fault {
    /// For a person: what came, the way out.
    pub(crate) text: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Trying again would not help.
    Final,
    /// The content is not what it must be.
    Lie,
    /// Worth another try, after this time if the registry said so.
    Passing(Option<Duration>),
    /// Nobody is there.
    Unreachable,
}

impl Fault {
    pub(crate) fn last(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Final,
        }
    }

    pub(crate) fn lie(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Lie,
        }
    }

    pub(crate) fn passing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Passing(None),
        }
    }

    /// Whether the registry gave wrong content, rather than none.
    pub(crate) fn is_lie(&self) -> bool {
        self.kind == Kind::Lie
    }

    /// A request that got no answer, or one that broke off.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut text = if error.is_timeout() {
            "no answer in time".to_owned()
        } else if error.is_connect() {
            "not reachable".to_owned()
        } else {
            "the connection broke off".to_owned()
        };
        // The outermost says nothing but the address; the causes say why.
        let mut cause = error.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                let _ = write!(text, ": {said}");
            }
            cause = error.source();
        }
        let kind = if error.is_connect() {
            Kind::Unreachable
        } else if error.is_redirect() || error.is_builder() {
            Kind::Final
        } else {
            Kind::Passing(None)
        };
        Self { text, kind }
    }

    /// An answer that is not the one hoped for; `said` is what its body says.
    pub(crate) fn status(status: StatusCode, headers: &HeaderMap, said: &str) -> Self {
        let mut text = format!("it answered {status}");
        if !said.is_empty() {
            let _ = write!(text, " ({said})");
        }
        let passing = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        let way_out = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; check the user name and the password that this node has for it"
            }
            _ if passing => "; try again later",
            _ => "",
        };
        text.push_str(way_out);
        let kind = if passing && status != StatusCode::NOT_IMPLEMENTED {
            Kind::Passing(retry_after(headers, Timestamp::now()))
        } else {
            Kind::Final
        };
        Self { text, kind }
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// Counts the tries of one thing.
#[derive(Debug)]
pub(crate) struct Tries {
    patience: Patience,
    made: u32,
}

impl Tries {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, made: 0 }
    }

    /// Waits until it is time for the next try.
    ///
    /// # Errors
    /// The fault, when there is no next try.
    pub(crate) async fn again(&mut self, mut fault: Fault) -> Result<(), Fault> {
        self.made += 1;
        let most = self.patience.most_wait;
        let backed_off = self.patience.first_wait * 2_u32.saturating_pow(self.made - 1);
        let (tries, wait) = match fault.kind {
            Kind::Final | Kind::Lie => return Err(fault),
            Kind::Unreachable => (CONNECT_TRIES.min(self.patience.tries), backed_off),
            Kind::Passing(None) => (self.patience.tries, backed_off),
            Kind::Passing(Some(asked)) if asked > most => {
                let (asked, most) = (asked.as_secs(), most.as_secs());
                let text =
                    format!(", it asks to wait {asked} s, more than {most} s are not waited");
                fault.text.push_str(&text);
                return Err(fault);
            }
            Kind::Passing(Some(asked)) => (self.patience.tries, asked.max(backed_off)),
        };
        if self.made >= tries {
            if self.made > 1 {
                let _ = write!(fault.text, ", tried {} times", self.made);
            }
            return Err(fault);
        }
        tracing::debug!(fault = fault.text, ?wait, "registry is tried again");
        tokio::time::sleep(wait.min(most)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        headers
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2015-10-21T07:27:50Z".parse().unwrap();
        let seen = |value| retry_after(&headers(value), now);
        assert_eq!(seen("120"), Some(Duration::from_secs(120)));
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(seen(date), Some(Duration::from_secs(10)));
        assert_eq!(seen("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(seen("soon"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end() {
        let busy = || Fault::status(StatusCode::BAD_GATEWAY, &HeaderMap::new(), "");
        let begun = tokio::time::Instant::now();
        let mut tries = Tries::new(Patience::default());
        for _ in 0..3 {
            tries.again(busy()).await.unwrap();
        }
        assert_eq!(begun.elapsed(), Duration::from_millis(500 + 1000 + 2000));
        let given_up = tries.again(busy()).await.unwrap_err();
        assert!(
            given_up.text.ends_with("tried 4 times"),
            "{}",
            given_up.text
        );
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honoured_up_to_a_bound() {
        let busy = |value| Fault::status(StatusCode::TOO_MANY_REQUESTS, &headers(value), "slow");
        let begun = tokio::time::Instant::now();
        let mut tries = Tries::new(Patience::default());
        tries.again(busy("7")).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(7));
        let given_up = tries.again(busy("3600")).await.unwrap_err();
        assert!(given_up.text.contains("wait 3600 s"), "{}", given_up.text);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_tried_again() {
        let mut tries = Tries::new(Patience::default());
        let denied = Fault::status(StatusCode::FORBIDDEN, &HeaderMap::new(), "denied");
        let given_up = tries.again(denied).await.unwrap_err();
        assert!(given_up.text.contains("403"), "{}", given_up.text);
    }
}
