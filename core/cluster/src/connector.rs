//! New connections: TCP, and TLS on it where the URL asks for it, all within one
//! time limit. A name that is slow to resolve or a server that is slow to shake
//! hands counts as one that is not there.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::time::timeout;
use tower_service::Service;

use crate::socket::Socket;

/// After so much silence of a connection its other end is asked for a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

type Failure = Box<dyn Error + Send + Sync>;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl Connector {
    /// For servers with TLS, or without it.
    ///
    /// # Errors
    /// TLS cannot be spoken on this machine.
    pub(crate) fn new(is_secure: bool, limit: Duration) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        tcp.set_keepalive(Some(SIGN_OF_LIFE));
        let inner = HttpsConnectorBuilder::new()
            .with_tls_config(tls(is_secure)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self { inner, limit })
    }
}

impl Service<Uri> for Connector {
    type Response = Socket;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(to), self.limit);
        Box::pin(async move {
            let late = || format!("no connection stands after {} ms", limit.as_millis());
            let connected = timeout(limit, connecting).await.map_err(|_| late())?;
            connected.map(Socket::new)
        })
    }
}

/// Trusts whom the machine trusts. Where no TLS is spoken nobody needs to be, and
/// the machine's certificates are not read.
fn tls(is_spoken: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let no_tls = |error: rustls::Error| format!("TLS cannot be spoken here: {error}");
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?;
    let builder = if is_spoken {
        builder.with_platform_verifier().map_err(no_tls)?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
