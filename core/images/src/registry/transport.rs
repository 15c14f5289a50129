//! Single requests to a registry: authorised, bounded, tried again.
//!
//! The crate `oci-client` hides headers (`Retry-After`) and reads manifests
//! and tokens without a bound; its types are used, its requests are made here.
//!
//! Invariant: credentials go to the registry and to the realm it names, by TLS
//! unless both are on this machine; no answer is read beyond its bound.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use lusk_contract::ImageError;
use oci_client::{errors::OciEnvelope, secrets::RegistryAuth};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{HeaderMap, LOCATION},
    redirect::{Action, Attempt, Policy},
};
use serde::Deserialize;

use super::{
    RegistryAddress,
    challenge::Challenge,
    retry::{Fault, Patience, Tries},
};

/// Most bytes of a manifest, a list of tags or a token.
pub(crate) const MAX_ANSWER: u64 = 4 << 20;

/// Most bytes of what comes with an error.
const MAX_ERROR: u64 = 16 << 10;

/// Life of a token that does not tell it, as the token protocol has it.
const TOKEN_LIFE: Duration = Duration::from_mins(1);

/// Longest chain of redirects.
const MAX_REDIRECTS: usize = 5;

/// What a request may do to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Access {
    fn scope(self, repository: &str) -> String {
        match self {
            Self::Pull => format!("repository:{repository}:pull"),
            Self::Push => format!("repository:{repository}:pull,push"),
        }
    }
}

/// A bearer token and when to stop using it.
#[derive(Clone)]
enum Token {
    Basic,
    Bearer(String, Instant),
}

/// Talks to one registry.
pub(crate) struct Transport {
    address: RegistryAddress,
    base: Url,
    client: Client,
    auth: RegistryAuth,
    /// By scope.
    tokens: Mutex<HashMap<String, Token>>,
    patience: Patience,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(
        address: RegistryAddress,
        auth: RegistryAuth,
        patience: Patience,
    ) -> Result<Self, ImageError> {
        let unusable = |text: String| ImageError::Registry {
            registry: address.to_string(),
            message: text,
        };
        let plain = address.is_plain();
        let scheme = if plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{}/v2/", address.host()))
            .map_err(|error| unusable(format!("its address makes no URL: {error}")))?;
        let mut builder = Client::builder()
            .connect_timeout(patience.connect)
            .read_timeout(patience.stall)
            .redirect(Policy::custom(move |attempt| redirect(attempt, plain)))
            .user_agent(concat!("lusk/", env!("CARGO_PKG_VERSION")));
        if plain {
            // A proxy would not be on this machine's loopback.
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| unusable(format!("no TLS client: {error}")))?;
        Ok(Self {
            address,
            base,
            client,
            auth,
            tokens: Mutex::default(),
            patience,
        })
    }

    pub(crate) fn address(&self) -> &RegistryAddress {
        &self.address
    }

    /// `…/v2/`
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn tries(&self) -> Tries {
        Tries::new(self.patience)
    }

    /// `…/v2/<repository>/<rest>`
    pub(crate) fn url(&self, repository: &str, rest: &str) -> Result<Url, Fault> {
        self.base
            .join(&format!("{repository}/{rest}"))
            .map_err(|error| Fault::last(format!("no URL: {error}")))
    }

    /// One request, its authorisation included. Every status but 401 is an answer.
    pub(crate) async fn once(
        &self,
        access: Access,
        repository: &str,
        method: &Method,
        url: &Url,
        finish: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Fault> {
        let scope = access.scope(repository);
        let request = || finish(self.client.request(method.clone(), url.clone()));
        // Uploads may go to another host, which has no business with passwords.
        if !same_origin(url, &self.base) {
            return request().send().await.map_err(|error| Fault::of(&error));
        }
        let known = self.token(&scope);
        let first = self.authorised(request(), known.as_ref());
        let answer = first.send().await.map_err(|error| Fault::of(&error))?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.lock().remove(&scope);
        let Some(token) = self.answer_to(answer.headers(), &scope).await? else {
            return Err(refused(answer).await);
        };
        self.lock().insert(scope.clone(), token.clone());
        let second = self.authorised(request(), Some(&token));
        let answer = second.send().await.map_err(|error| Fault::of(&error))?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.lock().remove(&scope);
            return Err(refused(answer).await);
        }
        Ok(answer)
    }

    /// A request until it has one of the statuses hoped for.
    pub(crate) async fn request(
        &self,
        access: Access,
        repository: &str,
        method: Method,
        url: &Url,
        hoped: &[StatusCode],
        finish: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Fault> {
        let mut tries = self.tries();
        loop {
            let answer = self.once(access, repository, &method, url, &finish).await;
            let fault = match answer {
                Ok(answer) if hoped.contains(&answer.status()) => return Ok(answer),
                Ok(answer) => refused(answer).await,
                Err(fault) => fault,
            };
            tries.again(fault).await?;
        }
    }

    /// The content of a small answer, asked for until it has come whole; none
    /// when the registry does not know it.
    pub(crate) async fn content(
        &self,
        repository: &str,
        rest: &str,
        accept: &str,
    ) -> Result<Option<(HeaderMap, Bytes)>, Fault> {
        let url = self.url(repository, rest)?;
        let mut tries = self.tries();
        loop {
            let fault = match self.content_once(repository, &url, accept).await {
                Ok(content) => return Ok(content),
                Err(fault) => fault,
            };
            tries.again(fault).await?;
        }
    }

    async fn content_once(
        &self,
        repository: &str,
        url: &Url,
        accept: &str,
    ) -> Result<Option<(HeaderMap, Bytes)>, Fault> {
        let finish = |request: RequestBuilder| request.header("accept", accept);
        let answer = self
            .once(Access::Pull, repository, &Method::GET, url, finish)
            .await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                let headers = answer.headers().clone();
                Ok(Some((headers, body(answer, MAX_ANSWER).await?)))
            }
            _ => Err(refused(answer).await),
        }
    }

    /// Where an upload goes on.
    pub(crate) fn location(&self, answer: &Response) -> Result<Url, Fault> {
        let said = answer
            .headers()
            .get(LOCATION)
            .and_then(|it| it.to_str().ok());
        let said = said.ok_or_else(|| Fault::last("it did not say where the upload goes on"))?;
        let url = answer
            .url()
            .join(said)
            .map_err(|error| Fault::last(format!("`{said:.200}` is no URL: {error}")))?;
        if url.scheme() == "https" || self.address.is_plain() && same_origin(&url, &self.base) {
            return Ok(url);
        }
        Err(Fault::last(format!(
            "it sends the upload to `{said:.200}`, which is not TLS"
        )))
    }

    fn token(&self, scope: &str) -> Option<Token> {
        if let RegistryAuth::Bearer(token) = &self.auth {
            let forever = Instant::now() + Duration::from_hours(24);
            return Some(Token::Bearer(token.clone(), forever));
        }
        let tokens = self.lock();
        let token = tokens.get(scope).cloned();
        token.filter(|token| match token {
            Token::Basic => true,
            Token::Bearer(_, end) => Instant::now() < *end,
        })
    }

    fn authorised(&self, request: RequestBuilder, token: Option<&Token>) -> RequestBuilder {
        match (token, &self.auth) {
            (Some(Token::Bearer(token, _)), _) => request.bearer_auth(token),
            (Some(Token::Basic), RegistryAuth::Basic(user, password)) => {
                request.basic_auth(user, Some(password))
            }
            _ => request,
        }
    }

    /// What to say to a challenge; none when there is nothing to say.
    async fn answer_to(&self, headers: &HeaderMap, scope: &str) -> Result<Option<Token>, Fault> {
        match (Challenge::of(headers), &self.auth) {
            (_, RegistryAuth::Bearer(_)) => Ok(None),
            (Some(Challenge::Basic), RegistryAuth::Basic(..)) => Ok(Some(Token::Basic)),
            (Some(Challenge::Bearer { realm, service }), _) => self
                .fetch_token(&realm, service.as_deref(), scope)
                .await
                .map(Some),
            _ => Ok(None),
        }
    }

    async fn fetch_token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Token, Fault> {
        let url = Url::parse(realm)
            .map_err(|error| Fault::last(format!("realm `{realm:.200}` is no URL: {error}")))?;
        if url.scheme() != "https" && !(self.address.is_plain() && is_loopback(&url)) {
            return Err(Fault::last(format!(
                "it wants its token from `{realm:.200}`, which is not TLS"
            )));
        }
        let mut query = vec![("scope", scope)];
        query.extend(service.map(|service| ("service", service)));
        let mut request = self.client.get(url).query(&query);
        if let RegistryAuth::Basic(user, password) = &self.auth {
            request = request.basic_auth(user, Some(password));
        }
        let answer = request.send().await.map_err(|error| Fault::of(&error))?;
        if answer.status() != StatusCode::OK {
            let mut fault = refused(answer).await;
            fault.text = format!("no token was given: {}", fault.text);
            return Err(fault);
        }
        let given = body(answer, MAX_ANSWER).await?;
        let given: Given = serde_json::from_slice(&given)
            .map_err(|error| Fault::last(format!("its token is not readable: {error}")))?;
        let token = given.token.or(given.access_token);
        let token = token.ok_or_else(|| Fault::last("no token was in the answer"))?;
        let life = given.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
        // Half of its life: a clock may be off, a request takes time.
        let end = Instant::now() + life.min(Duration::from_hours(1)) / 2;
        Ok(Token::Bearer(token, end))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a token server gives.
#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// An answer that was not hoped for, as a fault.
pub(crate) async fn refused(answer: Response) -> Fault {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let said = body(answer, MAX_ERROR).await.unwrap_or_default();
    let said = serde_json::from_slice::<OciEnvelope>(&said)
        .ok()
        .and_then(|envelope| envelope.errors.into_iter().next())
        .map(|error| error.message)
        .unwrap_or_default();
    let said: String = said
        .chars()
        .filter(|it| !it.is_control())
        .take(200)
        .collect();
    Fault::status(status, &headers, &said)
}

/// A body, in memory, up to a bound.
async fn body(mut answer: Response, most: u64) -> Result<Bytes, Fault> {
    let mut content = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| Fault::of(&error))? {
        if (content.len() + part.len()) as u64 > most {
            return Err(Fault::lie(format!(
                "its answer has more than {most} bytes; it is not read"
            )));
        }
        content.extend_from_slice(&part);
    }
    Ok(content.into())
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// Follows a few redirects, never from TLS to the open.
fn redirect(attempt: Attempt<'_>, plain: bool) -> Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    let url = attempt.url();
    if url.scheme() == "https" || plain && is_loopback(url) {
        return attempt.follow();
    }
    attempt.error("redirected to an address without TLS")
}
