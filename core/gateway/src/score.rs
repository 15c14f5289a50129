//! From a request at a door that scores to a script's answer.

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{
    HeaderValue, Method, Response, StatusCode, Version, header::CONTENT_TYPE, request::Parts,
};
use hyper::{Request, body::Incoming};
use lusk_contract::{Flow, RelayReply, RelayRequest, ScoreRequest, ScriptKind};
use lusk_router::{Relayed, Route, RouteError, Scored};

use crate::{
    auth,
    body::{BodyLimits, SMALL, Upload},
    books::Refusal,
    caller::Caller,
    cors::{self, Cors},
    headers::{self, Ids},
    listener::{Answer, ListenerOptions, MAX_HEADER_BYTES},
    passage::Passage,
    paths::{Resource, Target},
    problem::{Problem, Reply},
    reply::ReplyBody,
    shards::Timing,
    swagger,
};

/// What the doors that score differ in.
pub(crate) trait Door: Send + Sync + 'static {
    /// Whether callers must have a key, where the service asks for one.
    const NEEDS_KEY: bool;

    /// Bounds of connections.
    fn listener(&self) -> &ListenerOptions;

    /// Bounds of bodies.
    fn limits(&self) -> &BodyLimits;

    /// What a path is about.
    fn target<'a>(&self, path: &'a str) -> Option<Target<'a>>;

    /// The way to a service now.
    fn route(&self, name: &str) -> Option<Arc<Route>>;
}

impl<D: Door> Answer for D {
    type Body = ReplyBody;

    /// What every answer has in common: ids, a bound of the headers, an answer even
    /// when something panics, and an end for a body that nobody read.
    async fn answer(&self, request: Request<Incoming>, caller: &Arc<Caller>) -> Reply {
        let timing = Timing::begin();
        let (parts, body) = request.into_parts();
        let ids = Ids::of(&parts.headers);
        let mut upload = Upload::new(body, &parts.headers);
        let reply = AssertUnwindSafe(reply(self, parts, &ids, &mut upload, caller, &timing));
        let mut reply = reply.catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(request = ?ids.request(), "a panic while a request was answered");
            Problem::internal().into_reply()
        });
        upload.discard(self.limits(), caller);
        ids.add_to(reply.headers_mut());
        timing.end();
        reply
    }

    fn refuse(&self, refusal: Refusal) -> Option<Bytes> {
        let listener = self.listener();
        let limit = match refusal {
            Refusal::ConnectionsFull => listener.max_connections,
            Refusal::HeadersSlow => listener.header_timeout.as_millis().try_into().ok()?,
            _ => MAX_HEADER_BYTES,
        };
        let problem = Problem::unreadable(refusal, limit);
        Some(problem.counted(&self.limits().books).into_bytes())
    }
}

async fn reply<D: Door>(
    door: &D,
    parts: Parts,
    ids: &Ids,
    upload: &mut Upload,
    caller: &Arc<Caller>,
    timing: &Timing,
) -> Reply {
    let refuse = |problem: Problem| problem.counted(&door.limits().books).into_reply();
    let size = headers::size(&parts.headers);
    if size > MAX_HEADER_BYTES {
        return refuse(Problem::headers_too_large(size, MAX_HEADER_BYTES));
    }
    if parts.version == Version::HTTP_11
        && let hosts @ (0 | 2..) = headers::hosts(&parts.headers)
    {
        return refuse(Problem::hosts(hosts));
    }
    let uri = parts.uri.clone();
    let (name, prefix, resource) = match door.target(uri.path()) {
        None => return refuse(Problem::not_found()),
        Some(Target::RouterHealth) => {
            return router_health(&parts.method).unwrap_or_else(refuse);
        }
        Some(Target::Service {
            name,
            prefix,
            resource,
        }) => (name, prefix, resource),
    };
    let Some(route) = door.route(name) else {
        return refuse(Problem::not_found());
    };
    let request = ServiceRequest {
        door,
        name,
        prefix,
        resource,
        ids,
        caller,
        timing,
    };
    request.reply(route, parts, upload).await
}

fn router_health(method: &Method) -> Result<Reply, Problem> {
    if method == Method::GET || method == Method::HEAD {
        return Ok(text(StatusCode::OK, "Healthy"));
    }
    Err(Problem::method_not_allowed("GET, HEAD"))
}

/// A request that has found its service.
struct ServiceRequest<'a, D> {
    door: &'a D,
    name: &'a str,
    prefix: &'a str,
    resource: Resource,
    ids: &'a Ids,
    caller: &'a Arc<Caller>,
    timing: &'a Timing,
}

impl<D: Door> ServiceRequest<'_, D> {
    async fn reply(&self, route: Arc<Route>, parts: Parts, upload: &mut Upload) -> Reply {
        let origins = route.info().cors.as_deref();
        let cors = Cors::of(origins, &parts.method, &parts.headers);
        let mut reply = match self.answer(route, parts, upload).await {
            Ok(reply) => reply,
            Err(problem) => problem.counted(&self.door.limits().books).into_reply(),
        };
        cors.add_to(reply.headers_mut());
        reply
    }

    async fn answer(
        &self,
        route: Arc<Route>,
        parts: Parts,
        upload: &mut Upload,
    ) -> Result<Reply, Problem> {
        if !self.resource.takes(&parts.method) {
            return Err(Problem::method_not_allowed(self.resource.methods()));
        }
        if self.answers_options(&route, &parts) {
            return Ok(text(StatusCode::OK, ""));
        }
        let is_open = !D::NEEDS_KEY || self.resource == Resource::Health;
        if !is_open && !auth::is_allowed(&route.access(), &parts.headers) {
            return Err(Problem::unauthorized());
        }
        if let Some(name) = self.ids.too_long() {
            return Err(Problem::id_too_long(name));
        }
        match self.resource {
            Resource::Health => Ok(service_health(&route)),
            Resource::Swagger => {
                let document = swagger::document(route.info(), self.prefix, parts.uri.query());
                Ok(json(document.await?))
            }
            Resource::Score if route.relays() => self.relay(route, parts, upload).await,
            Resource::Score => {
                let held = self.timing.apart(upload.read(self.door.limits())).await?;
                let request = score_request(parts, held.bytes.clone());
                let scored = self.score(route, request).await?;
                reply_of(scored.reply.into(), scored.retried)
            }
        }
    }

    /// OPTIONS is answered here, without a key, for browsers ask without one. A raw
    /// script answers its own, with a key, unless CORS is configured and asked about.
    fn answers_options(&self, route: &Route, parts: &Parts) -> bool {
        if parts.method != Method::OPTIONS {
            return false;
        }
        let info = route.info();
        let is_for_script = self.resource == Resource::Score && info.schema.kind == ScriptKind::Raw;
        let is_for_cors = info.cors.is_some() && cors::is_preflight(&parts.method, &parts.headers);
        !is_for_script || is_for_cors
    }

    /// Scores; on the successor, when the route was replaced since it was looked up.
    async fn score(&self, route: Arc<Route>, request: ScoreRequest) -> Result<Scored, Problem> {
        let result = match self.timing.apart(route.own_turn()).await {
            Err(RouteError::Draining) => {
                let next = self.door.route(self.name).ok_or_else(Problem::not_found)?;
                next.score(request).await
            }
            Err(error) => Err(error),
            Ok(turn) => self.timing.script(route.pace(), turn.score(request)).await,
        };
        result.map_err(|error| self.no_answer(&route, &error))
    }

    /// Passes a request on and its answer back, bodies as they come. Those that are
    /// small are collected before they take a slot.
    async fn relay(
        &self,
        route: Arc<Route>,
        parts: Parts,
        upload: &mut Upload,
    ) -> Result<Reply, Problem> {
        let limits = self.door.limits();
        let is_small = upload.told().is_some_and(|told| told <= SMALL);
        if is_small || parts.method != Method::POST {
            let held = self.timing.apart(upload.read(limits)).await?;
            let request = score_request(parts, held.bytes.clone()).into();
            let passed = self.pass(&route, request).await;
            return answer_of(passed.map_err(|error| self.no_answer(&route, &error))?);
        }
        let length = upload.told();
        let (passage, fault) = Passage::new(upload, limits, self.caller)?;
        let request = RelayRequest {
            body: Flow::Parts {
                length,
                parts: Box::pin(passage),
            },
            ..score_request(parts, Bytes::new()).into()
        };
        let passed = self.pass(&route, request).await;
        answer_of(passed.map_err(|error| match fault.take() {
            Some(problem) => problem,
            None => self.no_answer(&route, &error),
        })?)
    }

    async fn pass(&self, route: &Arc<Route>, request: RelayRequest) -> Result<Relayed, RouteError> {
        let turn = match self.timing.apart(route.own_turn()).await {
            Err(RouteError::Draining) => match self.door.route(self.name) {
                Some(next) => next.own_turn().await?,
                None => return Err(RouteError::Draining),
            },
            other => other?,
        };
        self.timing.apart(turn.relay(request)).await
    }

    fn no_answer(&self, route: &Route, error: &RouteError) -> Problem {
        let service = &route.info().name;
        tracing::debug!(%service, request = ?self.ids.request(), %error, "no answer");
        Problem::of_route(service, error)
    }
}

fn answer_of(relayed: Relayed) -> Result<Reply, Problem> {
    reply_of(relayed.reply, relayed.retried)
}

fn score_request(mut parts: Parts, body: Bytes) -> ScoreRequest {
    if parts.version == Version::HTTP_2 {
        headers::as_of_http1(&mut parts.headers, &parts.uri);
    }
    ScoreRequest {
        method: parts.method,
        target: match parts.uri.query() {
            Some(query) => format!("/score?{query}"),
            None => "/score".to_owned(),
        },
        headers: headers::for_script(parts.headers),
        body,
    }
}

/// A script's answer as the caller sees it. Its 500 becomes 502, as in the original,
/// so that 500 is always a fault of the server itself.
fn reply_of(from: RelayReply, retried: bool) -> Result<Reply, Problem> {
    let status = match from.status {
        StatusCode::INTERNAL_SERVER_ERROR => StatusCode::BAD_GATEWAY,
        status if status.is_informational() => return Err(Problem::no_answer_status(status)),
        status => status,
    };
    let mut reply = Response::new(ReplyBody::from(from.body));
    *reply.status_mut() = status;
    *reply.headers_mut() = headers::from_script(from.headers);
    let headers = reply.headers_mut();
    headers::add_function_failed(headers, from.function_failed);
    if let Some(time) = from.run_time {
        headers::add_execution_time(headers, time);
    }
    if retried {
        headers::add_retried(headers);
    }
    Ok(reply)
}

/// Told from the route's books: a script at work does not delay it.
fn service_health(route: &Route) -> Reply {
    if route.status().ready_replicas > 0 {
        return text(StatusCode::OK, "Healthy");
    }
    Problem::of_route(&route.info().name, &RouteError::NoReadyReplicas).into_reply()
}

fn text(status: StatusCode, text: &'static str) -> Reply {
    with_type(
        status,
        "text/plain; charset=utf-8",
        Bytes::from_static(text.as_bytes()),
    )
}

fn json(document: Bytes) -> Reply {
    with_type(StatusCode::OK, "application/json", document)
}

fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(ReplyBody::from(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers::add_function_failed(headers, false);
    reply
}

#[cfg(test)]
mod tests;
