//! What comes in: JSON bodies with a limit and a position in every refusal, and
//! query parameters.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Query, Request},
};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lusk_domain::{Failure, FailureCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::Fault;

/// Most bytes of a JSON body. A create request with 1,000 models and a large
/// environment has about 100 kB.
pub(crate) const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

/// How long the rest of a refused body is read.
const LONGEST_DISCARD: Duration = Duration::from_secs(5);

/// A JSON body, read but not yet understood.
#[derive(Debug)]
pub(crate) struct Json(Bytes);

impl Json {
    /// A part of a body that was read already.
    pub(crate) fn of(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    /// Understands the body, an object, as a `T`; keys that `T` does not know are
    /// ignored, as the original ignores them, unless `T` refuses them.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        // A struct would take an array for its fields in their order.
        if self.0.trim_ascii_start().first() == Some(&b'[') {
            return Err(Fault::bad_request(
                "the body is not the JSON expected here: it is an array, expected an object",
            ));
        }
        self.read()
    }

    /// Whether nothing was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    /// Understands the body, an array.
    pub(crate) fn parse_list<T: DeserializeOwned>(&self) -> Result<Vec<T>, Fault> {
        self.read()
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let mut reader = serde_json::Deserializer::from_slice(&self.0);
        let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            refuse(&path, error.inner())
        })?;
        reader.end().map_err(|error| refuse(".", &error))?;
        Ok(value)
    }
}

/// Understands a part of a body that was parsed as JSON already; `at` is the
/// part's place in it.
pub(crate) fn part<T: DeserializeOwned>(at: &str, value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inner = error.path().to_string();
        let path = if inner == "." {
            at.to_owned()
        } else {
            format!("{at}/{inner}")
        };
        Fault::bad_request(format!("`{path}`: {}", error.inner()))
    })
}

impl From<Bytes> for Json {
    fn from(body: Bytes) -> Self {
        Self(body)
    }
}

fn refuse(path: &str, error: &serde_json::Error) -> Fault {
    // serde_json ends its text with the position, so only the path is added.
    if path == "." {
        Fault::bad_request(format!("the body is not the JSON expected here: {error}"))
    } else {
        Fault::bad_request(format!(
            "the body is not the JSON expected here: `{path}`: {error}"
        ))
    }
}

fn too_large() -> Fault {
    Failure::new(
        FailureCode::TooLarge,
        format!("the body is over the limit of {MAX_JSON_BYTES} bytes of a JSON request"),
    )
    .into()
}

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Fault;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Fault> {
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse::<u64>().ok());
        let mut body = request.into_body();
        if announced.is_some_and(|length| length > MAX_JSON_BYTES as u64) {
            discard(body).await;
            return Err(too_large());
        }
        let read = Limited::new(&mut body, MAX_JSON_BYTES).collect().await;
        match read {
            Ok(read) => Ok(Self(read.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {
                discard(body).await;
                Err(too_large())
            }
            Err(error) => Err(Fault::bad_request(format!("the body broke off: {error}"))),
        }
    }
}

/// Reads the rest of a refused body and throws it away, for a while, so that the
/// caller gets to read the refusal instead of a reset connection.
pub(crate) async fn discard(body: Body) {
    let mut body = body.into_data_stream();
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    // Over the time the connection is cut, which is all that is left to do.
    drop(tokio::time::timeout(LONGEST_DISCARD, rest).await);
}

/// Query parameters; a repeated key keeps its last value.
#[derive(Debug, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// A parameter's text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A parameter as what it names.
    pub(crate) fn parsed<T>(&self, name: &str) -> Result<Option<T>, Fault>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|error| {
                    Fault::bad_request(format!("query parameter `{name}` is `{text:.80}`: {error}"))
                })
            })
            .transpose()
    }

    /// A switch: `true` or `false` in any case, off when absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fault> {
        let text = self.text(name).map(str::to_ascii_lowercase);
        match text.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Fault::bad_request(format!(
                "query parameter `{name}` is `{other:.80}`: expected true or false"
            ))),
        }
    }

    /// Labels that must be there, `k` or `k=v` with commas between.
    pub(crate) fn labels(&self, name: &str) -> BTreeMap<String, Option<String>> {
        self.text(name)
            .unwrap_or_default()
            .split(',')
            .filter(|label| !label.is_empty())
            .map(|label| match label.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (label.to_owned(), None),
            })
            .collect()
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Fault> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Fault::bad_request(format!("the query is malformed: {error}")))?;
        Ok(Self(pairs.into_iter().collect()))
    }
}

/// A part of the path, by the name that the route gives it.
pub(crate) fn parse_part<T>(text: &str) -> Result<T, Fault>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| {
        Fault::new(StatusCode::BAD_REQUEST, "BadRequest", error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_body_names_the_place_and_the_position() {
        let body = Json::from(Bytes::from_static(b"{\n  \"a\": {\"b\": \"x\"}}"));
        let refused = body
            .parse::<BTreeMap<String, BTreeMap<String, u32>>>()
            .unwrap_err();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            refused.message,
            "the body is not the JSON expected here: `a.b`: invalid type: string \"x\", expected u32 at line 2 column 16"
        );
    }

    #[test]
    fn a_broken_body_and_a_trailing_one_are_refused() {
        for text in ["{", "", "{} x"] {
            let body = Json(Bytes::from_static(text.as_bytes()));
            let refused = body.parse::<BTreeMap<String, u32>>().unwrap_err();
            assert!(
                refused.message.contains("line 1 column"),
                "{}",
                refused.message
            );
        }
    }

    #[test]
    fn labels_are_keys_with_or_without_a_value() {
        let params = Params::of(&[("tags", "a,b=c,d=e=f")]);
        let labels: Vec<_> = params.labels("tags").into_iter().collect();
        assert_eq!(
            labels,
            [
                ("a".to_owned(), None),
                ("b".to_owned(), Some("c".to_owned())),
                ("d".to_owned(), Some("e=f".to_owned())),
            ]
        );
    }

    #[test]
    fn a_flag_takes_the_spelling_of_python() {
        assert!(Params::of(&[("expand", "True")]).flag("expand").unwrap());
        assert!(!Params::default().flag("expand").unwrap());
        assert!(Params::of(&[("expand", "1")]).flag("expand").is_err());
    }
}
