use bytes::Bytes;
use serde_json::json;

use super::*;

fn create(tree: &Value) -> Result<CreateEndpoint, Fault> {
    create_endpoint(&Json::from(Bytes::from(tree.to_string()))).map(|wished| wished.wish)
}

/// The body that the original's SDK sends, every key of it: what is the endpoint's is
/// in the version too.
fn sdk_body() -> Value {
    json!({
        "name": "shop", "description": "d", "tags": null, "kvTags": {"a": "b"},
        "properties": {"p": "q"}, "computeType": "AKSENDPOINT", "computeName": "edge1",
        "appInsightsEnabled": true, "namespace": "ns", "authEnabled": true,
        "keys": {"primaryKey": "one", "secondaryKey": "two"}, "overwrite": true,
        "versions": {"blue": {
            "name": "blue", "description": "d", "kvTags": {"a": "b"}, "properties": {"p": "q"},
            "keys": {"primaryKey": "one", "secondaryKey": "two"},
            "computeType": "AKSENDPOINT", "computeName": null, "location": null,
            "environmentImageRequest": {"modelIds": ["digits:1"]},
            "numReplicas": 2, "dataCollection": {"storageEnabled": true, "eventHubEnabled": false},
            "appInsightsEnabled": true, "authEnabled": true, "namespace": "ns",
            "containerResourceRequirements": {"cpu": 0.5, "cpuLimit": null, "memoryInGB": 1,
                                              "memoryInGBLimit": null, "gpu": null},
            "maxConcurrentRequestsPerContainer": 4, "maxQueueWaitMs": 700,
            "scoringTimeoutMs": 9000, "trafficPercentile": 20,
        }},
    })
}

#[test]
fn every_key_of_the_original_reaches_the_wish() {
    let wish = create(&sdk_body()).unwrap();
    assert_eq!(wish.name.as_str(), "shop");
    assert_eq!(wish.description.as_deref(), Some("d"));
    assert_eq!((&*wish.tags["a"], &*wish.properties["p"]), ("b", "q"));
    assert_eq!(wish.compute_name.unwrap().as_str(), "edge1");
    assert_eq!(wish.namespace.unwrap().as_str(), "ns");
    assert_eq!((wish.auth, wish.app_insights), (AuthMode::Key, true));
    assert_eq!(wish.primary_key, Some(Secret::new("one")));
    assert_eq!(wish.secondary_key, Some(Secret::new("two")));
    assert!(wish.overwrite);
    let version = wish.version.unwrap();
    assert_eq!(version.name.as_str(), "blue");
    assert_eq!(version.stake.share, Some("20".parse().unwrap()));
    assert_eq!(version.service.models[0].to_string(), "digits:1");
    let settings = version.service.settings;
    assert_eq!(settings.num_replicas, Some(2));
    assert_eq!(settings.storage_enabled, Some(true));
    assert_eq!(settings.scoring_timeout_ms, Some(9000));
}

#[test]
fn an_endpoint_may_begin_without_a_version_and_auth_has_its_default() {
    for versions in [Value::Null, json!({})] {
        let wish = create(&json!({"name": "shop", "versions": versions})).unwrap();
        assert!(wish.version.is_none());
        assert_eq!((wish.auth, wish.app_insights), (AuthMode::Key, false));
    }
    let wish = create(&json!({"name": "shop", "authEnabled": false})).unwrap();
    assert_eq!(wish.auth, AuthMode::None);
}

#[test]
fn the_compute_type_tells_endpoints_in_any_case() {
    for (word, is) in [("aksendpoint", true), ("AKSENDPOINT", true), ("AKS", false)] {
        let body = Json::of(&json!({"computeType": word}));
        assert_eq!(is_endpoint(&body).unwrap(), is, "{word}");
    }
    assert!(!is_endpoint(&Json::of(&json!({"computeType": 1}))).unwrap());
}

#[test]
fn a_version_cannot_contradict_its_endpoint() {
    for (key, value) in [
        ("authEnabled", json!(false)),
        ("aadAuthEnabled", json!(true)),
        ("appInsightsEnabled", json!(false)),
        ("namespace", json!("other")),
        ("keys", json!({"primaryKey": "hush"})),
        ("name", json!("green")),
        ("computeType", json!("LOCAL")),
        ("trafficPercentile", json!(100.5)),
        ("abortIf", json!("never")),
    ] {
        let mut body = sdk_body();
        body["versions"]["blue"][key] = value;
        let message = create(&body).unwrap_err().message;
        assert!(
            message.contains(&format!("versions/blue/{key}`")),
            "{message}"
        );
        assert!(
            !message.contains("hush") && !message.contains("one"),
            "{message}"
        );
    }
}

#[test]
fn what_is_a_versions_is_none_of_the_endpoint() {
    for (key, value) in [
        ("trafficPercentile", json!(20)),
        ("isDefault", json!(true)),
        ("type", json!("Control")),
        ("versionType", json!("Control")),
        ("abortIf", json!("error_rate>1%")),
        ("numReplicas", json!(2)),
        ("autoScaler", json!({"maxReplicas": 2, "minReplicas": null})),
        ("containerResourceRequirements", json!({"cpu": 1})),
        ("livenessProbeRequirements", json!({"periodSeconds": 2})),
        ("dataCollection", json!({"storageEnabled": false})),
        ("maxConcurrentRequestsPerContainer", json!(2)),
        ("maxQueueWaitMs", json!(2)),
        ("scoringTimeoutMs", json!(2)),
        ("remoteReplicas", json!([])),
    ] {
        let mut body = sdk_body();
        body[key] = value;
        let message = create(&body).unwrap_err().message;
        assert!(
            message.starts_with(&format!("`{key}` is not a key of an endpoint")),
            "{message}"
        );
        assert!(message.contains("`versions.<name>`"), "{message}");
        // What the original's SDK says of what it was not given.
        for nothing in [Value::Null, json!({"one": null, "two": null})] {
            body[key] = nothing;
            assert!(create(&body).is_ok(), "{key}");
        }
    }
}

#[test]
fn what_is_misplaced_is_refused_with_the_way_out() {
    for (more, expected) in [
        (
            json!({"versions": {"one": {}, "two": {}}}),
            "`add /versions/<name>`",
        ),
        (
            json!({"versions": {"blue": []}}),
            "`versions/blue` is not an object",
        ),
        (json!({"versions": {"B": {}}}), "`B` is not a version name"),
        (
            json!({"environmentImageRequest": {}}),
            "put it into `versions.<name>`",
        ),
        (json!({"traffic": {"blue": 1}}), "then patch it"),
        (json!({"sticky": "key"}), "then patch it"),
        (json!({"name": "validate"}), "is a route of this API"),
        (json!({"name": "shop/blue"}), "is not a service name"),
        (
            json!({"keys": {"secondaryKey": "two"}}),
            "without `keys.primaryKey`",
        ),
        (
            json!({"aadAuthEnabled": true}),
            "no endpoint takes tokens here: leave it out, or set `authEnabled`",
        ),
    ] {
        let mut body = json!({"name": "shop"});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        let message = create(&body).unwrap_err().message;
        assert!(message.contains(expected), "{message} / {expected}");
    }
}
