//! Requests to one outside replica over connections that are kept.
//!
//! A connection serves one request at a time and waits in the pool in between,
//! shortly: servers close theirs without a word, and a request that is on its way
//! just then is lost. One that finds its connection closed before a byte of it
//! was sent goes out on another by itself.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Uri,
    header::{CONTENT_LENGTH, HOST},
    response::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use lusk_domain::ReplicaUrl;

use crate::connector::Connector;

/// How long a connection waits for its next request: less than the 2 s of
/// gunicorn, the shortest default of the servers that are met here.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// Most bytes of an answer's head; the scoring door takes as many of a request's.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The server got nothing of the request.
    NotSent(String),
    /// The connection broke, or what came is no answer.
    Broken(String),
    /// The answer is larger than this many bytes.
    TooLarge(usize),
}

impl Failed {
    /// In words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::NotSent(why) | Self::Broken(why) => why.clone(),
            Self::TooLarge(limit) => {
                format!("its answer is larger than {limit} bytes, the most that is taken")
            }
        }
    }
}

/// A server and the connections to it.
#[derive(Debug)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
    client: Client<Connector, Full<Bytes>>,
}

impl Upstream {
    /// For a server that gets up to `slots` requests at a time.
    ///
    /// # Errors
    /// No TLS on this machine, or a URL that no request can be made of.
    pub(crate) fn new(
        url: &ReplicaUrl,
        slots: usize,
        connect_timeout: Duration,
    ) -> Result<Self, String> {
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|error| format!("no request can be made for {url}: {error}"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(format!("no request can be made for {url}"));
        };
        let connector = Connector::new(url.is_secure(), connect_timeout)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(slots)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority.clone(),
            prefix: url.prefix().to_owned(),
            client,
        })
    }

    /// Sends a request for `target` (path and query below the base URL) and takes
    /// an answer of up to `limit` bytes. Dropping the future closes the connection.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        mut headers: HeaderMap,
        body: Bytes,
        limit: usize,
    ) -> Result<(Parts, Bytes), Failed> {
        // The server has a name and the body a length of its own.
        headers.remove(HOST);
        headers.remove(CONTENT_LENGTH);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(target)?;
        *request.headers_mut() = headers;
        let reply = self.client.request(request).await;
        let (parts, body) = reply.map_err(|error| not_answered(&error))?.into_parts();
        if body.size_hint().lower() > limit as u64 {
            return Err(Failed::TooLarge(limit));
        }
        match Limited::new(body, limit).collect().await {
            Ok(whole) => Ok((parts, whole.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Failed::TooLarge(limit)),
            Err(error) => Err(Failed::Broken(format!(
                "the connection broke in the middle of its answer: {}",
                innermost(&*error)
            ))),
        }
    }

    fn uri(&self, target: &str) -> Result<Uri, Failed> {
        let path = match self.prefix.as_str() {
            "" => PathAndQuery::try_from(target),
            prefix => PathAndQuery::try_from(format!("{prefix}{target}")),
        };
        let path = path.map_err(|error| Failed::NotSent(error.to_string()))?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| Failed::NotSent(error.to_string()))
    }
}

fn not_answered(error: &hyper_util::client::legacy::Error) -> Failed {
    if error.is_connect() {
        return Failed::NotSent(format!("it cannot be connected to: {}", innermost(error)));
    }
    match find::<hyper::Error>(error) {
        Some(cause) if cause.is_canceled() => {
            Failed::NotSent("its connection was closed before the request was sent".to_owned())
        }
        Some(cause) if cause.is_parse() => {
            Failed::Broken(format!("its answer is not HTTP: {}", innermost(cause)))
        }
        _ => Failed::Broken(format!(
            "the connection broke before it answered: {}",
            innermost(error)
        )),
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The last cause: the others only say that something went wrong.
fn innermost(mut error: &(dyn Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
