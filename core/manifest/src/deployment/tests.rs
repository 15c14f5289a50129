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
    "minReplicas": -1,
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
    insta::assert_snapshot!(report(&read(text)), @r#"
    error: deploymentconfig.json line 5: `autoScaler.minReplicas`: -1 is below the smallest value, 0
    error: deploymentconfig.json line 6: `autoScaler.maxReplicas`: expected a whole number, found the number 2.5
    error: deploymentconfig.json line 3: `numReplicas`: expected a whole number, found the text "three"
    error: deploymentconfig.json line 16: `maxQueueWaitMs`: the number 99999999999 is over the largest value, 4294967295
    error: deploymentconfig.json line 17: `namespace`: `Team` is not a namespace: 1 to 63 characters of a-z, 0-9 and -, no dash first or last
    error: deploymentconfig.json line 11: `containerResourceRequirements.memoryInGB`: -1 is not a number over 0
    error: deploymentconfig.json line 10: `containerResourceRequirements.cpuLimit`: 1 is below `cpu`, which is 2
    error: deploymentconfig.json line 14: `tokenAuthEnabled`: key and token auth cannot both be on; leave out one of `authEnabled` and `tokenAuthEnabled`
    error: deploymentconfig.json line 15: `scoringTimeoutMs`: 400000 ms is over the limit of 300000 ms
    "#);
}

#[test]
fn rules_between_fields_are_those_of_the_original() {
    insta::assert_snapshot!(
        report(&read(r#"{"computeType":"aks","autoScaler":{"minReplicas":2}}"#)),
        @r#"error: deploymentconfig.json line 1: `autoScaler.minReplicas`: given without enabling autoscaling; add `"autoscaleEnabled": true`"#
    );
    insta::assert_snapshot!(
        report(&read(r#"{"computeType":"aks","autoScaler":{"autoscaleEnabled":false}}"#)),
        @"error: deploymentconfig.json line 1: `autoScaler.autoscaleEnabled`: autoscaling is off, so `numReplicas` must be given"
    );
    insta::assert_snapshot!(
        report(&read("{\"computeType\":\"aks\",\n\"autoScaler\":{\"autoscaleEnabled\":true},\n\"numReplicas\":2}")),
        @"error: deploymentconfig.json line 3: `numReplicas`: 2 fixed replicas are given although autoscaling is on; leave out one of the two"
    );
}

#[test]
fn a_value_of_the_wrong_type_hides_no_other_complaint() {
    let text =
        r#"{"computeType":"aks","numReplicas":true,"autoScaler":{"autoscaleEnabled":false}}"#;
    insta::assert_snapshot!(report(&read(text)), @"error: deploymentconfig.json line 1: `numReplicas`: expected a whole number, found `true`");
    let text = r#"{"computeType":"aks","autoScaler":{"autoscaleEnabled":"yes","minReplicas":9,"maxReplicas":2}}"#;
    insta::assert_snapshot!(report(&read(text)), @r#"
    error: deploymentconfig.json line 1: `autoScaler.autoscaleEnabled`: expected true or false, found the text "yes"
    error: deploymentconfig.json line 1: `autoScaler.minReplicas`: 9 is over `autoScaler.maxReplicas`, which is 2
    "#);
    let text = r#"{"computeType":"aks","autoScaler":[],"keys":1}"#;
    insta::assert_snapshot!(report(&read(text)), @r"
    error: deploymentconfig.json line 1: `autoScaler`: expected a mapping, found a list
    error: deploymentconfig.json line 1: `keys`: expected a mapping, found the number 1
    ");
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
    insta::assert_snapshot!(report(&read(text)), @r"
    warning: deploymentconfig.json line 6: unknown key `autoScaler.minReplica`, ignored as Azure does
       help: did you mean `minReplicas`?
    warning: deploymentconfig.json line 8: unknown key `minReplicas`, ignored as Azure does
       help: did you mean `autoScaler.minReplicas`?
    warning: deploymentconfig.json line 9: unknown key `aadAuthEnabled`, ignored as Azure does
       help: did you mean `tokenAuthEnabled`?
    warning: deploymentconfig.json line 10: unknown key `containerResourceRequirements.gpu`, ignored as Azure does
       help: did you mean `gpuCores`, at the top of the file?
    warning: deploymentconfig.json line 10: unknown key `containerResourceRequirements.memoryInGb`, ignored as Azure does
       help: did you mean `memoryInGB`?
    warning: deploymentconfig.json line 11: unknown key `colour`, ignored as Azure does
    ");
}

#[test]
fn keys_without_effect_are_named_once() {
    insta::assert_snapshot!(
        report(&read(r#"{"computeType":"local","port":1,"cname":"x","authEnabled":true,"sslEnabled":false}"#)),
        @"warning: deploymentconfig.json: accepted without effect here: `cname`, `authEnabled`"
    );
    insta::assert_snapshot!(
        report(&read(r#"{"computeType":"aci","location":"westeurope","numReplicas":2}"#)),
        @r"
    warning: deploymentconfig.json line 1: computeType `aci` is served as one replica behind the router, without keys unless `authEnabled` is true
    warning: deploymentconfig.json: accepted without effect here: `location`, `numReplicas`
    "
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
    insta::assert_snapshot!(report(&read("{}")), @r#"
    error: deploymentconfig.json line 1: `computeType` is missing
     help: add `"computeType": "aks"` (with keys), `"aksendpoint"` (with versions) or `"local"` (a port for debugging)
    "#);
    insta::assert_snapshot!(report(&read(r#"{"computeType":"ask"}"#)), @r"
    error: deploymentconfig.json line 1: unknown compute type `ask`: expected aks, aci, aksendpoint or local
     help: did you mean `aks`?
    ");
    insta::assert_snapshot!(report(&read(r#"{"computeType":"local","port":65536}"#)), @"error: deploymentconfig.json line 1: `port`: 65536 is over the largest port, 65535");
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
    insta::assert_snapshot!(report(&deployment(Some(&source), &flags)), @r"
    error: --num-replicas: `numReplicas`: 0 is below the smallest value, 1
    error: --cpu-cores-limit: `containerResourceRequirements.cpuLimit`: 0.5 is below `cpu`, which is 1
    ");
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
    insta::assert_snapshot!(report(&read(text)), @"warning: deploymentconfig.json line 1: `keys.secondaryKey` is ignored without `keys.primaryKey`, as Azure does");
    assert_eq!(read(text).unwrap().value.secondary_key, None);
}

#[test]
fn outside_replicas_are_read() {
    let deployment =
        value(r#"{"computeType": "aks", "remoteReplicas": ["http://A:80/", "https://b:8443/x"]}"#);
    let urls: Vec<_> = deployment.remote.unwrap();
    let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["http://a", "https://b:8443/x"]);
    assert_eq!(value(r#"{"computeType": "aks"}"#).remote, None);
    let none = value(r#"{"computeType": "local", "remoteReplicas": []}"#).remote;
    assert_eq!(none, Some(Vec::new()));
}

#[test]
fn what_is_no_url_of_a_replica_is_told_by_its_place() {
    let broken = "{\"computeType\": \"aks\",\n\"remoteReplicas\": [\"http://a\",\n\"me@b\"]}";
    insta::assert_snapshot!(report(&read(broken)), @"error: deploymentconfig.json line 3: `remoteReplicas[1]`: `…@b` is not the base URL of a replica: it must begin with http:// or https://");
}

#[test]
fn an_endpoint_has_a_version_with_a_share() {
    let text = r#"{"computeType":"AksEndpoint","versionName":"blue","trafficPercentile":20.25,
        "numReplicas":1,"authEnabled":false,"abortIf":"error_rate>1%","namespace":"team-a"}"#;
    let read = value(text);
    assert_eq!(read.compute, ComputeType::Aks);
    assert_eq!(read.settings.num_replicas, Some(1));
    assert_eq!(read.settings.auth_enabled, Some(false));
    assert_eq!(read.settings.namespace.unwrap().as_str(), "team-a");
    let version = read.version.unwrap();
    assert_eq!(version.name.unwrap().as_str(), "blue");
    assert_eq!(version.share.unwrap().hundredths(), 2_025);
    assert_eq!(version.abort_if.unwrap().to_string(), "error_rate>1%");

    let bare = value(r#"{"computeType":"aksendpoint"}"#).version;
    assert_eq!(bare, Some(DeployedVersion::default()));
    assert_eq!(value(r#"{"computeType":"aks"}"#).version, None);
}

#[test]
fn what_is_wrong_with_a_version_is_told_together() {
    let text = r#"{
  "computeType": "aksendpoint",
  "versionName": "B",
  "trafficPercentile": 100.01,
  "abortIf": "error_rate"
}"#;
    insta::assert_snapshot!(report(&read(text)), @r"
    error: deploymentconfig.json line 3: `versionName`: `B` is not a version name: 3 to 32 characters of a-z, 0-9 and -, a letter first, no dash last
    error: deploymentconfig.json line 4: `trafficPercentile`: `100.01` is not a share of traffic: 0 to 100 percent with at most two decimals
    error: deploymentconfig.json line 5: `abortIf`: `error_rate` is not a rule to abort by: `error_rate>1%`, or `p50`, `p90`, `p95`, `p99` or `p99.9` with a time, as `p99>250ms`
    ");
    let third = r#"{"computeType":"aksendpoint","trafficPercentile":0.125}"#;
    insta::assert_snapshot!(report(&read(third)), @r"
    error: deploymentconfig.json line 1: `trafficPercentile`: `0.125` is not a share of traffic: 0 to 100 percent with at most two decimals
    ");
}

#[test]
fn only_the_flag_names_the_cluster_of_an_endpoint() {
    let source = Source::new(
        "d.json",
        r#"{"computeType":"aksendpoint","computeTargetName":"edge1"}"#,
    );
    let from_file = deployment(Some(&source), &[]);
    insta::assert_snapshot!(report(&from_file), @r"
    warning: d.json: accepted without effect here: `computeTargetName`
    ");
    assert_eq!(from_file.unwrap().value.compute_name, None);
    let flag = Override::new(TARGET, "--compute-target", Scalar::Text("edge2".into()));
    let read = deployment(Some(&source), &[flag]).unwrap();
    assert_eq!(read.notices, []);
    assert_eq!(read.value.compute_name.unwrap().as_str(), "edge2");
}

#[test]
fn a_flag_of_versions_is_refused_where_there_are_none() {
    let flags = [
        Override::new("versionName", "--version-name", Scalar::Text("blue".into())),
        Override::new(
            "trafficPercentile",
            "--traffic-percentile",
            Scalar::Number("10".into()),
        ),
    ];
    let source = Source::new("d.json", r#"{"computeType":"local"}"#);
    insta::assert_snapshot!(report(&deployment(Some(&source), &flags)), @r#"
    error: --version-name: only endpoints have versions, and this is computeType `local`
     help: `--compute-type aksendpoint`, or `"computeType": "aksendpoint"` in the file, makes an endpoint
    error: --traffic-percentile: only endpoints have versions, and this is computeType `local`
     help: `--compute-type aksendpoint`, or `"computeType": "aksendpoint"` in the file, makes an endpoint
    "#);
    let in_file = r#"{"computeType":"aks","versionName":"blue","trafficPercentile":10}"#;
    insta::assert_snapshot!(report(&read(in_file)), @r"
    warning: deploymentconfig.json: accepted without effect here: `versionName`, `trafficPercentile`
    ");
}

#[test]
fn a_version_has_nothing_that_all_versions_share() {
    let text = r#"{"computeType":"aksendpoint","authEnabled":true,"tokenAuthEnabled":true,
        "keys":{"primaryKey":"p"},"namespace":"team-a","appInsightsEnabled":true,
        "numReplicas":2}"#;
    let read = deployment_of_version(Some(&Source::new("d.json", text)), &[]);
    insta::assert_snapshot!(report(&read), @r"
    warning: d.json: accepted without effect here: `authEnabled`, `tokenAuthEnabled`, `keys`, `namespace`, `appInsightsEnabled`
    ");
    let read = read.unwrap().value;
    let expected = SettingsChange {
        num_replicas: Some(2),
        ..SettingsChange::default()
    };
    assert_eq!(read.settings, expected);
    assert_eq!(read.primary_key, None);
}

#[test]
fn the_type_of_a_version_may_be_left_out_and_cannot_be_local() {
    let of_version = |text: &str| deployment_of_version(Some(&Source::new("d.json", text)), &[]);
    for text in [
        "{}",
        r#"{"computeType":"aks"}"#,
        r#"{"computeType":"AKSENDPOINT"}"#,
    ] {
        let read = of_version(text).unwrap().value;
        assert_eq!(read.version, Some(DeployedVersion::default()), "{text}");
    }
    assert!(
        deployment_of_version(None, &[])
            .unwrap()
            .value
            .version
            .is_some()
    );
    insta::assert_snapshot!(report(&of_version(r#"{"computeType":"local"}"#)), @r#"
    error: d.json line 1: computeType `local`: a version of an endpoint cannot be one
     help: use `"computeType": "aksendpoint"`
    "#);
}

#[test]
fn a_service_that_is_changed_stays_a_service() {
    let text = r#"{"computeType":"aksendpoint","versionName":"blue","numReplicas":2}"#;
    let read = deployment_update(Some(&Source::new("d.json", text)), &[]);
    insta::assert_snapshot!(report(&read), @r"
    warning: d.json: accepted without effect here: `versionName`
    ");
    assert_eq!(read.unwrap().value.version, None);
}
