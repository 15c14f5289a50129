//! JSON Patch (RFC 6902) on a service, with the paths that the original's SDK
//! sends. A path that is not known is refused by name: a change that has no
//! effect must not look like one that was done.

use std::collections::BTreeMap;

use lusk_control::UpdateService;
use lusk_domain::{EnvironmentRef, ServiceSpec, SettingsChange};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    fault::Fault,
    input::{Json, part},
    wire::{ImageRequest, Wished},
};

/// Most operations of one patch; the SDK sends at most one for each setting and
/// property.
const MAX_OPERATIONS: usize = 1_000;

/// Settings at the top of a service.
const PLAIN: [&str; 8] = [
    "numReplicas",
    "authEnabled",
    "aadAuthEnabled",
    "appInsightsEnabled",
    "scoringTimeoutMs",
    "maxConcurrentRequestsPerContainer",
    "maxQueueWaitMs",
    "namespace",
];

/// Settings one level down, patched whole or one by one.
const NESTED: [(&str, &[&str]); 3] = [
    (
        "autoScaler",
        &[
            "autoscaleEnabled",
            "minReplicas",
            "maxReplicas",
            "refreshPeriodInSeconds",
            "targetUtilization",
        ],
    ),
    (
        "containerResourceRequirements",
        &["cpu", "cpuLimit", "memoryInGB", "memoryInGBLimit", "gpu"],
    ),
    (
        "livenessProbeRequirements",
        &[
            "periodSeconds",
            "initialDelaySeconds",
            "timeoutSeconds",
            "successThreshold",
            "failureThreshold",
        ],
    ),
];

#[derive(Debug, Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

/// Reads a patch. `now` is the service's specification: a patch of one tag becomes
/// a new whole set of tags, and one of a part of the entry script a whole script,
/// which is what an update takes.
pub(crate) fn update_service(
    body: &Json,
    now: &ServiceSpec,
) -> Result<Wished<UpdateService>, Fault> {
    let operations: Vec<Operation> = body.parse_list()?;
    if operations.is_empty() {
        return Err(Fault::bad_request("the patch is empty: nothing to change"));
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(Fault::bad_request(format!(
            "the patch holds {} operations, at most {MAX_OPERATIONS} are taken",
            operations.len()
        )));
    }
    let mut patch = Patch::default();
    for (index, operation) in operations.into_iter().enumerate() {
        patch
            .apply(operation, now)
            .map_err(|fault| in_operation(index, fault))?;
    }
    patch.finish()
}

fn in_operation(index: usize, mut fault: Fault) -> Fault {
    fault.message = format!("operation {index} of the patch: {}", fault.message);
    fault
}

/// What the operations so far add up to.
#[derive(Default)]
struct Patch {
    update: UpdateService,
    reference: Option<EnvironmentRef>,
    settings: Map<String, Value>,
}

impl Patch {
    fn apply(&mut self, operation: Operation, now: &ServiceSpec) -> Result<(), Fault> {
        let Operation { op, path, value } = operation;
        let place = pointer(&path)?;
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        match (op.as_str(), place.as_slice()) {
            ("remove", ["kvTags" | "tags", key]) => {
                self.tags(&now.tags).remove(*key);
            }
            ("remove", _) => {
                return Err(Fault::bad_request(format!(
                    "`remove {path}`: only a tag can be removed, with the path /kvTags/<key>"
                )));
            }
            ("add" | "replace", place) => self.set(place, &path, &value, now)?,
            (other, _) => {
                return Err(Fault::bad_request(format!(
                    "`{other:.20} {path}`: expected add, replace or remove"
                )));
            }
        }
        Ok(())
    }

    fn set(
        &mut self,
        place: &[&str],
        path: &str,
        value: &Value,
        now: &ServiceSpec,
    ) -> Result<(), Fault> {
        match place {
            ["description"] => self.update.description = Some(part(path, value)?),
            ["kvTags" | "tags"] => self.update.tags = Some(part(path, value)?),
            ["kvTags" | "tags", key] => {
                let text = part(path, value)?;
                self.tags(&now.tags).insert((*key).to_owned(), text);
            }
            ["properties"] => {
                let more: BTreeMap<_, _> = part(path, value)?;
                self.update.add_properties.extend(more);
            }
            ["properties", key] => {
                let text = part(path, value)?;
                self.update.add_properties.insert((*key).to_owned(), text);
            }
            ["modelIds"] | ["environmentImageRequest", "modelIds"] => {
                self.update.models = Some(part(path, value)?);
            }
            ["remoteReplicas"] => self.update.remote = Some(part(path, value)?),
            ["environmentImageRequest"] => {
                let image = part::<ImageRequest>(path, value)?.change(now.entry.as_ref())?;
                self.update.entry = image.entry;
                self.update.models = image.models;
                self.reference = image.reference;
            }
            // Taken and without effect, as in a create request.
            ["storageInitEnabled"] | ["dataCollection", "eventHubEnabled"] => {}
            ["dataCollection", "storageEnabled"] => self.put(&["storageEnabled"], value),
            ["dataCollection"] => {
                if let Some(wish) = value.get("storageEnabled") {
                    self.put(&["storageEnabled"], wish);
                }
            }
            _ if is_setting(place) => self.put(place, value),
            _ => {
                return Err(Fault::bad_request(format!(
                    "`{path}` is not a path of a service that can be changed"
                )));
            }
        }
        Ok(())
    }

    fn tags(&mut self, now: &BTreeMap<String, String>) -> &mut BTreeMap<String, String> {
        self.update.tags.get_or_insert_with(|| now.clone())
    }

    fn put(&mut self, place: &[&str], value: &Value) {
        match place {
            [field] => {
                self.settings.insert((*field).to_owned(), value.clone());
            }
            [group, field] => {
                let group = self.settings.entry(*group).or_insert_with(|| json!({}));
                if !group.is_object() {
                    *group = json!({});
                }
                group[*field] = value.clone();
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Result<Wished<UpdateService>, Fault> {
        let settings = Value::Object(self.settings);
        self.update.settings = part::<SettingsChange>("", &settings)?;
        Ok(Wished {
            wish: self.update,
            reference: self.reference,
        })
    }
}

fn is_setting(place: &[&str]) -> bool {
    match place {
        [field] => PLAIN.contains(field) || NESTED.iter().any(|(group, _)| group == field),
        [group, field] => NESTED
            .iter()
            .any(|(name, fields)| name == group && fields.contains(field)),
        _ => false,
    }
}

/// The parts of a JSON Pointer (RFC 6901).
fn pointer(path: &str) -> Result<Vec<String>, Fault> {
    let rest = path.strip_prefix('/').ok_or_else(|| {
        Fault::bad_request(format!("path `{path:.80}` does not begin with a slash"))
    })?;
    Ok(rest
        .split('/')
        .map(|word| word.replace("~1", "/").replace("~0", "~"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn patch(operations: &Value) -> Result<UpdateService, Fault> {
        let body = Json::from(Bytes::from(operations.to_string()));
        update_service(&body, &spec()).map(|wished| wished.wish)
    }

    /// A local service whose script waits for a debugger.
    fn spec() -> ServiceSpec {
        serde_json::from_value(json!({
            "name": "digits", "compute": {"LOCAL": {"port": null}}, "tags": {"old": "1"},
            "properties": {}, "models": ["m:1"], "settings": lusk_domain::Settings::default(),
            "entry": {
                "script": "score.py", "sourceDirectory": "src",
                "snapshot": {"digest": lusk_domain::Digest::of(b"old"), "files": 2, "bytes": 9},
                "environment": {"name": "sk"}, "runtime": "process", "debugPort": 5678,
            },
        }))
        .unwrap()
    }

    fn replace(path: &str, value: Value) -> Result<UpdateService, Fault> {
        patch(&json!([{"op": "replace", "path": path, "value": value}]))
    }

    #[test]
    fn every_setting_that_the_sdk_patches_arrives() {
        let update = patch(&json!([
            {"op": "replace", "path": "/numReplicas", "value": 3},
            {"op": "replace", "path": "/autoScaler/autoscaleEnabled", "value": false},
            {"op": "replace", "path": "/autoScaler/maxReplicas", "value": 7},
            {"op": "replace", "path": "/containerResourceRequirements/memoryInGB", "value": 0.7},
            {"op": "replace", "path": "/livenessProbeRequirements/timeoutSeconds", "value": 4},
            {"op": "replace", "path": "/dataCollection/storageEnabled", "value": true},
            {"op": "replace", "path": "/authEnabled", "value": false},
            {"op": "replace", "path": "/aadAuthEnabled", "value": false},
            {"op": "replace", "path": "/description", "value": "new"},
        ]))
        .unwrap();
        let settings = update.settings;
        assert_eq!(settings.num_replicas, Some(3));
        let scaler = settings.auto_scaler.unwrap();
        assert_eq!(
            (scaler.autoscale_enabled, scaler.max_replicas),
            (Some(false), Some(7))
        );
        assert_eq!(
            settings
                .container_resource_requirements
                .unwrap()
                .memory_in_gb,
            Some(0.7)
        );
        assert_eq!(
            settings
                .liveness_probe_requirements
                .unwrap()
                .timeout_seconds,
            Some(4)
        );
        assert_eq!(settings.storage_enabled, Some(true));
        assert_eq!(
            (settings.auth_enabled, settings.token_auth_enabled),
            (Some(false), Some(false))
        );
        assert_eq!(update.description.as_deref(), Some("new"));
        assert_eq!(update.tags, None);
    }

    #[test]
    fn tags_are_replaced_whole_or_one_by_one() {
        let whole = replace("/kvTags", json!({"n": "1"})).unwrap();
        assert_eq!(whole.tags.unwrap().len(), 1);
        let one = patch(&json!([{"op": "add", "path": "/kvTags/a~1b", "value": "2"}])).unwrap();
        let tags = one.tags.unwrap();
        assert_eq!((tags["old"].as_str(), tags["a/b"].as_str()), ("1", "2"));
        let gone = patch(&json!([{"op": "remove", "path": "/tags/old"}])).unwrap();
        assert_eq!(gone.tags, Some(BTreeMap::new()));
    }

    #[test]
    fn properties_are_added() {
        let update = patch(&json!([
            {"op": "add", "path": "/properties/a", "value": "1"},
            {"op": "add", "path": "/properties", "value": {"b": "2"}},
        ]))
        .unwrap();
        assert_eq!(update.add_properties.len(), 2);
    }

    #[test]
    fn models_come_alone_or_with_a_script() {
        let alone = replace("/modelIds", json!(["m:1", "m:2"])).unwrap();
        assert_eq!(alone.models.unwrap().len(), 2);
        let request = json!({"driverProgram": "s.py", "assets": [
            {"id": "snapshot", "url": format!("lusk://blobs/{}", lusk_domain::Digest::of(b""))}]});
        let with = replace("/environmentImageRequest", request).unwrap();
        assert_eq!(with.entry.unwrap().script, "s.py");
        assert_eq!(with.models, None);
    }

    #[test]
    fn what_is_not_said_of_a_script_stays() {
        let change = |request: Value| {
            let update = replace("/environmentImageRequest", request).unwrap();
            (update.entry.unwrap(), spec().entry.unwrap())
        };
        let new = lusk_domain::Digest::of(b"new");
        let asset = json!({"id": "snapshot", "url": format!("lusk://blobs/{new}")});
        let (entry, old) = change(json!({"driverProgram": "other.py", "assets": [asset]}));
        assert_eq!(
            (entry.script.as_str(), entry.snapshot.digest),
            ("other.py", new)
        );
        // A whole new script says by its silence that it has no folder.
        assert_eq!(entry.source_directory, None);
        assert_eq!(entry.environment, old.environment);
        assert_eq!(
            (entry.runtime, entry.debug_port),
            (old.runtime, old.debug_port)
        );

        let (entry, old) = change(json!({"environment": {"name": "torch"}}));
        assert_eq!(entry.environment.name.as_deref(), Some("torch"));
        assert_eq!(
            (&entry.script, &entry.snapshot),
            (&old.script, &old.snapshot)
        );
        assert_eq!(entry.source_directory, old.source_directory);

        let (entry, _) = change(json!({"debugPort": 0}));
        assert_eq!(entry.debug_port, None);
        let models = replace("/environmentImageRequest", json!({"modelIds": ["m:2"]})).unwrap();
        assert_eq!(models.entry, None);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let cases = [
            (json!([]), "nothing to change"),
            (
                json!([{"op": "replace", "path": "/name", "value": "x"}]),
                "operation 0 of the patch: `/name` is not a path",
            ),
            (
                json!([{"op": "replace", "path": "/autoScaler/size", "value": 1}]),
                "`/autoScaler/size`",
            ),
            (
                json!([{"op": "replace", "path": "kvTags", "value": {}}]),
                "does not begin with a slash",
            ),
            (
                json!([{"op": "move", "path": "/kvTags", "from": "/x"}]),
                "expected add, replace or remove",
            ),
            (
                json!([{"op": "remove", "path": "/numReplicas"}]),
                "only a tag can be removed",
            ),
            (
                json!([{"op": "replace", "path": "/numReplicas", "value": "x"}]),
                "numReplicas",
            ),
            (
                json!([{"op": "replace", "path": "/kvTags/a", "value": 1}]),
                "`/kvTags/a`: invalid type: integer",
            ),
            (json!({"op": "replace"}), "expected a sequence"),
        ];
        for (operations, expected) in cases {
            let refused = patch(&operations).unwrap_err();
            assert!(
                refused.message.contains(expected),
                "{} / {expected}",
                refused.message
            );
        }
    }
}
