use bytes::Bytes;
use lusk_control::{CreateService, UpdateService};
use lusk_domain::Sticky;
use serde_json::{Value, json};

use super::*;
use crate::admin::tests::views::shop;

fn read_as(operations: &Value, now: &EndpointView) -> Result<EndpointPatch, Fault> {
    let body = Json::from(Bytes::from(operations.to_string()));
    update_endpoint(&body, now)
}

fn read(operations: &Value) -> ChangeEndpoint {
    match read_as(operations, &shop()) {
        Ok(EndpointPatch::Change(wished)) => wished.wish,
        other => panic!("no change: {other:?}"),
    }
}

fn refused(operations: &Value) -> String {
    read_as(operations, &shop()).unwrap_err().message
}

fn set(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "replace", "path": path, "value": value.into()})
}

fn name(text: &str) -> VersionName {
    text.parse().unwrap()
}

fn share(text: &str) -> Share {
    text.parse().unwrap()
}

fn created(change: &ChangeEndpoint) -> &CreateService {
    match &change.version {
        Some((_, ChangeVersion::Create(service))) => service,
        other => panic!("nothing is made: {other:?}"),
    }
}

fn updated(change: &ChangeEndpoint) -> &UpdateService {
    match &change.version {
        Some((_, ChangeVersion::Update(service))) => service,
        other => panic!("nothing is changed: {other:?}"),
    }
}

/// The body that the original's SDK sends for a new version, every key of it.
fn sdk_body() -> Value {
    json!({
        "name": "new", "description": "d", "kvTags": {"a": "b"}, "properties": {"p": "q"},
        "keys": {}, "computeType": "AKS", "computeName": "edge1", "location": null,
        "environmentImageRequest": {"modelIds": ["digits:2"], "driverProgram": null,
            "assets": [], "environment": null},
        "numReplicas": null,
        "autoScaler": {"autoscaleEnabled": true, "minReplicas": 1, "maxReplicas": 3,
                       "targetUtilization": 60, "refreshPeriodInSeconds": 2},
        "containerResourceRequirements": {"cpu": 0.2, "cpuLimit": null, "memoryInGB": 1,
                                          "memoryInGBLimit": null, "gpu": null},
        "maxConcurrentRequestsPerContainer": null, "maxQueueWaitMs": null, "namespace": null,
        "scoringTimeoutMs": 900,
        "livenessProbeRequirements": {"periodSeconds": null, "initialDelaySeconds": null,
            "timeoutSeconds": null, "successThreshold": null, "failureThreshold": null},
        "trafficPercentile": 12.5, "isDefault": true, "type": "Control",
    })
}

#[test]
fn a_version_is_created_as_the_sdk_creates_it() {
    let change = read(&json!([
        set("/versions/blue/isDefault", false),
        set("/versions/blue/type", "Treatment"),
        set("/versions/green/isDefault", false),
        set("/versions/green/type", "Treatment"),
        set("/versions/red/isDefault", false),
        set("/versions/red/type", "Treatment"),
        {"op": "add", "path": "/versions/new", "value": sdk_body()},
    ]));
    let service = created(&change);
    assert_eq!(change.version.as_ref().unwrap().0, name("new"));
    assert_eq!(service.models[0].to_string(), "digits:2");
    assert_eq!(service.tags["a"], "b");
    assert_eq!(service.settings.scoring_timeout_ms, Some(900));
    assert_eq!(service.settings.auto_scaler.unwrap().max_replicas, Some(3));
    let demoted = Stake {
        is_control: Some(false),
        ..Stake::default()
    };
    // Who was never healthy has nothing to lose.
    let stakes = BTreeMap::from([
        (name("blue"), demoted),
        (name("green"), demoted),
        (
            name("new"),
            Stake {
                share: Some(share("12.5")),
                is_default: Some(true),
                is_control: Some(true),
            },
        ),
    ]);
    assert_eq!(change.stakes, stakes);
}

#[test]
fn a_version_is_updated_as_the_sdk_updates_it() {
    let change = read(&json!([
        set("/versions/blue/isDefault", false),
        set("/versions/blue/type", "Treatment"),
        set("/versions/green/isDefault", true),
        set("/versions/green/type", "Control"),
        set("/versions/red/isDefault", false),
        set(
            "/versions/green/environmentImageRequest",
            json!({"modelIds": ["digits:2"]})
        ),
        set("/versions/green/autoScaler/autoscaleEnabled", true),
        set("/versions/green/autoScaler/maxReplicas", 4),
        set("/versions/green/dataCollection/storageEnabled", true),
        set("/versions/green/containerResourceRequirements/cpu", 0.3),
        set("/versions/green/scoringTimeoutMs", 800),
        set("/versions/green/livenessProbeRequirements/periodSeconds", 7),
        set("/versions/green/trafficPercentile", 30),
        set("/versions/green/description", "new"),
        set("/versions/green/tags", json!({"k": "v"})),
    ]));
    let update = updated(&change);
    assert_eq!(update.description.as_deref(), Some("new"));
    assert_eq!(update.tags.as_ref().unwrap()["k"], "v");
    assert_eq!(update.models.as_ref().unwrap()[0].to_string(), "digits:2");
    assert_eq!(update.settings.auto_scaler.unwrap().max_replicas, Some(4));
    assert_eq!(update.settings.storage_enabled, Some(true));
    assert_eq!(
        change.stakes[&name("green")],
        Stake {
            share: Some(share("30")),
            is_default: Some(true),
            is_control: Some(true),
        }
    );
    assert!(!change.stakes.contains_key(&name("red")));
}

#[test]
fn no_longer_being_the_default_alone_is_no_change() {
    let error = refused(&json!([set("/versions/blue/isDefault", false)]));
    assert!(
        error.contains("`/versions/blue/isDefault` is false"),
        "{error}"
    );
    assert!(error.contains("only when another becomes it"), "{error}");
    let change = read(&json!([
        set("/versions/blue/isDefault", false),
        set("/description", "new"),
    ]));
    assert!(change.stakes.is_empty());
}

#[test]
fn shares_alone_make_no_deployment() {
    let change = read(&json!([
        set("/versions/blue/trafficPercentile", 70),
        set("/versions/green/trafficPercentile", 30.25),
    ]));
    assert_eq!(change.version, None);
    assert_eq!(change.stakes[&name("green")].share, Some(share("30.25")));
    let change = read(&json!([set("/traffic", json!({"blue": 10, "green": 90}))]));
    let shares = BTreeMap::from([(name("blue"), share("10")), (name("green"), share("90"))]);
    assert_eq!(change.shares, Some(shares));
}

#[test]
fn tags_of_a_version_are_changed_one_by_one() {
    for key in ["kvTags", "tags"] {
        let change = read(&json!([
            {"op": "add", "path": format!("/versions/green/{key}/a"), "value": "1"},
            {"op": "remove", "path": format!("/versions/green/{key}/of")},
        ]));
        let tags = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(updated(&change).tags, Some(tags));
    }
}

#[test]
fn an_endpoint_is_updated_as_the_sdk_updates_it() {
    let change = read(&json!([
        set("/authEnabled", true),
        set("/aadAuthEnabled", false),
        set("/appInsightsEnabled", false),
        {"op": "add", "path": "/kvTags/a", "value": "1"},
        {"op": "add", "path": "/properties/p", "value": "q"},
        set("/description", "new"),
    ]));
    let tags = [("a", "1"), ("team", "red")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let expected = ChangeEndpoint {
        description: Some("new".to_owned()),
        tags: Some(tags.into()),
        add_properties: BTreeMap::from([("p".to_owned(), "q".to_owned())]),
        auth_enabled: Some(true),
        token_auth_enabled: Some(false),
        app_insights: Some(false),
        ..ChangeEndpoint::default()
    };
    assert_eq!(change, expected);
}

#[test]
fn tokens_that_nobody_issues_are_refused_with_the_way_out() {
    let error = refused(&json!([
        set("/authEnabled", false),
        set("/aadAuthEnabled", true),
    ]));
    assert!(error.contains("`/aadAuthEnabled` is true"), "{error}");
    assert!(error.contains("`authEnabled`"), "{error}");
    let body = json!({"aadAuthEnabled": true});
    let error = refused(&json!([{"op": "add", "path": "/versions/new", "value": body}]));
    assert!(error.contains("no endpoint takes tokens"), "{error}");
}

#[test]
fn callers_are_kept_by_what_is_said_or_no_longer() {
    let change = read(&json!([set("/sticky", "cookie:session")]));
    let cookie = Sticky::Cookie("session".to_owned());
    assert_eq!(change.sticky, Some(Some(cookie)));
    let change = read(&json!([set("/sticky", Value::Null)]));
    assert_eq!(change.sticky, Some(None));
    let change = read(&json!([{"op": "remove", "path": "/sticky"}]));
    assert_eq!(change.sticky, Some(None));
}

#[test]
fn guards_come_and_go() {
    let guard = "error_rate>1%";
    let change = read(&json!([set("/versions/blue/abortIf", guard)]));
    assert_eq!(change.guards[&name("blue")], Some(guard.parse().unwrap()));
    for operation in [
        set("/versions/green/abortIf", Value::Null),
        json!({"op": "remove", "path": "/versions/green/abortIf"}),
    ] {
        assert_eq!(read(&json!([operation])).guards[&name("green")], None);
    }
    let body = json!({"abortIf": guard, "environmentImageRequest": {"modelIds": ["digits:2"]}});
    let change = read(&json!([{"op": "add", "path": "/versions/new", "value": body}]));
    assert_eq!(change.guards[&name("new")], Some(guard.parse().unwrap()));
}

#[test]
fn one_version_gets_copies() {
    let mut mirror = Mirror::new(name("red"), share("10")).unwrap();
    let change = read(&json!([set("/mirrorTraffic", json!({"red": 10}))]));
    assert_eq!(change.mirror, Some(Some(mirror.clone())));
    mirror.keeps_answers = true;
    let change = read(&json!([
        set("/mirrorKeepsAnswers", true),
        set("/mirrorTraffic", json!({"red": 10})),
    ]));
    assert_eq!(change.mirror, Some(Some(mirror.clone())));
    for none in [Value::Null, json!({})] {
        let change = read(&json!([set("/mirrorTraffic", none)]));
        assert_eq!(change.mirror, Some(None));
    }

    let mut now = shop();
    now.record.mirror = Some(mirror.clone());
    let read = |operations| match read_as(&operations, &now) {
        Ok(EndpointPatch::Change(wished)) => wished.wish.mirror,
        other => panic!("no change: {other:?}"),
    };
    // Whether answers are kept stays as it is.
    mirror.share = share("20");
    let change = read(json!([set("/mirrorTraffic", json!({"red": 20}))]));
    assert_eq!(change, Some(Some(mirror.clone())));
    mirror.share = share("10");
    mirror.keeps_answers = false;
    let change = read(json!([set("/mirrorKeepsAnswers", false)]));
    assert_eq!(change, Some(Some(mirror)));
}

#[test]
fn a_version_is_removed_by_a_patch_of_its_own() {
    let remove = json!({"op": "remove", "path": "/versions/green"});
    let patch = read_as(&json!([remove]), &shop()).unwrap();
    assert!(matches!(patch, EndpointPatch::Remove(version) if version == name("green")));
    let both = json!([set("/versions/blue/isDefault", true), remove]);
    assert!(refused(&both).contains("one of 2 operations: it must be the only one"));
}

#[test]
fn one_version_is_made_or_changed_at_a_time() {
    let add =
        |version: &str| json!({"op": "add", "path": format!("/versions/{version}"), "value": {}});
    let two = [
        json!([add("one"), add("two")]),
        json!([add("one"), set("/versions/green/numReplicas", 2)]),
        json!([
            set("/versions/blue/description", "b"),
            set("/versions/green/numReplicas", 2)
        ]),
    ];
    for operations in two {
        let message = refused(&operations);
        assert!(message.contains("send a patch for each"), "{message}");
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let remove = |path: &str| json!({"op": "remove", "path": path});
    let cases = [
        (
            set("/scoringUri", "x"),
            "`/scoringUri` is not a path of an endpoint",
        ),
        (
            set("/namespace", "x"),
            "`/namespace` is not a path of an endpoint",
        ),
        (
            set("/numReplicas", 2),
            "`/numReplicas` is not a path of an endpoint",
        ),
        (remove("/description"), "only a version, a tag, `/sticky`"),
        (
            set("/versions/green/name", "x"),
            "`/versions/green/name` is not a path",
        ),
        (
            set("/versions/green/authEnabled", true),
            "patch `/authEnabled`",
        ),
        (
            set("/versions/green/namespace", "x"),
            "have no `namespace` of their own",
        ),
        (
            set("/versions/absent/numReplicas", 2),
            "endpoint `shop` has no version `absent`, it has `blue`, `green`, `red`",
        ),
        (
            set("/versions/BAD", json!({})),
            "`BAD` is not a version name",
        ),
        (
            set("/versions/green/trafficPercentile", 101),
            "`101` is not a share",
        ),
        (
            set("/versions/green/trafficPercentile", 0.001),
            "at most two decimals",
        ),
        (
            set("/versions/green/type", "Winner"),
            "unknown variant `Winner`",
        ),
        (
            set("/versions/green/abortIf", "p99"),
            "`/versions/green/abortIf`: `p99`",
        ),
        (
            set("/sticky", "ip"),
            "`/sticky`: `ip` is nothing to keep callers by",
        ),
        (set("/traffic", json!({"green": 101})), "`/traffic/green`"),
        (set("/mirrorTraffic", json!({"red": 51})), "at most 50 can"),
        (
            set("/mirrorTraffic", json!({"red": 1, "blue": 1})),
            "one version can get copies",
        ),
        (set("/mirrorKeepsAnswers", true), "mirrors nothing"),
        (
            set("/versions/new", json!({"authEnabled": true})),
            "`/versions/new/authEnabled` is true",
        ),
    ];
    for (operation, expected) in cases {
        let message = refused(&json!([operation]));
        assert!(message.contains(expected), "{message} / {expected}");
    }
}
