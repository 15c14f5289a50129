//! Where outputs are kept: a local folder, or a container named by a URL.
//!
//! Credentials come from the environment variables that the clouds' own tools
//! use (`AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`,
//! `AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, …). They are never shown, and
//! plain HTTP is used for loopback endpoints only. Who names a cloud installs
//! the process's rustls provider first.

mod probe;

use std::{fmt, fs, io, net::IpAddr, path::Path as FilePath, sync::Arc, time::Duration};

use object_store::{
    ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem,
    path::Path,
};

use crate::status::safe_text;

/// Time that connecting to a store may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Time that one request to a store may take: a part of 8 MiB on a slow line.
const REQUEST_LIMIT: Duration = Duration::from_mins(2);

/// Why a place for outputs cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputStoreError {
    /// The URL is not one of ours.
    #[error(
        "the output store `{url}` cannot be used: {why}; give az://CONTAINER/PREFIX, \
         s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER"
    )]
    Url {
        /// The URL, without what may be secret.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The endpoint would be spoken to in the clear.
    #[error(
        "the endpoint `{endpoint}` of the output store speaks plain HTTP, which is for \
         loopback addresses only; give an https address"
    )]
    PlainHttp {
        /// The endpoint.
        endpoint: String,
    },
    /// The client refused its settings.
    #[error("the output store `{store}` cannot be used: {why}")]
    Client {
        /// The store.
        store: String,
        /// What the client says.
        why: String,
    },
    /// The local folder cannot be made.
    #[error("the output folder `{folder}` cannot be made")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A place for outputs.
#[derive(Clone)]
pub struct OutputStore {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) prefix: Path,
    pub(crate) is_default: bool,
    name: String,
}

impl OutputStore {
    /// The node's own folder; made if it is not there. Logs are not copied
    /// there, for they lie beside it.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn local(folder: &FilePath) -> Result<Self, OutputStoreError> {
        let name = folder.display().to_string();
        Ok(Self {
            is_default: true,
            ..Self::of(Arc::new(file_system(folder)?), Path::default(), name)
        })
    }

    /// A store by its URL, with credentials from this process's environment.
    ///
    /// # Errors
    /// The URL or the credentials cannot be used. Nothing is asked of the store yet.
    pub fn from_url(url: &str) -> Result<Self, OutputStoreError> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect::<Vec<_>>();
        Self::with_variables(url, &variables)
    }

    /// A store by its URL, with credentials from `variables`.
    ///
    /// # Errors
    /// As [`OutputStore::from_url`].
    pub fn with_variables(
        url: &str,
        variables: &[(String, String)],
    ) -> Result<Self, OutputStoreError> {
        let address = Address::parse(url)?;
        let store: Arc<dyn ObjectStore> = match address.scheme {
            Scheme::File => Arc::new(file_system(FilePath::new(address.bucket))?),
            Scheme::Azure => Arc::new(azure(&address, variables)?),
            Scheme::S3 => Arc::new(s3(&address, variables)?),
            Scheme::Google => Arc::new(google(&address, variables)?),
        };
        Ok(Self::of(store, address.prefix.clone(), address.text()))
    }

    pub(crate) fn of(store: Arc<dyn ObjectStore>, prefix: Path, name: String) -> Self {
        Self {
            store,
            prefix,
            is_default: false,
            name,
        }
    }
}

impl fmt::Display for OutputStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

// The clients' own output is long and not ours to vouch for.
impl fmt::Debug for OutputStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputStore({})", self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Azure,
    S3,
    Google,
    File,
}

/// The parts of a URL; of `file:` the bucket is the folder.
#[derive(Debug)]
struct Address<'a> {
    scheme: Scheme,
    scheme_name: &'a str,
    bucket: &'a str,
    prefix: Path,
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Result<Self, OutputStoreError> {
        let shown = shown(url);
        let refuse = move |why| OutputStoreError::Url { url: shown, why };
        let Some((scheme_name, rest)) = url.split_once("://") else {
            return Err(refuse("it is not a URL"));
        };
        if rest.contains(['?', '#']) {
            return Err(refuse("it has a query or a fragment"));
        }
        let scheme = match scheme_name {
            "az" => Scheme::Azure,
            "s3" => Scheme::S3,
            "gs" => Scheme::Google,
            "file" if rest.starts_with('/') => {
                return Ok(Self {
                    scheme: Scheme::File,
                    scheme_name,
                    bucket: rest,
                    prefix: Path::default(),
                });
            }
            "file" => return Err(refuse("its folder is not absolute")),
            _ => return Err(refuse("its scheme is not known")),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._$".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(plain) {
            return Err(refuse("it names no container"));
        }
        let prefix = Path::parse(prefix.trim_end_matches('/'))
            .map_err(|_| refuse("its prefix is not a path"))?;
        Ok(Self {
            scheme,
            scheme_name,
            bucket,
            prefix,
        })
    }

    fn text(&self) -> String {
        let (scheme, bucket) = (self.scheme_name, self.bucket);
        match self.prefix.as_ref() {
            "" => format!("{scheme}://{bucket}"),
            prefix => format!("{scheme}://{bucket}/{prefix}"),
        }
    }

    fn refused(&self, error: &object_store::Error) -> OutputStoreError {
        OutputStoreError::Client {
            store: self.text(),
            why: safe_text(error),
        }
    }
}

/// A URL without what may be a password or a signature.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match (url.split_once("://"), url.rfind('@')) {
        (Some((scheme, _)), Some(at)) => format!("{scheme}://…{}", &url[at..]),
        _ => url.to_owned(),
    }
}

fn file_system(folder: &FilePath) -> Result<LocalFileSystem, OutputStoreError> {
    let made = fs::create_dir_all(folder);
    made.map_err(|source| OutputStoreError::Folder {
        folder: folder.display().to_string(),
        source,
    })?;
    LocalFileSystem::new_with_prefix(folder).map_err(|error| OutputStoreError::Client {
        store: folder.display().to_string(),
        why: safe_text(&error),
    })
}

fn azure(
    address: &Address<'_>,
    variables: &[(String, String)],
) -> Result<impl ObjectStore + use<>, OutputStoreError> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(client_options())
        .with_retry(retries());
    for (name, value) in prefixed(variables, "AZURE_") {
        if let Ok(key) = name.parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = value_of(variables, "IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    // The emulator's address is read by the client itself.
    let emulator = builder.get_config_value(&AzureConfigKey::UseEmulator);
    if emulator.is_some_and(|wanted| !matches!(wanted.as_str(), "false" | "0")) {
        may_be_plain(value_of(variables, "AZURITE_BLOB_STORAGE_URL"))?;
    }
    let plain = may_be_plain(builder.get_config_value(&AzureConfigKey::Endpoint))?;
    builder
        .with_container_name(address.bucket)
        .with_allow_http(plain)
        .build()
        .map_err(|error| address.refused(&error))
}

fn s3(
    address: &Address<'_>,
    variables: &[(String, String)],
) -> Result<impl ObjectStore + use<>, OutputStoreError> {
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client_options())
        .with_retry(retries());
    for (name, value) in prefixed(variables, "AWS_") {
        if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let plain = may_be_plain(builder.get_config_value(&AmazonS3ConfigKey::Endpoint))?;
    builder
        .with_bucket_name(address.bucket)
        .with_allow_http(plain)
        .build()
        .map_err(|error| address.refused(&error))
}

fn google(
    address: &Address<'_>,
    variables: &[(String, String)],
) -> Result<impl ObjectStore + use<>, OutputStoreError> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(client_options())
        .with_retry(retries());
    if let Some(path) = value_of(variables, "SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (name, value) in prefixed(variables, "GOOGLE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    builder
        .with_bucket_name(address.bucket)
        .build()
        .map_err(|error| address.refused(&error))
}

fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT_LIMIT)
        .with_timeout(REQUEST_LIMIT)
}

/// The keeper itself tries again, for as long as it takes.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 1,
        ..RetryConfig::default()
    }
}

/// Names are lower-cased, as the clients know them.
fn prefixed<'a>(
    variables: &'a [(String, String)],
    prefix: &'static str,
) -> impl Iterator<Item = (String, &'a str)> {
    variables
        .iter()
        .filter(move |(name, _)| name.starts_with(prefix))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
}

fn value_of(variables: &[(String, String)], name: &str) -> Option<String> {
    let found = variables.iter().find(|(known, _)| known == name)?;
    Some(found.1.clone())
}

/// Whether the endpoint speaks plain HTTP; only a loopback one may.
fn may_be_plain(endpoint: Option<String>) -> Result<bool, OutputStoreError> {
    let Some(endpoint) = endpoint else {
        return Ok(false);
    };
    let lower = endpoint.trim().to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("http://") else {
        return Ok(false);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if is_loopback(host(authority)) {
        return Ok(true);
    }
    Err(OutputStoreError::PlainHttp {
        endpoint: shown(&endpoint),
    })
}

fn host(authority: &str) -> &str {
    let authority = authority.rsplit('@').next().unwrap_or_default();
    match authority
        .strip_prefix('[')
        .and_then(|it| it.split_once(']'))
    {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests;
