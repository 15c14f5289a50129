use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn change(value: Value) -> SettingsChange {
    serde_json::from_value(value).unwrap()
}

/// The paths of the rules that `value` breaks by itself.
fn broken(value: Value) -> Vec<String> {
    change(value)
        .violations()
        .into_iter()
        .map(|violation| violation.path)
        .collect()
}

#[test]
fn nothing_asked_for_breaks_nothing_and_gives_the_defaults() {
    assert_eq!(broken(json!({})), [""; 0]);
    let settings = Settings::default()
        .changed(&SettingsChange::default())
        .unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.initial_replicas(), 1);
    assert_eq!(settings.auth, AuthMode::Key);
}

#[test]
fn autoscaling_and_fixed_replicas_exclude_each_other() {
    let both = json!({"autoScaler": {"autoscaleEnabled": true}, "numReplicas": 2});
    assert_eq!(broken(both), ["numReplicas"]);
    let neither = json!({"autoScaler": {"autoscaleEnabled": false}});
    assert_eq!(broken(neither), ["autoScaler.autoscaleEnabled"]);
    let off = json!({"autoScaler": {"autoscaleEnabled": false}, "numReplicas": 2});
    assert_eq!(broken(off), [""; 0]);
}

#[test]
fn scaler_fields_need_autoscaling_switched_on() {
    for field in [
        "minReplicas",
        "maxReplicas",
        "refreshPeriodInSeconds",
        "targetUtilization",
    ] {
        let path = format!("autoScaler.{field}");
        assert_eq!(broken(json!({"autoScaler": {field: 2}})), [path.as_str()]);
        let on = json!({"autoScaler": {"autoscaleEnabled": true, field: 2}});
        assert_eq!(broken(on), [""; 0]);
        let off = json!({"autoScaler": {"autoscaleEnabled": false, field: 2}, "numReplicas": 1});
        assert_eq!(broken(off), [path]);
    }
}

#[test]
fn the_smallest_number_of_replicas_is_not_over_the_largest() {
    let over =
        json!({"autoScaler": {"autoscaleEnabled": true, "minReplicas": 3, "maxReplicas": 2}});
    assert_eq!(broken(over), ["autoScaler.minReplicas"]);
    let equal =
        json!({"autoScaler": {"autoscaleEnabled": true, "minReplicas": 2, "maxReplicas": 2}});
    assert_eq!(broken(equal), [""; 0]);
}

#[test]
fn limits_are_compared_with_what_was_asked_for() {
    let low = json!({"containerResourceRequirements": {
        "cpu": 1.0, "cpuLimit": 0.5, "memoryInGB": 2.0, "memoryInGBLimit": 1.0}});
    assert_eq!(
        broken(low),
        [
            "containerResourceRequirements.cpuLimit",
            "containerResourceRequirements.memoryInGBLimit"
        ]
    );
    // Alone, a limit is compared with the value in force.
    let alone = change(json!({"containerResourceRequirements": {"memoryInGBLimit": 0.25}}));
    assert!(alone.violations().is_empty());
    let violations = Settings::default().changed(&alone).unwrap_err();
    assert_eq!(
        violations[0].path,
        "containerResourceRequirements.memoryInGBLimit"
    );
}

#[test]
fn resources_are_numbers_over_zero() {
    for bad in [0.0, -1.0] {
        let wish = json!({"containerResourceRequirements": {"cpu": bad}});
        assert_eq!(broken(wish), ["containerResourceRequirements.cpu"]);
    }
    let wish = SettingsChange {
        container_resource_requirements: Some(ResourceChange {
            memory_in_gb: Some(f64::NAN),
            ..ResourceChange::default()
        }),
        ..SettingsChange::default()
    };
    assert_eq!(wish.violations().len(), 1);
}

#[test]
fn zero_is_refused_wherever_one_is_the_least() {
    let zeros = json!({
        "numReplicas": 0,
        "scoringTimeoutMs": 0,
        "maxQueueWaitMs": 0,
        "maxConcurrentRequestsPerContainer": 0,
        "livenessProbeRequirements": {
            "periodSeconds": 0, "initialDelaySeconds": 0, "timeoutSeconds": 0,
            "successThreshold": 0, "failureThreshold": 0
        }
    });
    assert_eq!(broken(zeros).len(), 9);
    assert_eq!(broken(json!({"gpuCores": 0})), [""; 0]);
}

#[test]
fn the_service_refuses_what_the_original_service_refused() {
    assert_eq!(broken(json!({"scoringTimeoutMs": 300_000})), [""; 0]);
    assert_eq!(
        broken(json!({"scoringTimeoutMs": 300_001})),
        ["scoringTimeoutMs"]
    );
    let target = json!({"autoScaler": {"autoscaleEnabled": true, "targetUtilization": 101}});
    assert_eq!(broken(target), ["autoScaler.targetUtilization"]);
}

#[test]
fn key_and_token_auth_exclude_each_other() {
    assert_eq!(
        broken(json!({"authEnabled": true, "tokenAuthEnabled": true})),
        ["tokenAuthEnabled"]
    );
}

#[test]
fn all_violations_are_told_together() {
    let wish = json!({
        "numReplicas": 0,
        "scoringTimeoutMs": 999_999,
        "authEnabled": true,
        "aadAuthEnabled": true,
        "autoScaler": {"minReplicas": 2}
    });
    assert_eq!(
        broken(wish),
        [
            "numReplicas",
            "autoScaler.minReplicas",
            "tokenAuthEnabled",
            "scoringTimeoutMs"
        ]
    );
}

#[test]
fn auth_modes_follow_the_switches() {
    let after = |from: AuthMode, value: Value| {
        let settings = Settings {
            auth: from,
            ..Settings::default()
        };
        settings.changed(&change(value)).unwrap().auth
    };
    assert_eq!(
        after(AuthMode::Key, json!({"authEnabled": false})),
        AuthMode::None
    );
    assert_eq!(
        after(AuthMode::None, json!({"authEnabled": true})),
        AuthMode::Key
    );
    assert_eq!(
        after(AuthMode::Key, json!({"tokenAuthEnabled": true})),
        AuthMode::Token
    );
    assert_eq!(
        after(AuthMode::Token, json!({"tokenAuthEnabled": false})),
        AuthMode::None
    );
    assert_eq!(
        after(AuthMode::Token, json!({"authEnabled": false})),
        AuthMode::Token
    );
    assert_eq!(
        after(
            AuthMode::Token,
            json!({"authEnabled": true, "tokenAuthEnabled": false})
        ),
        AuthMode::Key
    );
}

#[test]
fn fixed_replicas_switch_autoscaling_off_and_back() {
    let fixed = Settings::default()
        .changed(&change(json!({"numReplicas": 3})))
        .unwrap();
    assert!(!fixed.auto_scaler.autoscale_enabled);
    assert_eq!(fixed.initial_replicas(), 3);
    let back = fixed
        .changed(&change(
            json!({"autoScaler": {"autoscaleEnabled": true, "minReplicas": 2}}),
        ))
        .unwrap();
    assert_eq!(back.num_replicas, None);
    assert_eq!(back.initial_replicas(), 2);
}

#[test]
fn the_memory_limit_is_in_bytes_of_decimal_gigabytes() {
    let mut resources = Resources::default();
    assert_eq!(resources.memory_limit_bytes(), 500_000_000);
    resources.memory_in_gb_limit = Some(2.0);
    assert_eq!(resources.memory_limit_bytes(), 2_000_000_000);
}

#[test]
fn a_call_computes_on_the_whole_cores_that_are_reserved() {
    let threads = |cpu| {
        let resources = Resources {
            cpu,
            ..Resources::default()
        };
        resources.threads().get()
    };
    assert_eq!(Resources::default().threads().get(), 1);
    assert_eq!(
        [0.0, 0.5, 1.0, 1.9, 2.0, 4.5].map(threads),
        [1, 1, 1, 1, 2, 4]
    );
}

fn any_change() -> impl Strategy<Value = SettingsChange> {
    let scaler = (
        any::<Option<bool>>(),
        prop::option::of(0u32..5),
        prop::option::of(0u32..5),
        prop::option::of(0u32..200),
    )
        .prop_map(
            |(autoscale_enabled, min_replicas, max_replicas, target_utilization)| {
                AutoScalerChange {
                    autoscale_enabled,
                    min_replicas,
                    max_replicas,
                    target_utilization,
                    ..AutoScalerChange::default()
                }
            },
        );
    let resources = [(); 4].map(|()| prop::option::of(-1.0f64..4.0));
    let resources =
        resources.prop_map(
            |[cpu, cpu_limit, memory_in_gb, memory_in_gb_limit]| ResourceChange {
                cpu,
                cpu_limit,
                memory_in_gb,
                memory_in_gb_limit,
                gpu: None,
            },
        );
    (
        prop::option::of(scaler),
        prop::option::of(resources),
        prop::option::of(0u32..4),
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        prop::option::of(0u32..400_000),
    )
        .prop_map(
            |(auto_scaler, resources, num_replicas, auth, token, timeout)| SettingsChange {
                auto_scaler,
                container_resource_requirements: resources,
                num_replicas,
                auth_enabled: auth,
                token_auth_enabled: token,
                scoring_timeout_ms: timeout,
                ..SettingsChange::default()
            },
        )
}

proptest! {
    /// What is accepted is in range, whatever was there before.
    #[test]
    fn accepted_settings_are_within_their_ranges(first in any_change(), second in any_change()) {
        let before = Settings::default().changed(&first).unwrap_or_default();
        let Ok(after) = before.changed(&second) else { return Ok(()) };
        let scaler = &after.auto_scaler;
        prop_assert!(!scaler.autoscale_enabled || scaler.min_replicas <= scaler.max_replicas);
        prop_assert!(scaler.max_replicas >= 1 && scaler.target_utilization <= 100);
        prop_assert!(scaler.autoscale_enabled == after.num_replicas.is_none());
        prop_assert!(after.initial_replicas() >= 1);
        prop_assert!((1..=Settings::MAX_SCORING_TIMEOUT_MS).contains(&after.scoring_timeout_ms));
        let resources = &after.resources;
        prop_assert!(resources.cpu > 0.0 && resources.memory_in_gb > 0.0);
        prop_assert!(resources.cpu_limit.is_none_or(|limit| limit >= resources.cpu));
        prop_assert!(resources.memory_in_gb_limit.is_none_or(|limit| limit >= resources.memory_in_gb));
    }

    /// A change that breaks a rule by itself is refused on top of anything,
    /// and no path is complained about twice for one rule.
    #[test]
    fn a_broken_change_is_always_refused(wish in any_change()) {
        let own = wish.violations();
        match Settings::default().changed(&wish) {
            Ok(_) => prop_assert!(own.is_empty()),
            Err(violations) => prop_assert!(own.iter().all(|v| violations.contains(v))),
        }
    }

    #[test]
    fn wishes_survive_json(wish in any_change()) {
        let json = serde_json::to_string(&wish).unwrap();
        let back: SettingsChange = serde_json::from_str(&json).unwrap();
        // Text rounds the last digit of a float at most.
        prop_assert_eq!(back.num_replicas, wish.num_replicas);
        prop_assert_eq!(back.token_auth_enabled, wish.token_auth_enabled);
        prop_assert_eq!(back.auto_scaler, wish.auto_scaler);
    }
}
