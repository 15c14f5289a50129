//! A registry in this process that behaves as badly as a test wants.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    response::Response,
};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method, StatusCode, header};
use lusk_domain::Digest;
use tokio::{net::TcpListener, task::JoinHandle};

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Another answer, with headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Content that is not what was asked for, of the same length.
    Lie,
    /// More content than there is.
    Endless,
    /// This many bytes, then nothing any more.
    Stall(usize),
    /// This many bytes, then the end of the connection.
    Break(usize),
}

/// Who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    Basic,
    Bearer,
}

#[derive(Default)]
struct Content {
    blobs: HashMap<String, Bytes>,
    /// By repository and tag.
    manifests: BTreeMap<(String, String), Bytes>,
    uploads: HashMap<u64, Vec<u8>>,
    next: u64,
    faults: Vec<(String, Fault)>,
    asked: Vec<String>,
}

struct Shared {
    content: Mutex<Content>,
    door: Door,
    address: String,
    ranges: bool,
}

/// A running registry; it ends when dropped.
pub(crate) struct FakeRegistry {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// `me:secret`
const BASIC: &str = "Basic bWU6c2VjcmV0";

impl FakeRegistry {
    pub(crate) async fn start() -> Self {
        Self::start_with(Door::Open, true).await
    }

    pub(crate) async fn start_with(door: Door, ranges: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            content: Mutex::default(),
            door,
            address: format!("http://{}", listener.local_addr().unwrap()),
            ranges,
        });
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { shared, task }
    }

    pub(crate) fn address(&self) -> &str {
        &self.shared.address
    }

    /// The next request whose `METHOD path` holds `of` goes wrong.
    pub(crate) fn fault(&self, of: &str, fault: Fault) {
        self.shared.lock().faults.push((of.to_owned(), fault));
    }

    /// Requests since the last time whose `METHOD path` holds `of`.
    pub(crate) fn asked(&self, of: &str) -> usize {
        let content = self.shared.lock();
        content.asked.iter().filter(|it| it.contains(of)).count()
    }

    pub(crate) fn forget_asked(&self) {
        self.shared.lock().asked.clear();
    }

    pub(crate) fn tags(&self) -> Vec<String> {
        let content = self.shared.lock();
        content
            .manifests
            .keys()
            .map(|(_, tag)| tag.clone())
            .collect()
    }

    pub(crate) fn blobs(&self) -> usize {
        self.shared.lock().blobs.len()
    }

    pub(crate) fn uploads(&self) -> usize {
        self.shared.lock().uploads.len()
    }

    /// Digest of the largest blob: a layer with a package.
    pub(crate) fn largest(&self) -> String {
        let content = self.shared.lock();
        let largest = content.blobs.iter().max_by_key(|(_, blob)| blob.len());
        largest.unwrap().0.clone()
    }

    /// Replaces each manifest.
    pub(crate) fn change_manifests(&self, change: impl Fn(&[u8]) -> Vec<u8>) {
        for manifest in self.shared.lock().manifests.values_mut() {
            *manifest = change(manifest).into();
        }
    }

    /// Adds a blob without asking.
    pub(crate) fn add_blob(&self, blob: Vec<u8>) -> Digest {
        let digest = Digest::of(&blob);
        let mut content = self.shared.lock();
        content.blobs.insert(digest.to_string(), blob.into());
        digest
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn challenge(&self) -> String {
        match self.door {
            Door::Bearer => format!(
                "Bearer realm=\"{}/token\",service=\"fake\",scope=\"x\"",
                self.address
            ),
            _ => "Basic realm=\"fake\"".to_owned(),
        }
    }

    fn may_enter(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(header::AUTHORIZATION);
        let said = said.map(|it| it.to_str().unwrap());
        match self.door {
            Door::Open => true,
            Door::Basic => said == Some(BASIC),
            Door::Bearer => said == Some("Bearer opensesame"),
        }
    }
}

fn plain(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}

fn with(mut response: Response, name: &'static str, value: &str) -> Response {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let what = format!("{} {path}", parts.method);
    let fault = {
        let mut content = shared.lock();
        content.asked.push(what.clone());
        let found = content.faults.iter().position(|(of, _)| what.contains(of));
        found.map(|at| content.faults.remove(at).1)
    };
    if let Some(Fault::Status(status, headers)) = &fault {
        let message = r#"{"errors":[{"code":"DENIED","message":"as the test wants"}]}"#;
        let mut response = plain(StatusCode::from_u16(*status).unwrap(), message);
        for (name, value) in headers {
            response = with(response, name, value);
        }
        return response;
    }
    if path == "/token" {
        let query = parts.uri.query().unwrap_or_default();
        let said = parts.headers.get(header::AUTHORIZATION);
        let is_known = said.is_some_and(|it| it == BASIC);
        return match is_known
            && query.contains("service=fake")
            && query.contains("scope=repository")
        {
            true => plain(StatusCode::OK, r#"{"token":"opensesame","expires_in":300}"#),
            false => plain(StatusCode::UNAUTHORIZED, "{}"),
        };
    }
    if !shared.may_enter(&parts.headers) {
        let response = plain(StatusCode::UNAUTHORIZED, "{}");
        return with(response, "www-authenticate", &shared.challenge());
    }
    let path = path.strip_prefix("/v2/").unwrap_or_default();
    if let Some((_, id)) = path.split_once("/blobs/uploads/") {
        let query = parts.uri.query().unwrap_or_default();
        return upload(&shared, &parts.method, id, query, &parts.headers, &body);
    }
    if let Some((_, digest)) = path.split_once("/blobs/") {
        return blob(&shared, &parts.method, digest, &parts.headers, fault);
    }
    if let Some((repository, tag)) = path.split_once("/manifests/") {
        return manifest(&shared, &parts.method, repository, tag, body, fault);
    }
    if let Some(repository) = path.strip_suffix("/tags/list") {
        let content = shared.lock();
        let named = content
            .manifests
            .keys()
            .filter(|(name, _)| name == repository);
        let tags: Vec<_> = named.map(|(_, tag)| tag).collect();
        let list = serde_json::json!({ "name": repository, "tags": tags });
        return plain(StatusCode::OK, list.to_string());
    }
    plain(StatusCode::NOT_FOUND, "")
}

fn upload(
    shared: &Shared,
    method: &Method,
    id: &str,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let mut content = shared.lock();
    let place = |id: u64| format!("/v2/x/blobs/uploads/{id}?state=s");
    if method == Method::POST {
        content.next += 1;
        let id = content.next;
        content.uploads.insert(id, Vec::new());
        return with(plain(StatusCode::ACCEPTED, ""), "location", &place(id));
    }
    let id: u64 = id.parse().unwrap();
    let Some(upload) = content.uploads.get_mut(&id) else {
        return plain(StatusCode::NOT_FOUND, "");
    };
    if method == Method::DELETE {
        content.uploads.remove(&id);
        return plain(StatusCode::NO_CONTENT, "");
    }
    if let Some(range) = headers.get(header::CONTENT_RANGE) {
        let range = range.to_str().unwrap();
        let end = upload.len() + body.len() - 1;
        assert_eq!(range, format!("{}-{end}", upload.len()));
    }
    upload.extend_from_slice(body);
    if method == Method::PATCH {
        return with(plain(StatusCode::ACCEPTED, ""), "location", &place(id));
    }
    let blob = Bytes::from(content.uploads.remove(&id).unwrap());
    let digest = Digest::of(&blob).to_string();
    let said = query.replace("%3A", ":");
    if !said.contains(&format!("digest={digest}")) {
        return plain(StatusCode::BAD_REQUEST, "");
    }
    content.blobs.insert(digest, blob);
    plain(StatusCode::CREATED, "")
}

fn blob(
    shared: &Shared,
    method: &Method,
    digest: &str,
    headers: &HeaderMap,
    fault: Option<Fault>,
) -> Response {
    let Some(blob) = shared.lock().blobs.get(digest).cloned() else {
        return plain(StatusCode::NOT_FOUND, "");
    };
    if method == Method::HEAD {
        return plain(StatusCode::OK, "");
    }
    let range = headers.get(header::RANGE).filter(|_| shared.ranges);
    let Some(range) = range else {
        return delivered(plain(StatusCode::OK, ""), blob, fault);
    };
    let range = range.to_str().unwrap();
    let from = range.strip_prefix("bytes=").unwrap().trim_end_matches('-');
    let from: usize = from.parse().unwrap();
    let said = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
    let response = with(
        plain(StatusCode::PARTIAL_CONTENT, ""),
        "content-range",
        &said,
    );
    delivered(response, blob.slice(from..), fault)
}

fn manifest(
    shared: &Shared,
    method: &Method,
    repository: &str,
    tag: &str,
    body: Bytes,
    fault: Option<Fault>,
) -> Response {
    let mut content = shared.lock();
    let name = (repository.to_owned(), tag.to_owned());
    if method == Method::PUT {
        content.manifests.insert(name, body);
        return plain(StatusCode::CREATED, "");
    }
    let Some(manifest) = content.manifests.get(&name).cloned() else {
        return plain(StatusCode::NOT_FOUND, "");
    };
    let digest = Digest::of(&manifest).to_string();
    let response = with(plain(StatusCode::OK, ""), "docker-content-digest", &digest);
    delivered(response, manifest, fault)
}

/// The content as the fault has it.
fn delivered(mut response: Response, content: Bytes, fault: Option<Fault>) -> Response {
    let length = content.len().to_string();
    let part = |count: usize| Ok::<_, std::io::Error>(content.slice(..count.min(content.len())));
    let body = match fault {
        None | Some(Fault::Status(..)) => Body::from(content),
        Some(Fault::Lie) => {
            let mut other = content.to_vec();
            let middle = other.len() / 2;
            other[middle] ^= 1;
            Body::from(other)
        }
        Some(Fault::Endless) => {
            let zeros = Bytes::from(vec![0; 64 << 10]);
            let parts = stream::repeat(zeros).map(Ok::<_, Infallible>);
            *response.body_mut() = Body::from_stream(parts);
            return response;
        }
        Some(Fault::Stall(count)) => {
            Body::from_stream(stream::iter([part(count)]).chain(stream::pending()))
        }
        Some(Fault::Break(count)) => {
            let end = stream::once(async {
                // A pause, in which the server sends what it has.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("as the test wants"))
            });
            Body::from_stream(stream::iter([part(count)]).chain(end))
        }
    };
    *response.body_mut() = body;
    with(response, "content-length", &length)
}
