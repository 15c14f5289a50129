use super::*;
use crate::admin::tests::{options, views::shop};

fn shown() -> Value {
    endpoint(&shop(), &Models::new(), &options())
}

/// What the original's SDK reads of an endpoint, and what its `serialize()` gives.
const REQUIRED: [&str; 21] = [
    "computeType",
    "createdTime",
    "description",
    "kvTags",
    "name",
    "properties",
    "appInsightsEnabled",
    "authEnabled",
    "computeName",
    "scoringUri",
    "aadAuthEnabled",
    "error",
    "state",
    "updatedTime",
    "versions",
    "deploymentStatus",
    "namespace",
    "swaggerUri",
    "tags",
    "workspaceName",
    "id",
];

#[test]
fn every_key_of_the_original_is_there() {
    let shown = shown();
    for key in REQUIRED {
        assert!(shown.get(key).is_some(), "{key}");
    }
    assert_eq!(shown["computeType"], "AKSENDPOINT");
    assert_eq!(shown["createdTime"], "2021-03-04T05:06:07.123456Z");
    assert_eq!(
        shown["scoringUri"],
        "http://127.0.0.1:8080/api/v1/endpoint/shop/score"
    );
    assert_eq!(
        shown["swaggerUri"],
        "http://127.0.0.1:8080/api/v1/endpoint/shop/swagger.json"
    );
    assert_eq!(shown["authEnabled"], false);
    assert_eq!(shown["appInsightsEnabled"], true);
}

#[test]
fn a_version_is_a_whole_service_under_its_own_name() {
    let shown = shown();
    let blue = &shown["versions"]["blue"];
    assert_eq!(
        (&blue["name"], &blue["id"]),
        (&json!("blue"), &json!("blue"))
    );
    assert_eq!(blue["computeType"], "AKS");
    assert!(blue["autoScaler"].is_object() && blue["deploymentStatus"].is_object());
    assert_eq!(
        blue["scoringUri"],
        "http://127.0.0.1:8080/api/v1/endpoint/shop/version/blue/score"
    );
    assert_eq!(
        blue["swaggerUri"],
        "http://127.0.0.1:8080/api/v1/endpoint/shop/version/blue/swagger.json"
    );
    // What is common comes from the endpoint.
    assert_eq!(blue["authEnabled"], false);
    assert_eq!(blue["computeName"], "edge1");
    assert_eq!(blue["isDefault"], true);
    assert_eq!(blue["trafficPercentile"], 50.0);
    assert_eq!(blue["effectiveTrafficPercentile"], 80.0);
    assert_eq!(blue["versionType"], "Control");
    assert_eq!(blue["abortIf"], Value::Null);
    let green = &shown["versions"]["green"];
    assert_eq!(green["effectiveTrafficPercentile"], 20.0);
    assert_eq!(
        (&green["type"], &green["versionType"]),
        (&json!("Treatment"), &json!("Treatment"))
    );
    assert_eq!(green["abortIf"], "p99>250ms");
    // Nothing of its own before it was healthy.
    let red = &shown["versions"]["red"];
    assert_eq!(red["trafficPercentile"], Value::Null);
    assert_eq!(red["effectiveTrafficPercentile"], 0.0);
}

#[test]
fn the_endpoint_tells_how_it_splits() {
    let shown = shown();
    assert_eq!(shown["traffic"], json!({"blue": 50.0, "green": 20.0}));
    assert_eq!(shown["defaultVersion"], "blue");
    assert_eq!(shown["controlVersion"], "blue");
    assert_eq!(shown["sticky"], "header:x-user");
    assert_eq!(shown["mirrorTraffic"], Value::Null);
    assert_eq!(shown["mirrorKeepsAnswers"], false);
    assert_eq!(shown["rolledBack"], Value::Null);
    let mut view = shop();
    view.record.rolled_back = Some(RolledBack {
        version: "green".parse().unwrap(),
        at: view.record.created_time,
        reason: "p99 was 300 ms".to_owned(),
        guard: None,
        operation: uuid::Uuid::nil(),
    });
    let mut mirror =
        lusk_domain::Mirror::new("red".parse().unwrap(), "12.5".parse().unwrap()).unwrap();
    mirror.keeps_answers = true;
    view.record.mirror = Some(mirror);
    let shown = endpoint(&view, &Models::new(), &options());
    assert_eq!(shown["mirrorTraffic"], json!({"red": 12.5}));
    assert_eq!(shown["mirrorKeepsAnswers"], true);
    assert_eq!(shown["rolledBack"]["version"], "green");
    assert_eq!(shown["rolledBack"]["reason"], "p99 was 300 ms");
}

#[test]
fn no_secret_and_no_inner_name_is_shown() {
    let text = shown().to_string();
    assert!(!text.contains("key one") && !text.contains("key two"));
    assert!(!text.contains("shop/blue") && !text.contains("shop/green"));
}
