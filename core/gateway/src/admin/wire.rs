//! Bodies of requests that create or change a service, as the wire spells them,
//! and the way from there to what the control room takes.
//!
//! Absent and `null` are the same; keys that are not listed here (`location`,
//! `storageInitEnabled`, …) are taken and have no effect, as in the original.

use std::collections::BTreeMap;

use lusk_control::CreateService;
use lusk_domain::{
    ComputeName, ComputeType, Digest, Entry, Environment, EnvironmentRef, KeyKind, ModelId,
    ReplicaUrl, RuntimeKind, Secret, ServiceName, SettingsChange, Snapshot,
};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{fault::Fault, input::Json};

mod endpoint;

pub(crate) use endpoint::{
    AKS_ENDPOINT, NewVersion, VersionType, create_endpoint, is_endpoint, new_version,
    refuse_tokens, version_settings,
};

/// Before the digest in the URL of a snapshot's asset.
pub(crate) const BLOB_URL: &str = "lusk://blobs/";

/// The `id` of the asset that is the project folder.
pub(crate) const SNAPSHOT_ASSET: &str = "snapshot";

/// The port that asks for no debugger, in a change of a script that waits for one.
const NO_DEBUGGER: u16 = 0;

/// Names that are routes beside those of services.
const TAKEN_BY_ROUTES: [&str; 2] = ["migrate", "validate"];

/// The body of `POST …/services`, but for the settings in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceBody {
    #[serde(deserialize_with = "given_name")]
    name: ServiceName,
    compute_type: String,
    #[serde(default)]
    compute_name: Option<ComputeName>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    kv_tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    properties: Option<BTreeMap<String, String>>,
    #[serde(default)]
    keys: Option<KeysBody>,
    #[serde(default)]
    environment_image_request: Option<ImageRequest>,
    #[serde(default)]
    remote_replicas: Option<Vec<ReplicaUrl>>,
    #[serde(default)]
    overwrite: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct KeysBody {
    primary_key: Option<Secret>,
    secondary_key: Option<Secret>,
}

/// A name as callers may give one: not that of an endpoint's version.
fn given_name<'de, D: Deserializer<'de>>(from: D) -> Result<ServiceName, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// The one setting that the wire nests deeper than the files do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CollectionBody {
    #[serde(default)]
    data_collection: Option<DataCollection>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCollection {
    #[serde(default)]
    storage_enabled: Option<bool>,
}

/// The `environmentImageRequest`: models, and the entry script if there is one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ImageRequest {
    /// Path of the entry script inside the snapshot, below `source_directory`
    /// when that is given.
    driver_program: Option<String>,
    /// Top folder of the snapshot. The original puts it, like the script, into
    /// the environment's variables; both places are read.
    source_directory: Option<String>,
    /// The snapshot, under the id `snapshot`.
    assets: Option<Vec<Asset>>,
    /// Models of the service; absent in an update that keeps them.
    model_ids: Option<Vec<ModelId>>,
    /// What the script needs.
    environment: Option<Environment>,
    /// A registered environment in its place.
    environment_reference: Option<EnvironmentRef>,
    /// The runtime asked for by name.
    runtime: Option<RuntimeKind>,
    /// Port on which the script waits for a debugger.
    debug_port: Option<u16>,
}

/// A stored file that goes with a service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asset {
    id: String,
    url: String,
    /// Files in the snapshot, as the one who packed it counted them.
    files: Option<u32>,
    /// Sum of their sizes.
    bytes: Option<u64>,
}

/// What `regenerateKeys` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegenerateBody {
    key_type: String,
    #[serde(default)]
    key_value: Option<Secret>,
}

/// What an [`ImageRequest`] says, checked.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ImageWish {
    /// The entry script; none means no-code, or keep what there is.
    pub(crate) entry: Option<Entry>,
    /// The models; none means keep what there is.
    pub(crate) models: Option<Vec<ModelId>>,
    /// The registered environment that the entry script's is to be replaced by.
    pub(crate) reference: Option<EnvironmentRef>,
}

/// A request, and the registered environment that its entry script needs,
/// which only the node can look up.
#[derive(Debug)]
pub(crate) struct Wished<T> {
    /// What is asked for.
    pub(crate) wish: T,
    /// What its environment is to be replaced by.
    pub(crate) reference: Option<EnvironmentRef>,
}

/// Reads the body of a create request.
pub(crate) fn create_service(body: &Json) -> Result<Wished<CreateService>, Fault> {
    let wish: ServiceBody = body.parse()?;
    let settings = settings(body)?;
    let compute = compute_type(&wish.compute_type, wish.port)?;
    let image = wish.environment_image_request.unwrap_or_default().wish()?;
    free_name(&wish.name)?;
    let keys = wish.keys.unwrap_or_default();
    check_keys(&keys)?;
    let reference = image.reference;
    let wish = CreateService {
        name: wish.name,
        compute,
        compute_name: wish.compute_name,
        description: wish.description,
        tags: wish.kv_tags.unwrap_or_default(),
        properties: wish.properties.unwrap_or_default(),
        models: image.models.unwrap_or_default(),
        entry: image.entry,
        remote: wish.remote_replicas,
        settings,
        primary_key: keys.primary_key,
        secondary_key: keys.secondary_key,
        overwrite: wish.overwrite.unwrap_or(false),
    };
    Ok(Wished { wish, reference })
}

/// The settings in a create body, or in any part of one.
pub(crate) fn settings(body: &Json) -> Result<SettingsChange, Fault> {
    let mut change: SettingsChange = body.parse()?;
    let collection: CollectionBody = body.parse()?;
    change.storage_enabled = collection.storage_enabled();
    Ok(change)
}

impl CollectionBody {
    fn storage_enabled(self) -> Option<bool> {
        self.data_collection.and_then(|wish| wish.storage_enabled)
    }
}

/// Refuses names that are routes.
fn free_name(name: &ServiceName) -> Result<(), Fault> {
    if TAKEN_BY_ROUTES.contains(&name.as_str()) {
        return Err(Fault::bad_request(format!(
            "`name`: `{name}` is a route of this API and cannot name a service"
        )));
    }
    Ok(())
}

fn check_keys(keys: &KeysBody) -> Result<(), Fault> {
    if keys.primary_key.is_none() && keys.secondary_key.is_some() {
        return Err(Fault::bad_request(
            "`keys.secondaryKey` is given without `keys.primaryKey`; give both, or the primary key alone",
        ));
    }
    Ok(())
}

fn compute_type(word: &str, port: Option<u16>) -> Result<ComputeType, Fault> {
    if word.eq_ignore_ascii_case("aks") {
        Ok(ComputeType::Aks)
    } else if word.eq_ignore_ascii_case("local") {
        if port == Some(0) {
            return Err(Fault::bad_request(
                "`port` is 0: expected 1 to 65535, or nothing for a free port",
            ));
        }
        Ok(ComputeType::Local { port })
    } else {
        Err(Fault::bad_request(format!(
            "`computeType` is `{word:.40}`: expected AKS, AKSENDPOINT or LOCAL"
        )))
    }
}

/// Reads the body of `regenerateKeys`.
pub(crate) fn regenerate_key(body: &Json) -> Result<(KeyKind, Option<Secret>), Fault> {
    let wish: RegenerateBody = body.parse()?;
    let kind = wish
        .key_type
        .parse()
        .map_err(|error: String| Fault::bad_request(format!("`keyType`: {error}")))?;
    let value = wish.key_value.filter(|key| !key.reveal().is_empty());
    Ok((kind, value))
}

impl ImageRequest {
    /// Checks that script and snapshot come together.
    pub(crate) fn wish(self) -> Result<ImageWish, Fault> {
        self.check_environment()?;
        let script = self.script();
        let source_directory = self.folder();
        let snapshot = self.snapshot()?;
        let entry = match (script, snapshot) {
            (None, None) => None,
            (Some(script), Some(snapshot)) => Some(Entry {
                script,
                source_directory,
                snapshot,
                environment: self.environment.unwrap_or_default(),
                runtime: self.runtime,
                debug_port: self.debug_port.filter(|port| *port != NO_DEBUGGER),
            }),
            (Some(script), None) => {
                return Err(Fault::bad_request(format!(
                    "`environmentImageRequest.driverProgram` is `{script:.80}`, but `assets` holds no `snapshot` to find it in"
                )));
            }
            (None, Some(_)) => {
                return Err(Fault::bad_request(
                    "`environmentImageRequest.assets` holds a `snapshot`, but `driverProgram` names no entry script in it",
                ));
            }
        };
        Ok(ImageWish {
            entry,
            models: self.model_ids,
            reference: self.environment_reference,
        })
    }

    /// Reads the request as a change of the entry script that there is now: what
    /// it does not say stays.
    pub(crate) fn change(self, now: Option<&Entry>) -> Result<ImageWish, Fault> {
        let (script, folder) = (self.script(), self.folder());
        let snapshot = self.snapshot()?;
        let is_about_script = script.is_some() || folder.is_some() || snapshot.is_some();
        let is_about_environment = self.environment.is_some()
            || self.environment_reference.is_some()
            || self.runtime.is_some()
            || self.debug_port.is_some();
        let entry = match now {
            None if is_about_script => return self.wish(),
            None if is_about_environment => {
                return Err(Fault::bad_request(
                    "the service has no entry script that would need an environment, a runtime or a debugger; give `driverProgram` and `assets` too",
                ));
            }
            Some(now) if is_about_script || is_about_environment => {
                self.check_environment()?;
                Some(Entry {
                    // A whole new script says by its silence that it has no folder.
                    source_directory: match (&script, &snapshot) {
                        (Some(_), Some(_)) => folder,
                        _ => folder.or_else(|| now.source_directory.clone()),
                    },
                    script: script.unwrap_or_else(|| now.script.clone()),
                    snapshot: snapshot.unwrap_or_else(|| now.snapshot.clone()),
                    environment: self.environment.unwrap_or_else(|| now.environment.clone()),
                    runtime: self.runtime.or(now.runtime),
                    debug_port: self
                        .debug_port
                        .or(now.debug_port)
                        .filter(|port| *port != NO_DEBUGGER),
                })
            }
            _ => None,
        };
        Ok(ImageWish {
            entry,
            models: self.model_ids,
            reference: self.environment_reference,
        })
    }

    fn check_environment(&self) -> Result<(), Fault> {
        if self.environment.is_some() && self.environment_reference.is_some() {
            return Err(Fault::bad_request(
                "`environmentImageRequest` holds both `environment` and `environmentReference`; give one",
            ));
        }
        Ok(())
    }

    fn script(&self) -> Option<String> {
        self.said(self.driver_program.as_ref(), "AZUREML_ENTRY_SCRIPT")
    }

    fn folder(&self) -> Option<String> {
        self.said(self.source_directory.as_ref(), "AZUREML_SOURCE_DIRECTORY")
    }

    /// A field, else the environment variable that the original puts it into.
    fn said(&self, field: Option<&String>, variable: &str) -> Option<String> {
        let variables = self
            .environment
            .as_ref()
            .map(|environment| &environment.environment_variables);
        field
            .or_else(|| variables?.get(variable))
            .filter(|text| !text.is_empty())
            .cloned()
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, Fault> {
        let assets = self.assets.iter().flatten();
        let mut snapshots = assets.filter(|asset| asset.id == SNAPSHOT_ASSET);
        snapshots.next().map(Asset::snapshot).transpose()
    }
}

impl Asset {
    fn snapshot(&self) -> Result<Snapshot, Fault> {
        let digest: Digest = self
            .url
            .strip_prefix(BLOB_URL)
            .and_then(|digest| digest.parse().ok())
            .ok_or_else(|| {
                Fault::bad_request(format!(
                    "the url of asset `{SNAPSHOT_ASSET}` is `{:.80}`: expected `{BLOB_URL}<digest>`, where `POST …/blobs` gave the digest",
                    self.url
                ))
            })?;
        Ok(Snapshot {
            digest,
            files: self.files.unwrap_or(0),
            bytes: self.bytes.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests;
