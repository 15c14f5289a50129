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
