use super::*;
use lusk_control::ServiceView;
use lusk_domain::{
    DeploymentStatus, Digest, FailureCode, KeyPair, ModelDraft, ModelFile, RegistryCredentials,
    RuntimeKind, Secret, ServiceRecord, ServiceState, Settings, Snapshot,
};
use uuid::Uuid;

use crate::admin::tests::options;

fn at() -> Timestamp {
    "2021-03-04T05:06:07.123456789Z".parse().unwrap()
}

fn view(compute: ComputeType) -> ServiceView {
    let mut environment = Environment::default();
    environment.docker.base_image_registry = Some(RegistryCredentials {
        address: Some("registry.example".to_owned()),
        username: Some("u".to_owned()),
        password: Some(Secret::new("hush")),
    });
    let spec = ServiceSpec {
        name: "digits".parse().unwrap(),
        compute,
        compute_name: None,
        description: None,
        tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        properties: BTreeMap::new(),
        models: vec!["digits:1".parse().unwrap()],
        entry: Some(Entry {
            script: "score.py".to_owned(),
            source_directory: None,
            snapshot: Snapshot {
                digest: Digest::of(b""),
                files: 1,
                bytes: 2,
            },
            environment,
            runtime: None,
            debug_port: None,
        }),
        remote: Vec::new(),
        settings: Settings::default(),
    };
    ServiceView {
        record: ServiceRecord {
            spec,
            healthy_spec: None,
            keys: KeyPair {
                primary_key: Secret::new("key one"),
                secondary_key: Secret::new("key two"),
            },
            state: ServiceState::Healthy,
            error: Some(Failure::new(FailureCode::Unschedulable, "no room")),
            created_time: at(),
            updated_time: at(),
            revision: 3,
            operation: Uuid::nil(),
        },
        state: ServiceState::Healthy,
        status: DeploymentStatus::default(),
        runtime: RuntimeKind::Python,
        local_address: None,
        image: None,
        image_digest: None,
    }
}

fn models() -> Models {
    let id: ModelId = "digits:1".parse().unwrap();
    let draft = ModelDraft {
        name: id.name.clone(),
        files: vec![ModelFile {
            path: "m.onnx".to_owned(),
            digest: Digest::of(b""),
            size: 7,
        }],
        description: None,
        tags: BTreeMap::new(),
        properties: BTreeMap::new(),
        framework: None,
        framework_version: None,
        resource_requirements: lusk_domain::ModelRequirements::default(),
        sample_input_data: None,
        sample_output_data: None,
        experiment_name: None,
        run_id: None,
    };
    BTreeMap::from([(
        id.clone(),
        Model {
            id,
            created_time: at(),
            draft,
        },
    )])
}

/// What the original's SDK reads; it raises where a key is missing.
const REQUIRED: [&str; 19] = [
    "computeType",
    "createdTime",
    "description",
    "kvTags",
    "name",
    "properties",
    "appInsightsEnabled",
    "authEnabled",
    "autoScaler",
    "computeName",
    "containerResourceRequirements",
    "dataCollection",
    "maxConcurrentRequestsPerContainer",
    "maxQueueWaitMs",
    "numReplicas",
    "scoringTimeoutMs",
    "scoringUri",
    "livenessProbeRequirements",
    "aadAuthEnabled",
];

/// What its `serialize()` gives, but for `imageDetails`, which it takes for an image of
/// its own wherever the key is.
const SERIALIZED: [&str; 32] = [
    "name",
    "description",
    "tags",
    "properties",
    "state",
    "createdTime",
    "updatedTime",
    "error",
    "computeType",
    "workspaceName",
    "imageId",
    "imageDigest",
    "scoringUri",
    "createdBy",
    "appInsightsEnabled",
    "authEnabled",
    "autoScaler",
    "computeName",
    "containerResourceRequirements",
    "dataCollection",
    "maxConcurrentRequestsPerContainer",
    "maxQueueWaitMs",
    "livenessProbeRequirements",
    "numReplicas",
    "deploymentStatus",
    "scoringTimeoutMs",
    "aadAuthEnabled",
    "environmentDetails",
    "modelDetails",
    "isDefault",
    "trafficPercentile",
    "versionType",
];

#[test]
fn every_key_of_the_original_is_there() {
    for compute in [ComputeType::Aks, ComputeType::Local { port: None }] {
        let shown = service(&view(compute), &models(), &options());
        for key in REQUIRED.iter().chain(&SERIALIZED) {
            assert!(shown.get(key).is_some(), "{key}");
        }
        assert_eq!(shown.get("imageDetails"), None);
        for (group, keys) in [
            (
                "autoScaler",
                &[
                    "autoscaleEnabled",
                    "minReplicas",
                    "maxReplicas",
                    "refreshPeriodInSeconds",
                    "targetUtilization",
                ][..],
            ),
            (
                "containerResourceRequirements",
                &["cpu", "cpuLimit", "memoryInGB", "memoryInGBLimit", "gpu"],
            ),
            ("dataCollection", &["eventHubEnabled", "storageEnabled"]),
            (
                "deploymentStatus",
                &[
                    "desiredReplicas",
                    "updatedReplicas",
                    "availableReplicas",
                    "error",
                ],
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
        ] {
            for key in keys {
                assert!(shown[group].get(key).is_some(), "{group}.{key}");
            }
        }
    }
}

#[test]
fn values_have_the_types_of_the_original() {
    let shown = service(&view(ComputeType::Aks), &models(), &options());
    assert_eq!(shown["computeType"], "AKS");
    assert_eq!(shown["state"], "Healthy");
    assert_eq!(shown["createdTime"], "2021-03-04T05:06:07.123456Z");
    assert_eq!(
        shown["scoringUri"],
        "http://127.0.0.1:8080/api/v1/service/digits/score"
    );
    assert_eq!(
        shown["swaggerUri"],
        "http://127.0.0.1:8080/api/v1/service/digits/swagger.json"
    );
    assert_eq!(shown["authEnabled"], true);
    assert_eq!(shown["aadAuthEnabled"], false);
    assert_eq!(shown["error"]["statusCode"], 400);
    assert_eq!(shown["error"]["code"], "Unschedulable");
    assert_eq!(shown["workspaceName"], "local");
    assert_eq!(shown["modelDetails"][0]["id"], "digits:1");
    assert_eq!(shown["modelDetails"][0]["url"], "aml://asset/digits:1");
    assert_eq!(
        shown["environmentDetails"]["python"]["interpreterPath"],
        "python"
    );
    assert_eq!(shown["runtime"], "python");
}

#[test]
fn a_local_service_is_reached_on_its_own_port() {
    let mut local = view(ComputeType::Local { port: Some(8890) });
    let shown = service(&local, &models(), &options());
    assert_eq!(
        (&shown["scoringUri"], &shown["port"]),
        (&Value::Null, &json!(8890))
    );
    local.local_address = Some("127.0.0.1:8891".parse().unwrap());
    let shown = service(&local, &models(), &options());
    assert_eq!(shown["scoringUri"], "http://127.0.0.1:8891/score");
    assert_eq!(shown["localAddress"], "127.0.0.1:8891");
    assert_eq!(shown["port"], 8891);
}

#[test]
fn no_secret_is_shown() {
    let shown = service(&view(ComputeType::Aks), &models(), &options()).to_string();
    assert!(!shown.contains("hush") && !shown.contains("key one") && !shown.contains("key two"));
}
