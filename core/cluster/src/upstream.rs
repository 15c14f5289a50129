//! Requests to one outside replica over connections that are kept.
//!
//! A connection serves one request at a time and waits on a shelf in between,
//! shortly: servers close theirs without a word, and a request that is on its way
//! just then is lost. One that finds its connection closed before a byte of it
//! was sent goes out on another by itself.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{CONTENT_LENGTH, HOST},
    response::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use lusk_contract::RelayRequest;
use lusk_domain::ReplicaUrl;
use tower_service::Service as _;

use crate::{
    connector::Connector,
    outgoing::Outgoing,
    shelves::Shelves,
    wire::{Reading, Wire},
};

/// What nearly all requests are for.
const SCORE: &str = "/score";

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Nobody listens there.
    Refused(String),
    /// The server got nothing of the request.
    NotSent(String),
    /// The connection broke, or what came is no answer.
    Broken(String),
    /// The connection broke before the server took all of the request.
    NotTaken(String),
    /// The answer is one that cannot be passed on.
    Unfit(String),
    /// The answer is larger than this many bytes.
    TooLarge(usize),
    /// The request did not come whole: not the server's fault.
    CutShort(String),
}

impl Failed {
    /// In words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Refused(why)
            | Self::NotSent(why)
            | Self::Broken(why)
            | Self::NotTaken(why)
            | Self::Unfit(why)
            | Self::CutShort(why) => why.clone(),
            Self::TooLarge(limit) => {
                format!("its answer is larger than {limit} bytes, the most that is taken")
            }
        }
    }

    /// Of an answer that had begun.
    pub(crate) fn mid_answer(error: &hyper::Error, reading: &Reading) -> Self {
        if error.is_user() {
            return Self::CutShort(innermost(error));
        }
        let why = innermost(error);
        let why = format!("the connection broke in the middle of its answer: {why}");
        match reading.was_sending() {
            true => Self::NotTaken(why),
            false => Self::Broken(why),
        }
    }
}

/// A request without an answer; it is here unless some of it is gone.
pub(crate) struct Unanswered {
    pub(crate) failed: Failed,
    pub(crate) request: Option<Box<RelayRequest>>,
}

impl From<Failed> for Unanswered {
    fn from(failed: Failed) -> Self {
        let request = None;
        Self { failed, request }
    }
}

/// A server and the connections to it.
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
    host: HeaderValue,
    /// The path of [`SCORE`] there.
    score: Uri,
    connector: Connector,
    shelves: Arc<Shelves>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
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
        let cannot = |why: &dyn fmt::Display| format!("no request can be made for {url}: {why}");
        let uri: Uri = url.as_str().parse().map_err(|error| cannot(&error))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(cannot(&"it has no host"));
        };
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| cannot(&error))?;
        let prefix = url.prefix();
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority.clone(),
            prefix: prefix.to_owned(),
            host,
            score: path(prefix, SCORE).map_err(|error| cannot(&error))?,
            connector: Connector::new(url.is_secure(), connect_timeout)?,
            shelves: Shelves::new(slots),
        })
    }

    /// Sends a request (its target is path and query below the base URL) and returns
    /// when the head of its answer is there. Dropping the future, or what it gave,
    /// closes the connection.
    pub(crate) async fn send(&self, request: RelayRequest) -> Result<(Parts, Reading), Unanswered> {
        let RelayRequest {
            method,
            target,
            mut headers,
            body,
        } = request;
        // The server has a name and the body a length of its own.
        headers.insert(HOST, self.host.clone());
        headers.remove(CONTENT_LENGTH);
        let mut request = Request::new(Outgoing::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(&target)?;
        *request.headers_mut() = headers;
        self.exchange(request)
            .await
            .map_err(|(failed, request)| Unanswered {
                failed,
                request: request.map(|request| Box::new(back(request, target))),
            })
    }

    async fn exchange(
        &self,
        mut request: Request<Outgoing>,
    ) -> Result<(Parts, Reading), (Failed, Option<Request<Outgoing>>)> {
        loop {
            let kept = self.shelves.take().await;
            let was_kept = kept.is_some();
            let mut wire = match kept {
                Some(wire) => wire,
                None => match self.connect().await {
                    Ok(wire) => wire,
                    Err(failed) => return Err((failed, Some(request))),
                },
            };
            let mut refused = match wire.exchange(request).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    return Ok((parts, Reading::new(wire, body)));
                }
                Err(refused) => refused,
            };
            request = match refused.take_message() {
                Some(request) if was_kept => request,
                Some(request) => {
                    let why = "its connection was closed before the request was sent";
                    return Err((Failed::NotSent(why.to_owned()), Some(request)));
                }
                None => {
                    let was_sending = wire.was_sending();
                    return Err((not_answered(&refused.into_error(), was_sending), None));
                }
            };
        }
    }

    /// Asks for something small: the answer of up to `limit` bytes.
    pub(crate) async fn get(
        &self,
        target: &str,
        limit: usize,
    ) -> Result<(http::StatusCode, Bytes), Failed> {
        let request = RelayRequest {
            method: Method::GET,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: lusk_contract::Flow::Whole(Bytes::new()),
        };
        let sent = self.send(request).await;
        let (parts, reading) = sent.map_err(|unanswered| unanswered.failed)?;
        Ok((parts.status, self.collect(reading, limit).await?))
    }

    /// The rest of an answer, up to `limit` bytes.
    pub(crate) async fn collect(
        &self,
        mut reading: Reading,
        limit: usize,
    ) -> Result<Bytes, Failed> {
        if reading.length().is_some_and(|told| told > limit as u64) {
            return Err(Failed::TooLarge(limit));
        }
        let (mut lone, mut joined) = (Bytes::new(), BytesMut::new());
        while let Some(part) = reading.part().await {
            let part = part.map_err(|error| Failed::mid_answer(&error, &reading))?;
            if lone.len().max(joined.len()) + part.len() > limit {
                return Err(Failed::TooLarge(limit));
            }
            // The usual lone part is not copied.
            if lone.is_empty() {
                lone = part;
            } else {
                if joined.is_empty() {
                    joined.extend_from_slice(&lone);
                }
                joined.extend_from_slice(&part);
            }
        }
        let mut over = Some(reading);
        poll_fn(|context| {
            if let Some(reading) = over.take() {
                self.keep(reading, context);
            }
            Poll::Ready(())
        })
        .await;
        Ok(if joined.is_empty() {
            lone
        } else {
            joined.freeze()
        })
    }

    /// Keeps the connection of an answer that is over.
    pub(crate) fn keep(&self, reading: Reading, context: &mut Context<'_>) {
        if let Some(wire) = reading.into_wire(context) {
            self.shelves.put(wire);
        }
    }

    async fn connect(&self) -> Result<Wire, Failed> {
        let to = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query("/")
            .build();
        let to = to.map_err(|error| Failed::NotSent(error.to_string()))?;
        let mut connector = self.connector.clone();
        let socket = connector.call(to).await.map_err(|error| {
            let why = format!("it cannot be connected to: {}", innermost(&*error));
            match find::<io::Error>(&*error).map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => Failed::Refused(why),
                _ => Failed::NotSent(why),
            }
        })?;
        let made = Wire::new(socket).await;
        made.map_err(|error| Failed::NotSent(innermost(&error)))
    }

    fn uri(&self, target: &str) -> Result<Uri, Failed> {
        if target == SCORE {
            return Ok(self.score.clone());
        }
        path(&self.prefix, target).map_err(|error| Failed::NotSent(error.to_string()))
    }
}

fn path(prefix: &str, target: &str) -> Result<Uri, http::Error> {
    let path = match prefix {
        "" => PathAndQuery::try_from(target),
        prefix => PathAndQuery::try_from(format!("{prefix}{target}")),
    };
    Ok(Uri::from(path?))
}

/// What was to be sent, as it came.
fn back(request: Request<Outgoing>, target: String) -> RelayRequest {
    let (parts, body) = request.into_parts();
    RelayRequest {
        method: parts.method,
        target,
        headers: parts.headers,
        body: body.into_flow(),
    }
}

fn not_answered(error: &hyper::Error, was_sending: bool) -> Failed {
    let why = innermost(error);
    if error.is_user() {
        return Failed::CutShort(why);
    }
    if error.is_parse() {
        return Failed::Broken(format!("its answer is not HTTP: {why}"));
    }
    if was_sending {
        return Failed::NotTaken(format!(
            "the connection broke before it took all of the request: {why}"
        ));
    }
    Failed::Broken(format!("the connection broke before it answered: {why}"))
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
