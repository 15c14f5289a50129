//! The admin API from the caller's side: finds the node, sends requests with
//! its token, streams files up and down.

mod refusal;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::{Method, Request, StatusCode, header};
use http_body_util::{
    BodyExt as _, BodyStream, Full, Limited, StreamBody, combinators::UnsyncBoxBody,
};
use hyper::body::{Frame, Incoming};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use lusk_cluster::trusting;
use lusk_domain::{Digest, Secret};
use lusk_store::{FolderView, Holder, NodeInfo};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

pub(crate) use self::refusal::{Refusal, Words};
use crate::{cli::GlobalArgs, render::Trouble};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of a JSON reply that are read into memory.
const MAX_REPLY_BYTES: usize = 256 * 1024 * 1024;

/// What need not be escaped in a part of a path or query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// Header that names a version: of a request, who is to answer; of a reply, who did.
const VERSION: &str = "azureml-model-deployment";

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A connection to a node.
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Body>,
    base: String,
    token: Secret,
    workspace: String,
}

/// What came back.
pub(crate) struct Reply {
    /// The status, a successful one.
    pub(crate) status: StatusCode,
    /// The body; null when there is none.
    pub(crate) body: Value,
}

/// How to call a service.
#[derive(Clone, Copy, Default)]
pub(crate) struct Call<'a> {
    /// The key, if it takes one.
    pub(crate) key: Option<&'a str>,
    /// The version that is to answer; without it the endpoint chooses.
    pub(crate) version: Option<&'a str>,
    /// Whom to trust at a door with TLS; without it, whom the machine trusts.
    pub(crate) ca: Option<&'a Path>,
}

/// What a service answered.
pub(crate) struct Scored {
    /// The status, whatever it is.
    pub(crate) status: StatusCode,
    /// The version that answered, of an endpoint.
    pub(crate) version: Option<String>,
    /// The body.
    pub(crate) body: Bytes,
}

impl Client {
    /// Finds the node that the flags name.
    ///
    /// # Errors
    /// No node runs there, or its token cannot be read.
    pub(crate) fn find(global: &GlobalArgs) -> anyhow::Result<Self> {
        let data = data_folder(global)?;
        let base = match &global.admin_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => running_node(&data)?.admin,
        };
        let token = match &global.admin_token {
            Some(token) => Secret::new(token.trim()),
            None => NodeInfo::admin_token(&data)
                .with_context(|| format!("reading the admin token in {}", data.display()))?
                .ok_or_else(|| no_token(&data))?,
        };
        Ok(Self::new(base, token, &global.workspace_name))
    }

    /// A client of the node whose admin door is at `base`.
    pub(crate) fn new(base: String, token: Secret, workspace: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        Self {
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            base,
            token,
            workspace: workspace.to_owned(),
        }
    }

    /// The workspace of every request.
    pub(crate) fn workspace(&self) -> &str {
        &self.workspace
    }

    /// Asks for an object.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.send(Method::GET, path, None).await?.body)
    }

    /// Asks for a page of text outside of the workspace.
    ///
    /// # Errors
    /// No answer, a refusal, or no text.
    pub(crate) async fn page(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.base);
        let request = self.request(Method::GET, &url).body(full(Bytes::new()))?;
        let response = self.answer(request).await?;
        let bytes = bytes_of(response.into_body()).await?;
        String::from_utf8(bytes.into()).with_context(|| format!("reading {path} of the node"))
    }

    /// Asks for an object that may not be there.
    ///
    /// # Errors
    /// No answer, or a refusal other than 404.
    pub(crate) async fn find_one(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_status(&error, StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for all pages of a list.
    ///
    /// # Errors
    /// No answer, a refusal, or a page that is none.
    pub(crate) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut next = self.url(path);
        loop {
            let mut page = self.exchange(Method::GET, &next, None).await?.body;
            match page["value"].take() {
                Value::Array(more) => items.extend(more),
                _ => anyhow::bail!("the node answered {path} with something that is no list"),
            }
            match page["nextLink"].as_str() {
                // Only its path is taken: the node may know itself by another name.
                Some(link) => next = format!("{}{}", self.base, path_of(link)),
                None => return Ok(items),
            }
        }
    }

    /// Sends a JSON body, or none.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Reply> {
        self.exchange(method, &self.url(path), body).await
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Reply> {
        let mut request = self.request(method, url);
        let body = match body {
            Some(value) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                full(value.to_string())
            }
            None => full(Bytes::new()),
        };
        let response = self.answer(request.body(body)?).await?;
        let status = response.status();
        let body = json_of(response.into_body()).await?;
        Ok(Reply { status, body })
    }

    /// Whether the node has a blob.
    ///
    /// # Errors
    /// No answer, or a refusal other than 404.
    pub(crate) async fn has_blob(&self, digest: Digest) -> anyhow::Result<bool> {
        let url = self.url(&format!("/blobs/{digest}"));
        let request = self.request(Method::HEAD, &url).body(full(Bytes::new()))?;
        let response = self.respond(request).await?;
        Ok(response.status().is_success())
    }

    /// Uploads a blob of a known digest.
    ///
    /// # Errors
    /// The content cannot be read or is another, no answer, or a refusal.
    pub(crate) async fn upload(
        &self,
        digest: Digest,
        content: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let body = StreamBody::new(content.map_ok(Frame::data));
        let request = self
            .request(Method::POST, &self.url("/blobs"))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header("x-lusk-digest", digest.to_string())
            .body(UnsyncBoxBody::new(body))?;
        self.answer(request).await?;
        Ok(())
    }

    /// Downloads a blob.
    ///
    /// # Errors
    /// No answer, or a refusal; the stream ends with an error if it breaks off.
    pub(crate) async fn download(
        &self,
        digest: Digest,
    ) -> anyhow::Result<impl Stream<Item = Result<Bytes, hyper::Error>> + use<>> {
        self.stream(&format!("/blobs/{digest}")).await
    }

    /// Asks for something long.
    ///
    /// # Errors
    /// No answer, or a refusal; the stream ends with an error if it breaks off.
    pub(crate) async fn stream(
        &self,
        path: &str,
    ) -> anyhow::Result<impl Stream<Item = Result<Bytes, hyper::Error>> + use<>> {
        let request = self.request(Method::GET, &self.url(path));
        let response = self.answer(request.body(full(Bytes::new()))?).await?;
        Ok(parts_of(response.into_body()))
    }

    /// Starts work that tells how it goes: JSON objects, one a line, each of
    /// which `seen` gets as it comes.
    ///
    /// # Errors
    /// No answer, a refusal, a line that is none, or the connection broke off.
    pub(crate) async fn lines(
        &self,
        path: &str,
        body: Option<&Value>,
        mut seen: impl FnMut(Value),
    ) -> anyhow::Result<()> {
        let request = self
            .request(Method::POST, &self.url(path))
            .header(header::CONTENT_TYPE, "application/json");
        let body = body.map(Value::to_string).unwrap_or_default();
        let response = self.answer(request.body(full(body))?).await?;
        let mut parts = std::pin::pin!(parts_of(response.into_body()));
        let mut line = Vec::new();
        while let Some(part) = parts.next().await {
            let part = part.context("the node's answer broke off")?;
            for byte in part {
                if byte != b'\n' {
                    line.push(byte);
                } else {
                    seen(serde_json::from_slice(&line).context("reading a line of the node's")?);
                    line.clear();
                }
            }
            anyhow::ensure!(
                line.len() <= MAX_REPLY_BYTES,
                "a line of the node's answer is over {MAX_REPLY_BYTES} bytes"
            );
        }
        Ok(())
    }

    /// Uploads an archive of images; gives the images that are in it.
    ///
    /// # Errors
    /// The content cannot be read, no answer, or a refusal.
    pub(crate) async fn import(
        &self,
        content: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        size: u64,
    ) -> anyhow::Result<Value> {
        let body = StreamBody::new(content.map_ok(Frame::data));
        let request = self
            .request(Method::POST, &self.url("/images/import"))
            .header(header::CONTENT_TYPE, "application/x-tar")
            .header(header::CONTENT_LENGTH, size)
            .body(UnsyncBoxBody::new(body))?;
        let response = self.answer(request).await?;
        Ok(json_of(response.into_body()).await?["value"].take())
    }

    /// Posts to a service. Gives status and body whatever they are.
    ///
    /// # Errors
    /// No answer, or one that is too long.
    pub(crate) async fn score(
        &self,
        url: &str,
        call: Call<'_>,
        body: Vec<u8>,
    ) -> anyhow::Result<Scored> {
        let mut request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json");
        if let Some(key) = call.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(version) = call.version {
            request = request.header(VERSION, version);
        }
        let request = request.body(full(body))?;
        let sent = match url.starts_with("https://") {
            false => self.http.request(request).await,
            true => {
                let connector = trusting(call.ca, CONNECT_TIMEOUT).map_err(Trouble::new)?;
                let http = HttpClient::builder(TokioExecutor::new()).build(connector);
                http.request(request).await
            }
        };
        let response = sent.map_err(|error| unreachable(url, &error))?;
        let version = response.headers().get(VERSION);
        let version = version.and_then(|name| Some(name.to_str().ok()?.to_owned()));
        Ok(Scored {
            status: response.status(),
            version,
            body: bytes_of(response.into_body()).await?,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/workspaces/{}{path}", self.base, part(&self.workspace))
    }

    fn request(&self, method: Method, url: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(url)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.token.reveal()),
            )
            .header(header::ACCEPT, "application/json")
    }

    async fn respond(&self, request: Request<Body>) -> anyhow::Result<http::Response<Incoming>> {
        let sent = self.http.request(request).await;
        sent.map_err(|error| unreachable(&self.base, &error).into())
    }

    /// The response, if it is a successful one.
    async fn answer(&self, request: Request<Body>) -> anyhow::Result<http::Response<Incoming>> {
        let response = self.respond(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = json_of(response.into_body()).await.unwrap_or_default();
        Err(Refusal::new(status, &body).into())
    }
}

/// The same error; a refusal of the node in the words of the command that met it.
pub(crate) fn in_words(mut error: anyhow::Error, words: Words) -> anyhow::Error {
    if let Some(refusal) = error.downcast_mut::<Refusal>() {
        refusal.say_in(words);
    }
    error
}

/// Whether `error` is the node's refusal with this status.
pub(crate) fn is_status(error: &anyhow::Error, status: StatusCode) -> bool {
    error
        .downcast_ref::<Refusal>()
        .is_some_and(|refusal| refusal.status == status)
}

/// A text as one part of a path, or a value in a query.
pub(crate) fn part(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A query of the parameters that have a value.
pub(crate) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let pairs: Vec<_> = parameters
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", part(value.as_ref()?))))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

fn data_folder(global: &GlobalArgs) -> anyhow::Result<PathBuf> {
    if let Some(data) = &global.data {
        return Ok(data.clone());
    }
    let home = env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.context("there is no home folder (HOME is not set): give --data")?;
    Ok(Path::new(&home).join(".lusk"))
}

fn running_node(data: &Path) -> anyhow::Result<NodeInfo> {
    let found = NodeInfo::read(data)
        .with_context(|| format!("looking for a node in {}", data.display()))?;
    found.ok_or_else(|| no_node(data).into())
}

/// A node that has not announced itself: none, or one that is still on its way,
/// which its lock tells.
fn no_node(data: &Path) -> Trouble {
    let view = FolderView::look(data).ok().flatten();
    let Some(Holder::Process(pid)) = view.map(|view| view.holder) else {
        return Trouble::new(format!("no node runs in {}", data.display()))
            .with_help("start one with `lusk up`, or name another data folder with --data");
    };
    let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
    Trouble::new(format!(
        "a node is starting in {}{process} and takes no commands yet",
        data.display()
    ))
    .with_help(
        "try again when it has said where it listens; services that were there come back first",
    )
}

fn no_token(data: &Path) -> anyhow::Error {
    Trouble::new(format!("there is no admin token in {}", data.display()))
        .with_help("give LUSK_ADMIN_TOKEN, or start a node with `lusk up`")
        .into()
}

fn unreachable(url: &str, error: &hyper_util::client::legacy::Error) -> Trouble {
    let help = if is_about_trust(error) {
        "name the authority that signed the certificate with --ca FILE or LUSK_CA, or ask the host that it was made for"
    } else if error.is_connect() {
        "the node may have been killed; start it with `lusk up`"
    } else {
        "the node may have stopped in the middle; see its log"
    };
    Trouble::new(format!("no answer from {url}"))
        .with_causes(innermost(error))
        .with_help(help)
}

/// Whether the other side is there, and its certificate is not one to be trusted.
fn is_about_trust(error: &dyn std::error::Error) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.to_string().contains("invalid peer certificate"))
}

/// The last cause says what happened; those above only that something did.
fn innermost(error: &dyn std::error::Error) -> Vec<String> {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    vec![last.to_string()]
}

fn path_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else {
        return url;
    };
    rest.find('/').map_or("", |slash| &rest[slash..])
}

fn full(body: impl Into<Bytes>) -> Body {
    UnsyncBoxBody::new(Full::new(body.into()).map_err(|never| match never {}))
}

/// The content of a body as it comes; trailers say nothing here.
fn parts_of(body: Incoming) -> impl Stream<Item = Result<Bytes, hyper::Error>> {
    BodyStream::new(body).filter_map(|frame| async {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(error)),
        }
    })
}

async fn bytes_of(body: Incoming) -> anyhow::Result<Bytes> {
    let read = Limited::new(body, MAX_REPLY_BYTES).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|error| anyhow::anyhow!("the reply broke off: {error}"))
}

async fn json_of(body: Incoming) -> anyhow::Result<Value> {
    let bytes = bytes_of(body).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).context("reading the node's reply as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_urls_are_escaped() {
        assert_eq!(part("digits:1"), "digits:1");
        assert_eq!(part("a/b c&d=é"), "a%2Fb%20c%26d%3D%C3%A9");
        assert_eq!(
            query(&[
                ("a", Some("x=y".to_owned())),
                ("b", None),
                ("c", Some("1".to_owned()))
            ]),
            "?a=x%3Dy&c=1"
        );
        assert_eq!(query(&[("a", None)]), "");
    }

    #[test]
    fn a_node_on_its_way_is_told_from_none() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        let said = |data: &Path| running_node(data).err().unwrap().to_string();
        assert!(said(&data).starts_with("no node runs in "));
        let held = lusk_store::DataFolder::lock(&data, false).unwrap();
        let starting = format!("(process {}) and takes no commands yet", std::process::id());
        assert!(said(&data).ends_with(&starting), "{}", said(&data));
        drop(held);
        assert!(said(&data).starts_with("no node runs in "));
    }

    #[test]
    fn the_next_page_is_asked_of_the_same_node() {
        assert_eq!(path_of("http://elsewhere:1/a/b?c=d"), "/a/b?c=d");
        assert_eq!(path_of("/a"), "/a");
    }
}
