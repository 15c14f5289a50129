use lusk_domain::{ComputeType, SettingsChange};

use super::*;
use crate::{Scalar, tests::report};

fn read(text: &str) -> Result<Checked<Deployment>, ManifestError> {
    deployment(Some(&Source::new("deploymentconfig.json", text)), &[])
}

fn value(text: &str) -> Deployment {
    let checked = read(text).unwrap();
    assert_eq!(report(&Ok(checked.clone())), "");
    checked.value
}

const EVERY_AKS_KEY: &str = r#"{
  "computeType": "AKS",
  "computeTargetName": "edge1",
  "autoScaler": {
    "autoscaleEnabled": true, "minReplicas": 2, "maxReplicas": 4,
    "refreshPeriodInSeconds": 3, "targetUtilization": 50
  },
  "dataCollection": { "storageEnabled": true },
  "authEnabled": false,
  "tokenAuthEnabled": true,
  "containerResourceRequirements": {
    "cpu": 0.5, "memoryInGB": 1, "cpuLimit": 1.5, "memoryInGBLimit": 2.0
  },
  "gpuCores": 1,
  "appInsightsEnabled": true,
  "scoringTimeoutMs": 10000,
  "maxConcurrentRequestsPerContainer": 2,
  "maxQueueWaitMs": 700,
  "livenessProbeRequirements": {
    "periodSeconds": 1, "initialDelaySeconds": 2, "timeoutSeconds": 3,
    "successThreshold": 4, "failureThreshold": 5
  },
  "namespace": "team-a",
  "keys": { "primaryKey": "p", "secondaryKey": "s" }
}"#;

#[test]
fn every_aks_key_is_read() {
    let deployment = value(EVERY_AKS_KEY);
    assert_eq!(deployment.compute, ComputeType::Aks);
    assert_eq!(deployment.compute_name.unwrap().as_str(), "edge1");
    assert_eq!(deployment.primary_key.unwrap().reveal(), "p");
    assert_eq!(deployment.secondary_key.unwrap().reveal(), "s");
    let expected: SettingsChange = serde_json::from_value(serde_json::json!({
        "autoScaler": {
            "autoscaleEnabled": true, "minReplicas": 2, "maxReplicas": 4,
            "refreshPeriodInSeconds": 3, "targetUtilization": 50
        },
        "containerResourceRequirements": {
            "cpu": 0.5, "memoryInGB": 1.0, "cpuLimit": 1.5, "memoryInGBLimit": 2.0
        },
        "gpuCores": 1,
        "livenessProbeRequirements": {
            "periodSeconds": 1, "initialDelaySeconds": 2, "timeoutSeconds": 3,
            "successThreshold": 4, "failureThreshold": 5
        },
        "authEnabled": false,
        "tokenAuthEnabled": true,
        "appInsightsEnabled": true,
        "storageEnabled": true,
        "scoringTimeoutMs": 10000,
        "maxConcurrentRequestsPerContainer": 2,
        "maxQueueWaitMs": 700,
        "namespace": "team-a"
    }))
    .unwrap();
    assert_eq!(deployment.settings, expected);
}

#[test]
fn the_smallest_files_are_valid() {
    assert_eq!(
        value(r#"{"computeType":"aks"}"#).settings,
        SettingsChange::default()
    );
    let fixed = value(r#"{"computeType":"aks","numReplicas":3}"#);
    assert_eq!(fixed.settings.num_replicas, Some(3));
    let local = value(r#"{"computeType":"Local","port":8890}"#);
    assert_eq!(local.compute, ComputeType::Local { port: Some(8890) });
    let free = value(r#"{"computeType":"local"}"#);
    assert_eq!(free.compute, ComputeType::Local { port: None });
}

#[test]
fn yaml_reads_like_json() {
    let text = "computeType: aks\nautoScaler: {autoscaleEnabled: yes, minReplicas: 2}\n\
                authEnabled: off\ncontainerResourceRequirements:\n  cpu: .5\n";
    let read = deployment(Some(&Source::new("d.yml", text)), &[]).unwrap();
    let settings = read.value.settings;
    assert_eq!(settings.auto_scaler.unwrap().autoscale_enabled, Some(true));
    assert_eq!(settings.auth_enabled, Some(false));
    assert_eq!(
        settings.container_resource_requirements.unwrap().cpu,
        Some(0.5)
    );
}

#[test]
fn all_violations_are_reported_together() {
    let text = r#"{
  "computeType": "aks",
  "numReplicas": "three",
  "autoScaler": {
    "minReplicas": 0,
    "maxReplicas": 2.5
  },
  "containerResourceRequirements": {
    "cpu": 2,
    "cpuLimit": 1,
    "memoryInGB": -1
  },
  "authEnabled": true,
  "tokenAuthEnabled": true,
  "scoringTimeoutMs": 400000,
  "maxQueueWaitMs": 99999999999,
  "namespace": "Team"
}"#;
    insta::assert_snapshot!(report(&read(text)), @"");
}

#[test]
fn rules_between_fields_are_those_of_the_original() {
    insta::assert_snapshot!(
        report(&read(r#"{"computeType":"aks","autoScaler":{"minReplicas":2}}"#)),
        @""
    );
    insta::assert_snapshot!(
        report(&read(r#"{"computeType":"aks","autoScaler":{"autoscaleEnabled":false}}"#)),
        @""
    );
    insta::assert_snapshot!(
        report(&read("{\"computeType\":\"aks\",\n\"autoScaler\":{\"autoscaleEnabled\":true},\n\"numReplicas\":2}")),
        @""
    );
}

#[test]
fn a_value_of_the_wrong_type_hides_no_other_complaint() {
    let text =
        r#"{"computeType":"aks","numReplicas":true,"autoScaler":{"autoscaleEnabled":false}}"#;
    insta::assert_snapshot!(report(&read(text)), @"");
    let text = r#"{"computeType":"aks","autoScaler":{"autoscaleEnabled":"yes","minReplicas":9,"maxReplicas":2}}"#;
    insta::assert_snapshot!(report(&read(text)), @"");
    let text = r#"{"computeType":"aks","autoScaler":[],"keys":1}"#;
    insta::assert_snapshot!(report(&read(text)), @"");
}

#[test]
fn unknown_keys_warn_with_the_nearest_name() {
    let text = r#"{
  "computeType": "aks",
  "autoScaler": {
    "autoscaleEnabled": true,
    "maxReplicas": 4,
    "minReplica": 2
  },
  "minReplicas": 1,
  "aadAuthEnabled": true,
  "containerResourceRequirements": { "gpu": 1, "memoryInGb": 2 },
  "colour": "blue"
}"#;
    insta::assert_snapshot!(report(&read(text)), @"");
}

#[test]
fn keys_without_effect_are_named_once() {
    insta::assert_snapshot!(
        report(&read(r#"{"computeType":"local","port":1,"cname":"x","authEnabled":true,"sslEnabled":false}"#)),
        @""
    );
    insta::assert_snapshot!(
        report(&read(r#"{"computeType":"aci","location":"westeurope","numReplicas":2}"#)),
        @""
    );
}

#[test]
fn aci_is_one_replica_without_keys() {
    let read = read(r#"{"computeType":"aci"}"#).unwrap().value;
    assert_eq!(read.compute, ComputeType::Aks);
    assert_eq!(read.settings.num_replicas, Some(1));
    assert_eq!(read.settings.auth_enabled, Some(false));
}

#[test]
fn compute_types_are_checked() {
    insta::assert_snapshot!(report(&read("{}")), @"");
    insta::assert_snapshot!(report(&read(r#"{"computeType":"ask"}"#)), @"");
    insta::assert_snapshot!(report(&read(r#"{"computeType":"AksEndpoint"}"#)), @"");
    insta::assert_snapshot!(report(&read(r#"{"computeType":"local","port":65536}"#)), @"");
}

#[test]
fn flags_take_the_place_of_keys() {
    let source = Source::new("d.json", r#"{"computeType":"aks","numReplicas":1}"#);
    let flags = [
        Override::new("numReplicas", "--num-replicas", Scalar::Number("4".into())),
        Override::new(
            "keys.primaryKey",
            "--primary-key",
            Scalar::Text("mine".into()),
        ),
        Override::new("authEnabled", "--auth-enabled", Scalar::Bool(false)),
    ];
    let read = deployment(Some(&source), &flags).unwrap().value;
    assert_eq!(read.settings.num_replicas, Some(4));
    assert_eq!(read.settings.auth_enabled, Some(false));
    assert_eq!(read.primary_key.unwrap().reveal(), "mine");
}

#[test]
fn flags_are_named_where_they_are_wrong() {
    let source = Source::new(
        "d.json",
        r#"{"computeType":"aks","containerResourceRequirements":{"cpu":1}}"#,
    );
    let flags = [
        Override::new(
            "containerResourceRequirements.cpuLimit",
            "--cpu-cores-limit",
            Scalar::Number("0.5".into()),
        ),
        Override::new("numReplicas", "--num-replicas", Scalar::Number("0".into())),
    ];
    insta::assert_snapshot!(report(&deployment(Some(&source), &flags)), @"");
}

#[test]
fn without_a_file_the_type_is_aks() {
    assert_eq!(
        deployment(None, &[]).unwrap().value.compute,
        ComputeType::Aks
    );
    let source = Source::new("d.json", r#"{"numReplicas":2}"#);
    let update = deployment_update(Some(&source), &[]).unwrap().value;
    assert_eq!(update.settings.num_replicas, Some(2));
}

#[test]
fn a_lone_secondary_key_is_not_used() {
    let text = r#"{"computeType":"aks","keys":{"secondaryKey":"s"}}"#;
    insta::assert_snapshot!(report(&read(text)), @"");
    assert_eq!(read(text).unwrap().value.secondary_key, None);
}
