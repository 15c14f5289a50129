//! Whom a client of a TLS server trusts: those whom a file names, else those whom the
//! machine trusts.

use std::{path::Path, sync::Arc, time::Duration};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// Connects to servers with TLS, within `limit` for the connection itself. With `ca`, a
/// PEM file, only its certificates are trusted.
///
/// # Errors
/// A file without certificates, or a machine where TLS cannot be spoken.
pub fn trusting(
    ca: Option<&Path>,
    limit: Duration,
) -> Result<HttpsConnector<HttpConnector>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let no_tls = |error: rustls::Error| format!("TLS cannot be spoken here: {error}");
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?;
    let builder = match ca {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder.with_platform_verifier().map_err(no_tls)?,
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limit));
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(builder.with_no_client_auth())
        .https_only()
        .enable_http1()
        .wrap_connector(tcp))
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let wrong = |why: String| format!("no authority can be read from `{}`: {why}", path.display());
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("it holds no certificate in PEM".to_owned())),
        false => Ok(roots),
    }
}
