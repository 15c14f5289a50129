//! Guests that are components of the world `lusk:scoring/entry-script`.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use lusk_contract::{ScoreReply, ScoreRequest, ScriptError};
use wasmtime::{
    Store,
    component::{
        Component, ComponentExportIndex, ComponentType, Func, Instance, Lift, Lower, TypedFunc,
        types::ComponentItem,
    },
};

use crate::context::Context;

/// Header by which a script's server side says that the script counts as failed.
const FUNCTION_FAILED: HeaderName = HeaderName::from_static("x-ms-run-function-failed");

/// The interface that a component exports.
const ENTRY: &str = "lusk:scoring/entry@0.1.0";

/// A request as it is lowered into the guest: borrowed, so that a body is
/// copied once, into the guest's memory.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Request<'a> {
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: Body<'a>,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum Body<'a> {
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "bytes")]
    Bytes(&'a [u8]),
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Payload,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum Payload {
    #[component(name = "text")]
    Text(String),
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum RunError {
    #[component(name = "bad-request")]
    BadRequest(String),
    #[component(name = "script")]
    Script(String),
}

/// Where the functions of the interface are in a component.
pub(crate) struct EntryIndices {
    init: ComponentExportIndex,
    run: ComponentExportIndex,
}

/// The functions of one instance.
pub(crate) struct EntryFunctions {
    init: TypedFunc<(), (Result<(), String>,)>,
    run: Func,
}

impl EntryIndices {
    /// Finds the functions.
    pub(crate) fn of(component: &Component) -> Result<Self, String> {
        let (_, entry) = component
            .get_export(None, ENTRY)
            .ok_or_else(|| format!("it exports no instance `{ENTRY}`"))?;
        let function = |name: &str| match component.get_export(Some(&entry), name) {
            Some((ComponentItem::ComponentFunc(_), index)) => Ok(index),
            _ => Err(format!("`{ENTRY}` has no function `{name}`")),
        };
        Ok(Self {
            init: function("init")?,
            run: function("run")?,
        })
    }

    /// The functions of a fresh instance, their types checked.
    pub(crate) fn load(
        &self,
        instance: &Instance,
        store: &mut Store<Context>,
    ) -> wasmtime::Result<EntryFunctions> {
        let function = |store: &mut Store<Context>, index| {
            instance
                .get_func(store, index)
                .ok_or_else(|| wasmtime::Error::msg("an export vanished"))
        };
        let run = function(store, &self.run)?;
        run.typed::<(Request<'_>,), (Result<Response, RunError>,)>(&*store)?;
        Ok(EntryFunctions {
            init: function(store, &self.init)?.typed(&*store)?,
            run,
        })
    }
}

impl EntryFunctions {
    /// Calls `init`.
    pub(crate) async fn init(
        &self,
        store: &mut Store<Context>,
    ) -> wasmtime::Result<Result<(), String>> {
        Ok(self.init.call_async(&mut *store, ()).await?.0)
    }

    /// Calls `run`. The outer error is the end of the instance.
    pub(crate) async fn run(
        &self,
        store: &mut Store<Context>,
        request: &ScoreRequest,
    ) -> wasmtime::Result<Result<ScoreReply, ScriptError>> {
        let values: Vec<Cow<'_, str>> = request
            .headers
            .values()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let headers: Vec<(&str, &str)> = request
            .headers
            .iter()
            .zip(&values)
            .map(|((name, _), value)| (name.as_str(), value.as_ref()))
            .collect();
        let lowered = Request {
            method: request.method.as_str(),
            target: &request.target,
            headers: &headers,
            body: match std::str::from_utf8(&request.body) {
                Ok(text) => Body::Text(text),
                Err(_) => Body::Bytes(&request.body),
            },
        };
        // The lifetime of a borrowed request is part of the function's type,
        // so that it cannot be kept from call to call.
        let run = self
            .run
            .typed::<(Request<'_>,), (Result<Response, RunError>,)>(&*store)?;
        let (answer,) = run.call_async(&mut *store, (lowered,)).await?;
        Ok(match answer {
            Ok(response) => reply(response),
            Err(RunError::BadRequest(text)) => Err(ScriptError::BadRequest(text)),
            Err(RunError::Script(text)) => Err(ScriptError::Raised(text)),
        })
    }
}

fn reply(response: Response) -> Result<ScoreReply, ScriptError> {
    let body = match response.body {
        Payload::Text(text) => Bytes::from(text),
        Payload::Bytes(bytes) => Bytes::from(bytes),
    };
    reply_of(response.status, response.headers, body)
}

/// A reply as a script's server side gave it, if it can be one.
pub(crate) fn reply_of(
    status: u16,
    lines: Vec<(String, String)>,
    body: Bytes,
) -> Result<ScoreReply, ScriptError> {
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|_| (200..=599).contains(&status))
        .ok_or_else(|| {
            ScriptError::Raised(format!(
                "the entry script answered with the status {status}, which is not in 200..=599"
            ))
        })?;
    let mut headers = HeaderMap::with_capacity(lines.len() + 1);
    for (name, value) in lines {
        headers.append(header_name(&name)?, header_value(&name, value)?);
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    // A script's server side may say otherwise than its status.
    let function_failed = match headers.remove(FUNCTION_FAILED) {
        Some(said) => said.as_bytes().eq_ignore_ascii_case(b"true"),
        None => status.as_u16() >= 500,
    };
    Ok(ScoreReply {
        status,
        headers,
        body,
        run_time: None,
        function_failed,
    })
}

fn header_name(name: &str) -> Result<HeaderName, ScriptError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        ScriptError::Raised(format!(
            "the entry script answered with a header whose name is `{}`",
            name.escape_default()
        ))
    })
}

fn header_value(name: &str, value: String) -> Result<HeaderValue, ScriptError> {
    HeaderValue::try_from(value).map_err(|_| {
        ScriptError::Raised(format!(
            "the entry script answered with a value of the header `{name}` that holds control characters"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> Response {
        Response {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: Payload::Text("{}".to_owned()),
        }
    }

    #[test]
    fn headers_are_kept_and_json_is_the_default() {
        let kept = reply(response(201, &[("x-a", "1"), ("X-A", "2")])).unwrap();
        let values: Vec<_> = kept.headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(kept.headers[CONTENT_TYPE], "application/json");
        assert_eq!(kept.status, 201);
        let html = reply(response(200, &[("content-type", "text/html")])).unwrap();
        assert_eq!(html.headers[CONTENT_TYPE], "text/html");
    }

    #[test]
    fn what_a_runner_says_of_failure_wins_over_the_status() {
        for (status, said, failed) in [
            (200, None, false),
            (500, None, true),
            (500, Some("False"), false),
            (200, Some("True"), true),
        ] {
            let headers: Vec<_> = said
                .map(|said| ("x-ms-run-function-failed", said))
                .into_iter()
                .collect();
            let reply = reply(response(status, &headers)).unwrap();
            assert_eq!(reply.function_failed, failed, "{status} {said:?}");
            assert!(!reply.headers.contains_key(FUNCTION_FAILED));
        }
    }

    #[test]
    fn replies_that_are_no_http_are_the_scripts_fault() {
        for (status, header, words) in [
            (199, ("x-a", ""), "status 199"),
            (600, ("x-a", ""), "status 600"),
            (200, ("x a", ""), "`x a`"),
            (200, ("x-a", "1\r\nx-b: 2"), "value of the header `x-a`"),
        ] {
            match reply(response(status, &[header])).unwrap_err() {
                ScriptError::Raised(text) => assert!(text.contains(words), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
