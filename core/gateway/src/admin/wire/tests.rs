use super::*;
use bytes::Bytes;
use serde_json::{Value, json};

fn body(value: &Value) -> Json {
    Json::from(Bytes::from(value.to_string()))
}

fn digest() -> Digest {
    Digest::of(b"snapshot")
}

fn create(tree: &Value) -> Result<CreateService, Fault> {
    create_service(&body(tree)).map(|wished| wished.wish)
}

/// The body that the original's SDK sends, every key of it.
fn sdk_body() -> Value {
    json!({
        "name": "digits", "description": "d", "kvTags": {"a": "b"}, "properties": {"p": "q"},
        "keys": {"primaryKey": "one", "secondaryKey": "two"},
        "computeType": "AKS", "computeName": "edge1", "location": null,
        "environmentImageRequest": {
            "driverProgram": "score.py", "sourceDirectory": "src",
            "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{}", digest()),
                        "mimeType": "application/x-tar", "unpack": true, "files": 3, "bytes": 99}],
            "modelIds": ["digits:1"],
            "environment": {"name": "e", "environmentVariables": {"A": "1"}},
        },
        "numReplicas": 2,
        "dataCollection": {"storageEnabled": true, "eventHubEnabled": false},
        "appInsightsEnabled": true,
        "autoScaler": {"autoscaleEnabled": false, "minReplicas": null, "maxReplicas": null,
                       "targetUtilization": null, "refreshPeriodInSeconds": null},
        "containerResourceRequirements": {"cpu": 0.5, "cpuLimit": null, "memoryInGB": 1, "memoryInGBLimit": null, "gpu": null},
        "maxConcurrentRequestsPerContainer": 4, "maxQueueWaitMs": 700, "namespace": "ns",
        "scoringTimeoutMs": 9000, "authEnabled": true, "aadAuthEnabled": false, "storageInitEnabled": true,
        "livenessProbeRequirements": {"periodSeconds": 5, "initialDelaySeconds": null,
            "timeoutSeconds": null, "successThreshold": null, "failureThreshold": null},
        "overwrite": true,
    })
}

#[test]
fn every_key_of_the_original_reaches_the_wish() {
    let wish = create(&sdk_body()).unwrap();
    assert_eq!(wish.name.as_str(), "digits");
    assert_eq!(wish.compute, ComputeType::Aks);
    assert_eq!(wish.compute_name.unwrap().as_str(), "edge1");
    assert_eq!(wish.tags["a"], "b");
    assert_eq!(wish.properties["p"], "q");
    assert_eq!(wish.models[0].to_string(), "digits:1");
    assert!(wish.overwrite);
    assert_eq!(wish.primary_key, Some(Secret::new("one")));
    assert_eq!(wish.secondary_key, Some(Secret::new("two")));
    let entry = wish.entry.unwrap();
    assert_eq!(entry.script, "score.py");
    assert_eq!(entry.source_directory.as_deref(), Some("src"));
    assert_eq!(
        entry.snapshot,
        Snapshot {
            digest: digest(),
            files: 3,
            bytes: 99
        }
    );
    let settings = wish.settings;
    assert_eq!(settings.num_replicas, Some(2));
    assert_eq!(settings.storage_enabled, Some(true));
    assert_eq!(settings.app_insights_enabled, Some(true));
    assert_eq!(settings.auto_scaler.unwrap().autoscale_enabled, Some(false));
    let resources = settings.container_resource_requirements.unwrap();
    assert_eq!(
        (resources.cpu, resources.memory_in_gb),
        (Some(0.5), Some(1.0))
    );
    assert_eq!(settings.max_concurrent_requests_per_container, Some(4));
    assert_eq!(settings.max_queue_wait_ms, Some(700));
    assert_eq!(settings.scoring_timeout_ms, Some(9000));
    assert_eq!(settings.auth_enabled, Some(true));
    assert_eq!(settings.token_auth_enabled, Some(false));
    assert_eq!(
        settings.liveness_probe_requirements.unwrap().period_seconds,
        Some(5)
    );
    assert_eq!(settings.namespace.unwrap().as_str(), "ns");
}

#[test]
fn models_alone_are_a_service_without_code() {
    let wish = create(&json!({
        "name": "plain", "computeType": "aks",
        "environmentImageRequest": {"modelIds": ["digits:2"]},
    }))
    .unwrap();
    assert_eq!(wish.entry, None);
    assert_eq!(wish.models.len(), 1);
    assert_eq!(wish.settings, SettingsChange::default());
}

#[test]
fn script_and_folder_are_found_in_the_variables_too() {
    let mut tree = sdk_body();
    let image = tree["environmentImageRequest"].as_object_mut().unwrap();
    image.remove("driverProgram");
    image.remove("sourceDirectory");
    image["environment"]["environmentVariables"] =
        json!({"AZUREML_ENTRY_SCRIPT": "main.py", "AZUREML_SOURCE_DIRECTORY": "top"});
    let entry = create(&tree).unwrap().entry.unwrap();
    assert_eq!(entry.script, "main.py");
    assert_eq!(entry.source_directory.as_deref(), Some("top"));
}

#[test]
fn a_local_service_has_a_port() {
    let local = |port: Value| create(&json!({"name": "abc", "computeType": "LOCAL", "port": port}));
    assert_eq!(
        local(json!(8890)).unwrap().compute,
        ComputeType::Local { port: Some(8890) }
    );
    assert_eq!(
        local(Value::Null).unwrap().compute,
        ComputeType::Local { port: None }
    );
    assert!(
        local(json!(0))
            .unwrap_err()
            .message
            .contains("expected 1 to 65535")
    );
    assert!(local(json!(70_000)).unwrap_err().message.contains("`port`"));
}

#[test]
fn a_refusal_names_the_field() {
    let cases = [
        (json!({"computeType": "AKS"}), "missing field `name`"),
        (
            json!({"name": "Digits", "computeType": "AKS"}),
            "`name`: `Digits` is not a service name",
        ),
        (
            json!({"name": "abc", "computeType": "ACI"}),
            "expected AKS, AKSENDPOINT or LOCAL",
        ),
        (
            json!({"name": "abc", "computeType": "AKS", "numReplicas": "x"}),
            "`numReplicas`",
        ),
        (
            json!({"name": "abc", "computeType": "AKS", "autoScaler": {"minReplicas": -1}}),
            "`autoScaler.minReplicas`",
        ),
        (
            json!({"name": "abc", "computeType": "AKS", "dataCollection": {"storageEnabled": 3}}),
            "`dataCollection.storageEnabled`",
        ),
        (
            json!({"name": "abc", "computeType": "AKS", "keys": {"secondaryKey": "x"}}),
            "without `keys.primaryKey`",
        ),
        (
            json!({"name": "abc", "computeType": "AKS", "environmentImageRequest": {"driverProgram": "score.py"}}),
            "holds no `snapshot`",
        ),
        (
            json!({"name": "abc", "computeType": "AKS", "environmentImageRequest":
                {"driverProgram": "score.py", "assets": [{"id": "snapshot", "url": "http://x/y"}]}}),
            "expected `lusk://blobs/<digest>`",
        ),
        (
            json!({"name": "abc", "computeType": "AKS", "environmentImageRequest": {"modelIds": ["digits"]}}),
            "`environmentImageRequest.modelIds[0]`: `digits` is not a model id",
        ),
        (
            json!({"name": "validate", "computeType": "AKS"}),
            "cannot name a service",
        ),
        (json!([]), "expected"),
    ];
    for (tree, expected) in cases {
        let refused = create(&tree).unwrap_err();
        assert_eq!(refused.status, http::StatusCode::BAD_REQUEST);
        assert!(
            refused.message.contains(expected),
            "{} / {expected}",
            refused.message
        );
    }
}

#[test]
fn a_key_is_generated_unless_a_value_is_given() {
    let wish = |tree: Value| regenerate_key(&body(&tree));
    assert_eq!(
        wish(json!({"keyType": "primary", "keyValue": null})).unwrap(),
        (KeyKind::Primary, None)
    );
    assert_eq!(
        wish(json!({"keyType": "Secondary", "keyValue": "k"})).unwrap(),
        (KeyKind::Secondary, Some(Secret::new("k")))
    );
    assert!(
        wish(json!({"keyType": "third"}))
            .unwrap_err()
            .message
            .contains("expected Primary or Secondary")
    );
}

#[test]
fn a_runtime_a_debugger_and_a_registered_environment_are_asked_for() {
    let mut tree = sdk_body();
    let image = &mut tree["environmentImageRequest"];
    image["runtime"] = json!("process");
    image["debugPort"] = json!(5678);
    image["environmentReference"] = json!({"name": "e"});
    let refused = create(&tree).unwrap_err();
    assert!(refused.message.contains("give one"), "{}", refused.message);
    let image = tree["environmentImageRequest"].as_object_mut().unwrap();
    image.remove("environment");
    let Wished { wish, reference } = create_service(&body(&tree)).unwrap();
    let entry = wish.entry.unwrap();
    assert_eq!(
        (entry.runtime, entry.debug_port),
        (Some(RuntimeKind::Process), Some(5678))
    );
    let reference = reference.unwrap();
    assert_eq!((reference.name.as_str(), reference.version), ("e", None));
}

#[test]
fn nobody_names_a_version_of_an_endpoint() {
    let mut tree = sdk_body();
    tree["name"] = json!("digits/blue");
    let fault = create(&tree).unwrap_err();
    assert!(format!("{fault:?}").contains("digits/blue"), "{fault:?}");
}
