use std::path::Path;

use lusk_domain::{LivenessProbeChange, ModelVersion};
use proptest::prelude::*;

use super::*;
use crate::{EnvironmentChoice, tests::report};

fn endpoint(text: &str) -> Result<Checked<OnlineEndpoint>, ManifestError> {
    online_endpoint(&Source::new("endpoint.yml", text), &[])
}

fn deployment(text: &str, base: &Path) -> Result<Checked<OnlineDeployment>, ManifestError> {
    online_deployment(&Source::new("blue.yml", text), &[], base)
}

/// A project as the original's examples lay it out.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    std::fs::create_dir_all(at("src")).unwrap();
    std::fs::write(at("src/score.py"), "def run(data): return data").unwrap();
    std::fs::write(at("model.onnx"), "").unwrap();
    std::fs::write(
        at("conda.yml"),
        "dependencies: [python=3.11, {pip: [numpy]}]",
    )
    .unwrap();
    folder
}

#[test]
fn an_endpoint_is_read_with_its_traffic() {
    let read = endpoint(
        "$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json
name: shop
type: kubernetes
description: what customers ask
auth_mode: key
tags: {team: red, cost: 7}
traffic: {blue: 90, green: 10}
mirror_traffic:
  shadow: 20
",
    );
    assert_eq!(report(&read), "");
    let read = read.unwrap().value;
    assert_eq!(read.name.unwrap().as_str(), "shop");
    assert_eq!(read.tags.unwrap()["cost"], "7");
    let shares: Vec<_> = read.traffic.unwrap().into_iter().collect();
    assert_eq!(shares[0].0.as_str(), "blue");
    assert_eq!(shares[0].1.percent(), 90.0);
    assert_eq!(read.mirror.unwrap().len(), 1);
}

#[test]
fn a_mode_with_tokens_leads_to_the_one_with_keys() {
    for mode in ["aml_token", "AMLToken", "aad_token", "AADToken", "kee"] {
        let told = report(&endpoint(&format!("name: shop\nauth_mode: {mode}\n")));
        assert!(told.contains(&format!("`{mode}`")), "{told}");
        assert!(told.contains("help: use `auth_mode: key`"), "{told}");
        assert!(!told.contains("did you mean"), "{told}");
    }
    assert_eq!(report(&endpoint("name: shop\nauth_mode: Key\n")), "");
}

#[test]
fn a_file_of_the_other_kind_is_told_with_its_command() {
    let schema = |kind: &str| format!("$schema: https://host/managedOnline{kind}.schema.json\n");
    for text in [
        "name: blue\nendpoint_name: shop\n".to_owned(),
        "name: blue\nmodel: azureml:digits:1\n".to_owned(),
        schema("Deployment") + "name: blue\n",
    ] {
        let told = report(&endpoint(&text));
        assert!(told.contains("this is a deployment's file"), "{told}");
        let command = "`lusk online-deployment create -f endpoint.yml`";
        assert!(told.contains(command), "{told}");
        assert!(!told.contains("unknown key"), "{told}");
    }
    for text in [
        "name: shop\nauth_mode: key\n".to_owned(),
        "name: shop\ntraffic: {blue: 100}\n".to_owned(),
        schema("Endpoint") + "name: shop\n",
    ] {
        let told = report(&deployment(&text, Path::new("/")));
        assert!(told.contains("this is an endpoint's file"), "{told}");
        let command = "`lusk online-endpoint create -f blue.yml`";
        assert!(told.contains(command), "{told}");
        assert!(!told.contains("`model` is missing"), "{told}");
    }
}

#[test]
fn what_is_wrong_with_an_endpoint_is_told_together() {
    let read = endpoint(
        "name: Shop
type: kubernets
auth_mode: aml_token
compute: azureml:k8s
public_network_access: enabled
trafic: {}
traffic:
  blue: 80
  green: 10
mirror_traffic: {blue: 60}
",
    );
    insta::assert_snapshot!(report(&read), @r"
    warning: endpoint.yml line 6: unknown key `trafic`, ignored as Azure does
       help: did you mean `traffic`?
    warning: endpoint.yml: accepted without effect here: `compute`, `public_network_access`
    error: endpoint.yml line 2: `type`: `kubernets` is unknown, expected managed or kubernetes
     help: did you mean `kubernetes`?
    error: endpoint.yml line 3: `auth_mode`: `aml_token`: no endpoint takes tokens here
     help: use `auth_mode: key`
    error: endpoint.yml line 1: `name`: `Shop` is not a service name: 3 to 32 characters of a-z, 0-9 and -, a letter first, no dash last
    error: endpoint.yml line 8: `traffic`: blue 80 + green 10 = 90 percent, expected 100 or 0
    error: endpoint.yml line 10: `mirror_traffic`: 60 percent of the requests cannot be mirrored, more than 0 and at most 50 can
    ");
    let read = endpoint("traffic: {B: 100, green: x, red: 101}\nmirror_traffic: {aaa: 1, bbb: 1}");
    insta::assert_snapshot!(report(&read), @r#"
    error: endpoint.yml line 1: `traffic.B`: `B` is not a version name: 3 to 32 characters of a-z, 0-9 and -, a letter first, no dash last
    error: endpoint.yml line 1: `traffic.green`: expected a number, found the text "x"
    error: endpoint.yml line 1: `traffic.red`: `101` is not a share of traffic: 0 to 100 percent with at most two decimals
    error: endpoint.yml line 2: `mirror_traffic`: 2 deployments are to get copies, one can
    "#);
}

#[test]
fn traffic_adds_up_to_100_or_to_0() {
    for (map, is_taken) in [
        ("{blue: 100}", true),
        ("{blue: 33.33, green: 66.67}", true),
        ("{blue: 0, green: 0}", true),
        ("{}", true),
        ("{blue: 99.99}", false),
        ("{blue: 100, green: 1}", false),
    ] {
        let read = endpoint(&format!("name: shop\ntraffic: {map}"));
        assert_eq!(read.is_ok(), is_taken, "{map}");
    }
}

#[test]
fn a_deployment_is_read_as_the_examples_write_it() {
    let folder = project();
    let read = deployment(
        "$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineDeployment.schema.json
name: blue
type: kubernetes
endpoint_name: shop
app_insights_enabled: false
model: {path: ./model.onnx, name: digits}
code_configuration:
  code: src
  scoring_script: score.py
environment:
  conda_file: ./conda.yml
  image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest
environment_variables: {LEVEL: 3}
instance_type: defaultinstancetype
instance_count: 2
request_settings:
  request_timeout_ms: 3000
  max_queue_wait_ms: 250
resources:
  requests: {cpu: 500m, memory: 512Mi}
  limits: {cpu: \"1\", memory: 1Gi, nvidia.com/gpu: 1}
data_collector:
  collections: {model_inputs: {enabled: 'True'}}
",
        folder.path(),
    );
    insta::assert_snapshot!(report(&read), @"warning: blue.yml: accepted without effect here: `instance_type`");
    let read = read.unwrap().value;
    assert_eq!(read.endpoint.unwrap().as_str(), "shop");
    let settings = &read.settings;
    assert_eq!(settings.num_replicas, Some(2));
    assert_eq!(settings.auto_scaler, None);
    assert_eq!(settings.scoring_timeout_ms, Some(3_000));
    assert_eq!(settings.max_queue_wait_ms, Some(250));
    assert_eq!(settings.gpu_cores, Some(1));
    assert_eq!(settings.storage_enabled, Some(true));
    let resources = settings.container_resource_requirements.unwrap();
    assert_eq!(resources.cpu, Some(0.5));
    assert_eq!(resources.cpu_limit, Some(1.0));
    assert_eq!(resources.memory_in_gb, Some(0.536_870_912));
    assert_eq!(resources.memory_in_gb_limit, Some(1.073_741_824));
    let script = read.script.unwrap();
    assert!(script.script.ends_with("src/score.py"));
    assert!(script.folder.as_ref().unwrap().ends_with("src"));
    assert_eq!(script.variables["LEVEL"], "3");
    let EnvironmentChoice::Definition(environment) = &script.environment else {
        panic!("a reference: {:?}", script.environment);
    };
    let conda = environment.python.conda_dependencies.as_ref().unwrap();
    assert_eq!(conda.dependencies.len(), 2);
    assert!(
        environment
            .docker
            .base_image
            .as_ref()
            .unwrap()
            .starts_with("mcr.")
    );
    let Some(ModelChoice::New(model)) = read.model else {
        panic!("no new model");
    };
    assert_eq!(model.name.unwrap().as_str(), "digits");
}

#[test]
fn a_bare_deployment_has_the_defaults_of_its_format() {
    let read = deployment("name: blue\nmodel: azureml:digits:3", Path::new("/"));
    assert_eq!(report(&read), "");
    let read = read.unwrap().value;
    let version = Some(ModelVersion(3));
    assert_eq!(
        read.model,
        Some(ModelChoice::Registered("digits".parse().unwrap(), version))
    );
    assert_eq!(read.script, None);
    let settings = read.settings;
    assert_eq!(settings.num_replicas, Some(1));
    assert_eq!(settings.scoring_timeout_ms, Some(5_000));
    assert_eq!(settings.max_concurrent_requests_per_container, Some(1));
    assert_eq!(settings.max_queue_wait_ms, Some(500));
    assert_eq!(
        settings.liveness_probe_requirements,
        Some(LivenessProbeChange {
            initial_delay_seconds: Some(10),
            period_seconds: Some(10),
            timeout_seconds: Some(2),
            success_threshold: Some(1),
            failure_threshold: Some(30),
        })
    );
}

#[test]
fn replicas_scale_by_use_where_the_file_says_so() {
    let of = |block: &str| {
        let text = format!("name: blue\nmodel: azureml:digits@latest\nscale_settings: {block}");
        let read = deployment(&text, Path::new("/")).unwrap().value;
        assert_eq!(
            read.model,
            Some(ModelChoice::Registered("digits".parse().unwrap(), None))
        );
        read.settings
    };
    let scaler = of("{max_instances: 3, polling_interval: 10}")
        .auto_scaler
        .unwrap();
    assert_eq!(scaler.autoscale_enabled, Some(true));
    assert_eq!(scaler.min_replicas, Some(1));
    assert_eq!(scaler.max_replicas, Some(3));
    assert_eq!(scaler.target_utilization, Some(70));
    assert_eq!(scaler.refresh_period_in_seconds, Some(10));
    assert_eq!(of("{type: default}").auto_scaler, None);
}

#[test]
fn what_is_wrong_with_a_deployment_is_told_together() {
    let folder = project();
    let read = deployment(
        "name: B
endpoint_name: shop
model: azureml:digits:one
code_configuration: {code: ./srk, scoring_script: scoer.py}
environment: azureml://registries/azureml/environments/sklearn/versions/1
instance_count: 0
resources: {requests: {cpu: lots, memory: 1GB, gpu: 1}}
scale_settings: {type: target_utilisation}
request_settings: {request_timeout_ms: 400000}
liveness_probe: {failure_treshold: 3}
instance_typ: x
",
        folder.path(),
    );
    insta::assert_snapshot!(report(&read), @r"
    warning: blue.yml line 7: unknown key `resources.requests.gpu`, ignored as Azure does
       help: did you mean `cpu`?
    warning: blue.yml line 10: unknown key `liveness_probe.failure_treshold`, ignored as Azure does
       help: did you mean `failure_threshold`?
    warning: blue.yml line 11: unknown key `instance_typ`, ignored as Azure does
       help: did you mean `instance_type`?
    error: blue.yml line 3: `model`: `azureml:digits:one` has no version here: versions of models are whole numbers from 1 up
    error: blue.yml line 4: `code_configuration.code`: `./srk` does not exist
    error: blue.yml line 5: `environment`: `azureml://registries/azureml/environments/sklearn/versions/1` names nothing registered
     help: register it at this node, then name it `azureml:NAME:VERSION`
    error: blue.yml line 1: `name`: `B` is not a version name: 3 to 32 characters of a-z, 0-9 and -, a letter first, no dash last
    error: blue.yml line 6: `instance_count`: 0 is below the smallest value, 1
    error: blue.yml line 8: `scale_settings.type`: `target_utilisation` is unknown, expected default or target_utilization
     help: did you mean `target_utilization`?
    error: blue.yml line 7: `resources.requests.cpu`: `lots` is no quantity: `500m`, `0.5`, `512Mi` and `2G` are
    error: blue.yml line 7: `resources.requests.memory`: `1GB` is no quantity: `500m`, `0.5`, `512Mi` and `2G` are
    error: blue.yml line 9: `request_settings.request_timeout_ms`: 400000 ms is over the limit of 300000 ms
    ");
    let read = deployment("name: blue\ncode_configuration: {}\n", folder.path());
    insta::assert_snapshot!(report(&read), @r"
    error: blue.yml line 2: `code_configuration.scoring_script` is missing
     help: add `scoring_script: score.py`, or leave the whole block out
    ");
    let read = deployment(
        "model: {nam: digits}\nresources: {limits: {cpu: 0, nvidia.com/gpu: 0.5}}\nscale_settings: {min_instances: 3, max_instances: 2}\ninstance_count: 2\nenvironment: {build: {path: .}}",
        folder.path(),
    );
    insta::assert_snapshot!(report(&read), @r"
    warning: blue.yml line 1: unknown key `model.nam`, ignored as Azure does
       help: did you mean `name`?
    warning: blue.yml line 4: `instance_count` is ignored beside `scale_settings` of type `target_utilization`
    warning: blue.yml: accepted without effect here: `environment`
    error: blue.yml line 1: `model.path` is missing
     help: add `path: ./model.onnx`, a file or folder
    error: blue.yml line 5: `environment.build`: images are not built from Dockerfiles here
     help: name an `image`, or a `conda_file`
    error: blue.yml line 2: `resources.limits.nvidia.com/gpu`: 0.5 is no whole number of GPUs
    error: blue.yml line 3: `scale_settings.min_instances`: 3 is over `scale_settings.max_instances`, which is 2
    error: blue.yml line 2: `resources.limits.cpu`: 0 is not a number over 0
    ");
}

#[test]
fn names_of_flags_take_the_place_of_those_in_the_file() {
    let flag = Override::new("name", "--name", crate::Scalar::Text("green".into()));
    let source = Source::new("blue.yml", "name: blue\nmodel: azureml:digits:1");
    let read = online_deployment(&source, &[flag], Path::new("/")).unwrap();
    assert_eq!(read.value.name.unwrap().as_str(), "green");
}

/// Text that is likely to be nearly right.
fn nearly_online() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "name",
        "blue",
        "traffic",
        "mirror_traffic",
        "model",
        "azureml:",
        "digits",
        "@latest",
        "path",
        "code_configuration",
        "code",
        "scoring_script",
        "score.py",
        "environment",
        "conda_file",
        "image",
        "resources",
        "requests",
        "limits",
        "cpu",
        "memory",
        "nvidia.com/gpu",
        "500m",
        "1Gi",
        "scale_settings",
        "type",
        "default",
        "min_instances",
        "request_settings",
        "request_timeout_ms",
        "liveness_probe",
        "data_collector",
        "collections",
        "enabled",
        "tags",
        ":",
        ": ",
        "\n",
        "\n  ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "- ",
        "100",
        "0",
        "-1",
        "1e999",
        "true",
        "null",
        "'",
        "\"",
        "&a",
        "*a",
        "<<",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_yaml_panics(text in prop_oneof![any::<String>(), nearly_online()]) {
        let _ = endpoint(&text);
        let _ = deployment(&text, Path::new("/nonexistent"));
    }

    #[test]
    fn no_quantity_panics_or_is_negative(text in any::<String>()) {
        prop_assert!(quantity::quantity(&text).is_none_or(|value| value >= 0.0));
    }
}
