//! From a request at a door that scores to a script's answer.

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{
    HeaderValue, Method, Response, StatusCode, Version, header::CONTENT_TYPE, request::Parts,
};
use hyper::{Request, body::Incoming};
use lusk_contract::{Flow, RelayReply, RelayRequest, ScoreRequest, ScriptKind};
use lusk_router::{Lead, Relayed, Route, RouteError, Turn};

use crate::{
    body::{BodyLimits, Held, SMALL, Upload},
    books::Refusal,
    caller::Caller,
    cors::{self, Cors},
    headers::{self, Ids},
    listener::{Answer, ListenerOptions, MAX_HEADER_BYTES},
    mirror::{Live, Mirrors},
    passage::Passage,
    paths::{Resource, Target},
    problem::{Problem, Reply},
    reply::ReplyBody,
    shards::Timing,
    swagger,
};

mod aim;

use self::aim::{Place, Wish};

/// Most routes that one request is tried on: one more for each that closed after it was
/// looked up.
const MAX_TRIES: usize = 8;

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

    /// The service or the endpoint of a name now.
    fn lead(&self, name: &str) -> Option<Lead>;

    /// Who sends copies to mirrored versions, where there are versions.
    fn mirrors(&self) -> Option<&Mirrors>;
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
    let (name, version, prefix, resource) = match door.target(uri.path()) {
        None => return refuse(Problem::not_found()),
        Some(Target::RouterHealth) => {
            return router_health(&parts.method).unwrap_or_else(refuse);
        }
        Some(Target::Service {
            name,
            prefix,
            resource,
        }) => (name, None, prefix, resource),
        Some(Target::Version {
            endpoint,
            version,
            prefix,
            resource,
        }) => (endpoint, Some(version), prefix, resource),
    };
    let place = Place { name, version };
    let Some(lead) = place.look(door) else {
        return refuse(Problem::not_found());
    };
    let request = ServiceRequest {
        door,
        place,
        prefix,
        resource,
        ids,
        caller,
        timing,
        version: version.and_then(|version| HeaderValue::from_str(version).ok()),
    };
    request.reply(lead, parts, upload).await
}

fn router_health(method: &Method) -> Result<Reply, Problem> {
    if method == Method::GET || method == Method::HEAD {
        return Ok(text(StatusCode::OK, "Healthy"));
    }
    Err(Problem::method_not_allowed("GET, HEAD"))
}

/// A request that has found its service or its endpoint.
struct ServiceRequest<'a, D> {
    door: &'a D,
    place: Place<'a>,
    prefix: &'a str,
    resource: Resource,
    ids: &'a Ids,
    caller: &'a Arc<Caller>,
    timing: &'a Timing,
    /// The version that answers: of an endpoint once it is chosen, by its own path from
    /// the start.
    version: Option<HeaderValue>,
}

/// A request that has its slot.
struct Begun {
    lead: Lead,
    route: Arc<Route>,
    turn: Turn<Arc<Route>>,
    may_be_copied: bool,
}

impl<D: Door> ServiceRequest<'_, D> {
    async fn reply(mut self, lead: Lead, parts: Parts, upload: &mut Upload) -> Reply {
        let origins = aim::front(&lead).and_then(|route| route.info().cors.as_deref());
        let cors = Cors::of(origins, &parts.method, &parts.headers);
        let mut reply = match self.answer(lead, parts, upload).await {
            Ok(reply) => reply,
            Err(problem) => problem.counted(&self.door.limits().books).into_reply(),
        };
        cors.add_to(reply.headers_mut());
        if let Some(version) = self.version {
            headers::add_version(reply.headers_mut(), version);
        }
        reply
    }

    async fn answer(
        &mut self,
        lead: Lead,
        parts: Parts,
        upload: &mut Upload,
    ) -> Result<Reply, Problem> {
        if !self.resource.takes(&parts.method) {
            return Err(Problem::method_not_allowed(self.resource.methods()));
        }
        if self.answers_options(aim::front(&lead), &parts) {
            return Ok(text(StatusCode::OK, ""));
        }
        let is_open = !D::NEEDS_KEY || self.resource == Resource::Health;
        if !is_open && !aim::is_allowed(&lead, &parts.headers) {
            return Err(Problem::unauthorized());
        }
        if let Some(name) = self.ids.too_long() {
            return Err(Problem::id_too_long(name));
        }
        match self.resource {
            Resource::Health => Ok(service_health(self.front(&lead)?)),
            Resource::Swagger => {
                let info = self.front(&lead)?.info();
                let document = swagger::document(info, self.prefix, parts.uri.query());
                Ok(json(document.await?))
            }
            Resource::Score => self.score(lead, parts, upload).await,
        }
    }

    /// OPTIONS is answered here, without a key, for browsers ask without one. A raw
    /// script answers its own, with a key, unless CORS is configured and asked about.
    fn answers_options(&self, front: Option<&Arc<Route>>, parts: &Parts) -> bool {
        if parts.method != Method::OPTIONS {
            return false;
        }
        let Some(info) = front.map(|route| route.info()) else {
            return true;
        };
        let is_for_script = self.resource == Resource::Score && info.schema.kind == ScriptKind::Raw;
        let is_for_cors = info.cors.is_some() && cors::is_preflight(&parts.method, &parts.headers);
        !is_for_script || is_for_cors
    }

    /// The route that speaks for the service or the endpoint.
    fn front<'l>(&mut self, lead: &'l Lead) -> Result<&'l Arc<Route>, Problem> {
        let route = aim::front(lead).ok_or_else(|| aim::no_front(lead))?;
        self.choose(lead, route);
        Ok(route)
    }

    /// Notes which version of an endpoint answers.
    fn choose(&mut self, lead: &Lead, route: &Route) {
        if let Lead::Endpoint(_) = lead {
            let version = route.info().name.as_str().split_once('/');
            self.version = version.and_then(|(_, it)| HeaderValue::from_str(it).ok());
        }
    }

    /// Scores. A body is collected before it takes a slot if it is small, or if one of
    /// those who may get it wants it whole; else it passes through as it comes.
    async fn score(
        &mut self,
        lead: Lead,
        parts: Parts,
        upload: &mut Upload,
    ) -> Result<Reply, Problem> {
        let wish = Wish::of(&lead, &parts.headers);
        wish.check(&lead)?;
        let is_large = upload.told().is_none_or(|told| told > SMALL);
        let mut held = None;
        if is_large && parts.method == Method::POST && wish.streams(&lead) {
            upload.check_length(self.door.limits())?;
        } else {
            held = Some(self.read(upload).await?);
        }
        let begun = self.begin(lead, &wish, &mut held, upload).await?;
        match held {
            Some(held) => {
                self.run(begun, score_request(parts, held.bytes.clone()))
                    .await
            }
            None => self.pass_through(begun, parts, upload).await,
        }
    }

    async fn read(&self, upload: &mut Upload) -> Result<Held, Problem> {
        self.timing.apart(upload.read(self.door.limits())).await
    }

    /// Waits for a slot; at the successor, when the route was replaced since it was
    /// looked up, or at another version. One that takes no body on its way gets it
    /// whole: it is `held` then.
    async fn begin(
        &mut self,
        mut lead: Lead,
        wish: &Wish,
        held: &mut Option<Held>,
        upload: &mut Upload,
    ) -> Result<Begun, Problem> {
        // Shares may have changed while the body came.
        if let Lead::Endpoint(_) = lead {
            lead = self.place.look(self.door).ok_or_else(Problem::not_found)?;
        }
        let mut route = wish.choose(&lead, None)?;
        for _ in 0..MAX_TRIES {
            if held.is_none() && !route.relays() {
                *held = Some(self.read(upload).await?);
            }
            self.choose(&lead, &route);
            match self.timing.apart(route.own_turn()).await {
                Ok(turn) => {
                    let may_be_copied = !wish.is_named();
                    return Ok(Begun {
                        lead,
                        route,
                        turn,
                        may_be_copied,
                    });
                }
                Err(RouteError::Draining) => {
                    lead = self.place.look(self.door).ok_or_else(Problem::not_found)?;
                    route = wish.choose(&lead, Some(&route))?;
                }
                Err(error) => return Err(self.no_answer(&route, &error)),
            }
        }
        Err(self.no_answer(&route, &RouteError::Draining))
    }

    /// Runs a request whose body is whole.
    async fn run(&self, begun: Begun, request: ScoreRequest) -> Result<Reply, Problem> {
        let live = self.copy(&begun, &request);
        let Begun { route, turn, .. } = begun;
        let result = match route.relays() {
            true => self.timing.apart(turn.relay(request.into())).await,
            false => {
                let scored = self.timing.script(route.pace(), turn.score(request)).await;
                scored.map(|scored| Relayed {
                    reply: scored.reply.into(),
                    retried: scored.retried,
                })
            }
        };
        match result {
            Ok(Relayed { reply, retried }) => {
                let reply = match live {
                    Some(live) => live.answered(reply),
                    None => reply,
                };
                reply_of(reply, retried)
            }
            Err(error) => {
                if let Some(live) = live {
                    live.failed(&error);
                }
                Err(self.no_answer(&route, &error))
            }
        }
    }

    /// Counts a copy that is not sent, because the body is not held.
    fn pass_by(&self, begun: &Begun) {
        if let Lead::Endpoint(versions) = &begun.lead
            && begun.may_be_copied
            && let Some(mirrors) = self.door.mirrors()
        {
            mirrors.pass_by(versions, &begun.route);
        }
    }

    /// Sends a copy to the mirrored version, where there is one and it is its turn.
    fn copy(&self, begun: &Begun, request: &ScoreRequest) -> Option<Live> {
        match &begun.lead {
            Lead::Endpoint(versions) if begun.may_be_copied => {
                let mirrors = self.door.mirrors()?;
                mirrors.copy(versions, &begun.route, request, self.ids.request())
            }
            _ => None,
        }
    }

    /// Passes a request on and its answer back, bodies as they come.
    async fn pass_through(
        &self,
        begun: Begun,
        parts: Parts,
        upload: &mut Upload,
    ) -> Result<Reply, Problem> {
        self.pass_by(&begun);
        let Begun { route, turn, .. } = begun;
        let length = upload.told();
        let (passage, fault) = Passage::new(upload, self.door.limits(), self.caller)?;
        let request = RelayRequest {
            body: Flow::Parts {
                length,
                parts: Box::pin(passage),
            },
            ..score_request(parts, Bytes::new()).into()
        };
        let relayed = self.timing.apart(turn.relay(request)).await;
        let relayed = relayed.map_err(|error| match fault.take() {
            Some(problem) => problem,
            None => self.no_answer(&route, &error),
        })?;
        reply_of(relayed.reply, relayed.retried)
    }

    fn no_answer(&self, route: &Route, error: &RouteError) -> Problem {
        let service = &route.info().name;
        tracing::debug!(%service, request = ?self.ids.request(), %error, "no answer");
        Problem::of_route(service, error)
    }
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

/// A script's status as the caller sees it. Its 500 becomes 502, as in the original, so
/// that 500 is always a fault of the server itself.
pub(crate) fn status_of(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::INTERNAL_SERVER_ERROR => StatusCode::BAD_GATEWAY,
        status => status,
    }
}

/// A script's answer as the caller sees it.
fn reply_of(from: RelayReply, retried: bool) -> Result<Reply, Problem> {
    let status = match status_of(from.status) {
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
