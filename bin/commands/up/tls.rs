//! Flags of TLS on the scoring door.

use std::path::PathBuf;

use clap::Args;
use lusk_gateway::{Tls, TlsError};

/// See the module.
#[derive(Debug, Clone, Args)]
pub(crate) struct TlsArgs {
    /// Speak TLS on the scoring door, with this chain of certificates: PEM, the
    /// server's first; example: --tls-certificate server.pem --tls-key server.key
    #[arg(
        long,
        value_name = "FILE",
        env = "LUSK_TLS_CERTIFICATE",
        requires = "tls_key"
    )]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key of the certificate: PEM, not encrypted
    #[arg(
        long,
        value_name = "FILE",
        env = "LUSK_TLS_KEY",
        requires = "tls_certificate"
    )]
    pub(crate) tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// What the flags name, read; none without them.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub(crate) fn tls(&self) -> Result<Option<Tls>, TlsError> {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Tls::from_files(certificate, key).map(Some),
            _ => Ok(None),
        }
    }
}
