//! The admin door as the original's clients use it.

use serde_json::{Value, json};

use crate::{
    http::Request,
    lusk::{Lusk, constant},
    tar::{Entry, archive},
};

const LONG: &str = "/modelmanagement/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/local";

#[test]
fn a_client_of_the_original_deploys_updates_and_deletes() {
    let lusk = Lusk::start("sdk");
    let ask = |method: &str, path: &str, body: &Value| {
        let request = Request::new(method, &format!("{LONG}{path}")).bearer(&lusk.token());
        if body.is_null() {
            request.send(lusk.admin)
        } else {
            request.json(body).send(lusk.admin)
        }
    };
    let script = constant("1");
    let digest = lusk.upload(&archive(&[Entry::File("src/score.wat", script.as_bytes())]));
    let body = json!({
        "name": "svc", "description": "d", "kvTags": {}, "properties": {}, "location": null,
        "keys": {"primaryKey": null, "secondaryKey": null}, "computeType": "AKS", "computeName": "edge",
        "environmentImageRequest": {"driverProgram": "score.wat", "sourceDirectory": "src", "modelIds": [],
            "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{digest}"), "mimeType": "application/x-tar", "unpack": true}],
            "environment": {"name": "e", "python": {"userManagedDependencies": false}}},
        "numReplicas": 1, "dataCollection": {"storageEnabled": false, "eventHubEnabled": false},
        "appInsightsEnabled": false, "containerResourceRequirements": {"cpu": 0.1, "memoryInGB": 0.5},
        "maxConcurrentRequestsPerContainer": 1, "maxQueueWaitMs": 500, "namespace": null,
        "scoringTimeoutMs": 5000, "authEnabled": true, "storageInitEnabled": true, "overwrite": false,
    });
    let accepted = ask("POST", "/services", &body);
    let location = accepted.header("operation-location").unwrap().to_owned();
    assert!(location.contains(LONG), "{location}");
    let operation = lusk.finish(&accepted);
    assert_eq!(operation["state"], "Succeeded", "{operation:#}");
    assert_eq!(
        operation["operationDetails"]["subOperationType"],
        "DeployService"
    );
    let log = operation["streamingOperationLog"].as_str().unwrap();
    for record in log.split('#') {
        let (time, text) = record.split_once('|').unwrap();
        assert!(
            time.len() == 14 && time.bytes().all(|byte| byte.is_ascii_digit()),
            "{record}"
        );
        assert!(!text.is_empty());
    }
    let offset = log.chars().count();
    let rest = ask(
        "GET",
        &format!(
            "/operations/{}?offset={offset}",
            operation["id"].as_str().unwrap()
        ),
        &Value::Null,
    );
    assert_eq!(rest.json()["streamingOperationLog"], "");

    let service = ask("GET", "/services/svc?expand=true", &Value::Null)
        .expect(200)
        .json();
    assert_eq!(service["computeName"], "edge");
    assert_eq!(
        service["scoringUri"],
        format!("http://{}/api/v1/service/svc/score", lusk.scoring)
    );
    assert_eq!(lusk.score("svc", "").expect(200).text(), "1");

    let patch = json!([{"op": "replace", "path": "/kvTags", "value": {"a": "b"}}]);
    let accepted = ask("PATCH", "/services/svc", &patch);
    assert_eq!(lusk.finish(&accepted)["state"], "Succeeded");
    let listed = ask("GET", "/services?expand=true&tags=a=b", &Value::Null).json();
    assert_eq!(listed["value"][0]["name"], "svc");
    let accepted = ask("DELETE", "/services/svc", &Value::Null);
    assert_eq!(lusk.finish(&accepted)["state"], "Succeeded");
    ask("DELETE", "/services/svc", &Value::Null).expect(204);
    ask("GET", "/services/svc", &Value::Null).expect(404);
}

#[test]
fn every_route_of_the_document_is_served_by_its_door() {
    let lusk = Lusk::start("openapi");
    let document = Request::new("GET", "/openapi.json")
        .send(lusk.admin)
        .expect(200)
        .json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let door = if item.get("servers").is_some() {
            lusk.scoring
        } else {
            lusk.admin
        };
        let target = path
            .replace("{workspace}", "local")
            .replace("{name}", "absent")
            .replace("{id}", "absent:1")
            .replace("{digest}", &format!("sha256:{}", "0".repeat(64)));
        for method in ["get", "head", "post", "patch", "delete", "options", "put"] {
            let request = Request::new(&method.to_uppercase(), &target)
                .bearer(&lusk.token())
                .body("{}");
            let reply = request.send(door);
            let by_get = door == lusk.admin && method == "head" && item.get("get").is_some();
            let is_listed = item.get(method).is_some() || by_get;
            let text = reply.text();
            let is_refused = reply.status == 405 || text.contains("no route");
            // The scoring door hides what a service that is not there would take.
            if door == lusk.admin || is_listed {
                assert_eq!(
                    is_refused, !is_listed,
                    "{method} {path}: {} {text}",
                    reply.status
                );
            }
            asked += 1;
        }
    }
    assert!(asked > 100);
}

#[test]
fn metrics_are_in_the_format_of_prometheus() {
    let lusk = Lusk::start("metrics");
    lusk.deploy("svc").wat(&constant("1")).done();
    for _ in 0..3 {
        lusk.score("svc", "").expect(200);
    }
    assert_eq!(lusk.metric("lusk_replicas_ready", "svc"), 1.0);
    assert_eq!(
        lusk.metric("lusk_request_duration_seconds_count", "svc"),
        3.0
    );
    let page = Request::new("GET", "/metrics")
        .bearer(&lusk.token())
        .send(lusk.admin)
        .expect(200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(
        page.text()
            .contains("lusk_requests_total{service=\"svc\",class=\"2xx\"} 3")
    );
}
