//! What a scoring server's answer tells beside its body.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName,
    header::{CONTENT_TYPE, TRANSFER_ENCODING},
    response::Parts,
};
use lusk_contract::{Flow, RelayReply};

use crate::upstream::Failed;

const EXECUTION_TIME: HeaderName = HeaderName::from_static("x-ms-run-fn-exec-ms");
const FUNCTION_FAILED: HeaderName = HeaderName::from_static("x-ms-run-function-failed");

/// Longest time that a server is believed to have taken.
const MAX_MILLISECONDS: f64 = 1e9;

/// The answer as a replica gives it. Headers of the connection are the door's to
/// take out, as it does for scripts.
pub(crate) fn reply(parts: Parts, body: Flow) -> RelayReply {
    RelayReply {
        run_time: run_time(&parts.headers),
        function_failed: match parts.headers.get(FUNCTION_FAILED) {
            Some(value) => value.as_bytes().eq_ignore_ascii_case(b"true"),
            // A server that is not the original's: a fault counts as the script's.
            None => parts.status.is_server_error(),
        },
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// Whether an answer can be passed on: its bytes are what they seem to be, and it is
/// the last one to its request.
pub(crate) fn check(parts: &Parts) -> Result<(), Failed> {
    if parts.status.is_informational() {
        let status = parts.status.as_u16();
        return Err(Failed::Unfit(format!(
            "it answered with status {status}, which is no answer to a request to score"
        )));
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if let Some(coding) = coding {
        return Err(Failed::Unfit(format!(
            "its answer has the transfer encoding {coding:?}; only `chunked` is understood"
        )));
    }
    Ok(())
}

/// Whether the parts of an answer are for themselves, and its head says that they will
/// come.
pub(crate) fn has_events(parts: &Parts) -> bool {
    let events = b"text/event-stream";
    parts.headers.get(CONTENT_TYPE).is_some_and(|told| {
        let told = told.as_bytes().get(..events.len());
        told.is_some_and(|told| told.eq_ignore_ascii_case(events))
    })
}

fn run_time(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(EXECUTION_TIME)?.to_str().ok()?;
    let milliseconds: f64 = text.trim().parse().ok()?;
    (0.0..=MAX_MILLISECONDS)
        .contains(&milliseconds)
        .then(|| Duration::from_secs_f64(milliseconds / 1e3))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response};

    use super::*;

    fn answered(status: u16, headers: &[(&'static str, &'static str)]) -> RelayReply {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, HeaderValue::from_static(value));
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        reply(parts, Flow::Whole(bytes::Bytes::new()))
    }

    #[test]
    fn the_time_of_run_is_what_the_server_says() {
        let time = |text| answered(200, &[("x-ms-run-fn-exec-ms", text)]).run_time;
        assert_eq!(time("1.250"), Some(Duration::from_micros(1250)));
        assert_eq!(time("0"), Some(Duration::ZERO));
        for text in ["", "-1", "NaN", "inf", "1e300", "fast"] {
            assert_eq!(time(text), None, "{text}");
        }
        assert_eq!(answered(200, &[]).run_time, None);
    }

    #[test]
    fn whether_the_script_failed_is_what_the_server_says_and_else_its_status() {
        let said = |status, text| answered(status, &[("x-ms-run-function-failed", text)]);
        assert!(said(500, "True").function_failed);
        assert!(!said(500, "False").function_failed);
        assert!(answered(503, &[]).function_failed);
        assert!(!answered(404, &[]).function_failed);
    }
}
