//! TLS on the scoring door: the certificate and its key, and the sealed stream.
//!
//! Nothing here knows of HTTP but the names by which its versions are agreed upon. All
//! that can be wrong with the files is found out before the door opens.

use std::{
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use jiff::Timestamp;
use rustix::fs::OFlags;
use rustls::{
    CertificateError, Error, RootCertStore, ServerConfig,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{self, PemObject as _},
    },
    server::ParsedCertificate,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{caller::Voice, connection::line::Wire};

/// First byte of all that speaks TLS: a record of a handshake.
pub(crate) const HANDSHAKE: u8 = 22;

/// Largest certificate or key file; chains have a few KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Sizes of RSA keys that the signing code takes.
const RSA_BITS: &str = "2048 to 4096";

/// The name of HTTP/2 among the protocols that a caller offers.
const HTTP2: &[u8] = b"h2";

/// What a door needs to speak TLS 1.2 and 1.3.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads a chain of certificates, the server's first, and its key; both PEM.
    ///
    /// # Errors
    /// A file that cannot be used, or two that do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_chain(certificate)?;
        check_time(&chain, certificate)?;
        let secret = read_key(key)?;
        warn_of_readers(key);
        let unusable = |error: Error| match error {
            Error::InconsistentKeys(_) => TlsError::Mismatch {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            },
            error => TlsError::Unusable {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                error,
            },
        };
        let provider = Arc::new(ring::default_provider());
        // Asked beforehand, for later it could not be told from other faults.
        if provider
            .key_provider
            .load_private_key(secret.clone_key())
            .is_err()
        {
            return Err(TlsError::KeyKind {
                path: key.to_owned(),
            });
        }
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(unusable)?;
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        // Callers who come again bring what is known of them along: no memory for it here.
        config.ticketer = ring::Ticketer::new().map_err(unusable)?;
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands with a caller.
    pub(crate) async fn accept(&self, wire: Wire) -> io::Result<Sealed> {
        let stream = TlsAcceptor::from(Arc::clone(&self.0)).accept(wire).await?;
        Ok(Sealed(Arc::new(Mutex::new(stream))))
    }
}

/// Why a door cannot speak TLS with these files.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    Unreadable {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file does not hold what it should.
    Missing {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file is none whose end could be waited for: a pipe, a device, a folder.
    NoFile {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// What a file holds is damaged.
    Damaged {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// How.
        how: String,
    },
    /// The key is damaged, or of a kind or size that is not spoken.
    KeyKind {
        /// The key's file.
        path: PathBuf,
    },
    /// The key is protected by a password, which nobody is there to type.
    Encrypted {
        /// The key's file.
        path: PathBuf,
    },
    /// The certificate is not valid now.
    OutOfTime {
        /// The certificate's file.
        path: PathBuf,
        /// Since when, or until when.
        since: String,
    },
    /// The key is another certificate's.
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The two are of no use for another reason.
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        error: Error,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { what, path, error } => write!(
                f,
                "the {what} file `{}` cannot be read: {error}; name a PEM file that this user may read",
                path.display()
            ),
            Self::Missing { what, path } => write!(
                f,
                "the file `{}` holds no {what} in PEM (`-----BEGIN …`); name the file that does",
                path.display()
            ),
            Self::NoFile { what, path } => write!(
                f,
                "the {what} file `{}` is no regular file; name a PEM file, or a link to one",
                path.display()
            ),
            Self::Damaged { what, path, how } => write!(
                f,
                "the {what} in `{}` is damaged: {how}; put the whole PEM file there again",
                path.display()
            ),
            Self::KeyKind { path } => write!(
                f,
                "the key in `{}` cannot be used: it is damaged, or not RSA of {RSA_BITS} bits, ECDSA on P-256 or P-384, or Ed25519; make one of these, and its certificate anew",
                path.display()
            ),
            Self::Encrypted { path } => write!(
                f,
                "the key in `{0}` is encrypted; decrypt it: openssl pkey -in {0} -out FILE",
                path.display()
            ),
            Self::OutOfTime { path, since } => write!(
                f,
                "the certificate in `{}` {since}; get a new one, or set the clock right",
                path.display()
            ),
            Self::Mismatch { certificate, key } => write!(
                f,
                "the key in `{}` is not that of the first certificate in `{}`; name the two files that were made together",
                key.display(),
                certificate.display()
            ),
            Self::Unusable {
                certificate,
                key,
                error,
            } => write!(
                f,
                "TLS cannot be spoken with the certificate in `{}` and the key in `{}`: {error}",
                certificate.display(),
                key.display()
            ),
        }
    }
}

impl std::error::Error for TlsError {}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    // Without waiting for somebody to write, should it be a pipe.
    let opened = fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    if let Ok(file) = &opened
        && file.metadata().is_ok_and(|file| !file.is_file())
    {
        return Err(TlsError::NoFile {
            what,
            path: path.to_owned(),
        });
    }
    let read = opened.and_then(|file| {
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > MAX_FILE_BYTES {
            true => Err(io::Error::other(format!(
                "it is over {MAX_FILE_BYTES} bytes"
            ))),
            false => Ok(()),
        }
    });
    read.map_err(|error| TlsError::Unreadable {
        what,
        path: path.to_owned(),
        error,
    })?;
    Ok(bytes)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const WHAT: &str = "certificate";
    let bytes = read(WHAT, path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| broken(WHAT, path, &error))?;
    if chain.is_empty() {
        return Err(TlsError::Missing {
            what: WHAT,
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    const WHAT: &str = "private key";
    let bytes = read(WHAT, path)?;
    // The newer form says so in its first line, the older one in the second.
    let is_encrypted = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| {
            bytes
                .windows(mark.len())
                .any(|part| part == mark.as_bytes())
        });
    if is_encrypted {
        return Err(TlsError::Encrypted {
            path: path.to_owned(),
        });
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| broken(WHAT, path, &error))
}

fn broken(what: &'static str, path: &Path, error: &pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::NoItemsFound => TlsError::Missing { what, path },
        pem::Error::MissingSectionEnd { end_marker } => {
            let name = String::from_utf8_lossy(end_marker);
            let how = format!(
                "it ends before `-----END {}-----`",
                name.trim_matches([' ', '-'])
            );
            TlsError::Damaged { what, path, how }
        }
        pem::Error::IllegalSectionStart { line } => {
            let line = String::from_utf8_lossy(line);
            let how = format!("`{}` begins nothing", line.trim());
            TlsError::Damaged { what, path, how }
        }
        error => {
            let how = error.to_string();
            TlsError::Damaged { what, path, how }
        }
    }
}

/// Refuses a certificate that no caller would take today. Who signed it is theirs to
/// judge.
fn check_time(chain: &[CertificateDer<'_>], path: &Path) -> Result<(), TlsError> {
    let Some(first) = chain.first() else {
        return Ok(());
    };
    let checked = ParsedCertificate::try_from(first).and_then(|certificate| {
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &RootCertStore::empty(),
            &[],
            UnixTime::now(),
            ring::default_provider()
                .signature_verification_algorithms
                .all,
        )
    });
    let Err(Error::InvalidCertificate(error)) = checked else {
        return Ok(());
    };
    let since = match error {
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired at {}", shown(not_after))
        }
        CertificateError::NotValidYet => "is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", shown(not_before))
        }
        _ => return Ok(()),
    };
    Err(TlsError::OutOfTime {
        path: path.to_owned(),
        since,
    })
}

fn shown(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn warn_of_readers(key: &Path) {
    const OTHERS: u32 = 0o004;
    let mode = fs::metadata(key).map_or(0, |file| file.permissions().mode());
    if mode & OTHERS != 0 {
        tracing::warn!(
            file = %key.display(),
            "every user of this machine can read the key of TLS; take that right away: chmod o-r"
        );
    }
}

/// The stream of a caller under TLS. Clones are the same stream: one is hyper's, one its
/// driver's, who never hold it at the same time.
#[derive(Clone)]
pub(crate) struct Sealed(Arc<Mutex<TlsStream<Wire>>>);

impl Sealed {
    /// Whether HTTP/2 was agreed upon.
    pub(crate) fn is_http2(&self) -> bool {
        self.lock().get_ref().1.alpn_protocol() == Some(HTTP2)
    }

    /// Says farewell, if there is room for it: without one, the caller could not tell an
    /// end from a connection that was cut.
    pub(crate) async fn close(&self) {
        let farewell = |context: &mut Context<'_>| {
            let _ = Pin::new(&mut *self.lock()).poll_shutdown(context);
            Poll::Ready(())
        };
        std::future::poll_fn(farewell).await;
    }

    fn lock(&self) -> MutexGuard<'_, TlsStream<Wire>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Voice for Sealed {
    fn poll_say(&self, context: &mut Context<'_>, word: &[u8]) -> Poll<io::Result<usize>> {
        let mut stream = self.lock();
        let said = ready!(Pin::new(&mut *stream).poll_write(context, word));
        // What does not go at once, goes with what is written next.
        let _ = Pin::new(&mut *stream).poll_flush(context);
        Poll::Ready(said)
    }
}

impl AsyncRead for Sealed {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(context, into)
    }
}

impl AsyncWrite for Sealed {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(context)
    }
}
