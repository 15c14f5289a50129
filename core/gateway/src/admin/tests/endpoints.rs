//! Endpoints and their versions, asked for as the original's SDK asks.

use super::*;

const SHOP: &str = "/services/shop";

/// The body of a version, as far as it matters here.
fn version(more: Value) -> Value {
    let mut body = json!({"computeType": "AKS", "numReplicas": 1,
        "environmentImageRequest": {"modelIds": ["digits:1"]}});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

fn endpoint(name: &str, first: &str) -> Value {
    json!({"name": name, "computeType": "AksEndpoint", "kvTags": {"team": "red"},
        "keys": {"primaryKey": "hush", "secondaryKey": "quiet"},
        "versions": {first: version(json!({"trafficPercentile": 20}))}})
}

/// What versions are called inside is not in it.
fn assert_outer_names(text: &str) {
    for version in ["blue", "green", "shadow", "endless"] {
        assert!(!text.contains(&format!("shop/{version}")), "{text}");
    }
}

fn replace(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "replace", "path": path, "value": value.into()})
}

fn add(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "add", "path": path, "value": value.into()})
}

fn remove(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

impl Door {
    /// A door with endpoint `shop`, whose only version is `blue`.
    async fn with_shop() -> Self {
        let door = Self::open().await;
        door.register("digits").await;
        door.done("POST", "/services", endpoint("shop", "blue"))
            .await;
        door
    }

    /// Sends what starts an operation that succeeds.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let operation = self.operate(method, path, body).await;
        assert_eq!(operation["state"], "Succeeded", "{operation:#}");
        assert_outer_names(&operation.to_string());
        operation
    }

    async fn patch(&self, operations: Value) -> Value {
        self.done("PATCH", SHOP, operations).await
    }

    async fn refuses(&self, operations: Value) -> String {
        let reply = self.ask("PATCH", SHOP, operations).await;
        assert_error(&reply, 400, "BadRequest");
        reply.text
    }

    async fn show(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, Value::Null).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_outer_names(&reply.text);
        assert!(
            !reply.text.contains("hush") && !reply.text.contains("quiet"),
            "{}",
            reply.text
        );
        reply.json()
    }

    /// Version, own share, real share and role of each.
    async fn split(&self) -> Vec<(String, f64, f64, &'static str)> {
        let shop = self.show(SHOP).await;
        let versions = shop["versions"].as_object().unwrap();
        let row = |(name, version): (&String, &Value)| {
            let role = match (version["isDefault"] == true, version["type"] == "Control") {
                (true, true) => "default, control",
                (true, false) => "default",
                (false, true) => "control",
                (false, false) => "",
            };
            let share = |key: &str| version[key].as_f64().unwrap();
            let (own, real) = (
                share("trafficPercentile"),
                share("effectiveTrafficPercentile"),
            );
            (name.clone(), own, real, role)
        };
        versions.iter().map(row).collect()
    }

    async fn names(&self, query: &str) -> Vec<String> {
        let page = self.show(&format!("/services?{query}")).await;
        let items = page["value"].as_array().unwrap().iter();
        items
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn row(name: &str, own: f64, real: f64, role: &'static str) -> (String, f64, f64, &'static str) {
    (name.to_owned(), own, real, role)
}

#[tokio::test]
async fn the_worked_example_of_the_original_by_the_requests_of_its_sdk() {
    let door = Door::with_shop().await;
    assert_eq!(door.split().await, [row("blue", 20.0, 100.0, "default")]);

    let green = version(json!({"name": "green", "trafficPercentile": 10}));
    let operation = door.patch(json!([add("/versions/green", green)])).await;
    assert_eq!(
        (&operation["service"], &operation["version"]),
        (&json!("shop"), &json!("green"))
    );
    assert_eq!(
        operation["resourceLocation"],
        "http://node:81/workspaces/local/services/shop/versions/green"
    );
    let both = [
        row("blue", 20.0, 90.0, "default"),
        row("green", 10.0, 10.0, ""),
    ];
    assert_eq!(door.split().await, both);

    // update_version("green", traffic_percentile=40, is_default=True, …control=True)
    door.patch(json!([
        replace("/versions/blue/isDefault", false),
        replace("/versions/blue/type", "Treatment"),
        replace("/versions/green/isDefault", true),
        replace("/versions/green/type", "Control"),
        replace("/versions/green/trafficPercentile", 40),
    ]))
    .await;
    let both = [
        row("blue", 20.0, 20.0, ""),
        row("green", 40.0, 80.0, "default, control"),
    ];
    assert_eq!(door.split().await, both);

    door.patch(json!([remove("/versions/blue")])).await;
    let last = [row("green", 40.0, 100.0, "default, control")];
    assert_eq!(door.split().await, last);
}

#[tokio::test]
async fn a_new_version_takes_default_and_control_from_the_others() {
    let door = Door::with_shop().await;
    let body = version(json!({"isDefault": true, "type": "Control", "abortIf": "p99>250ms"}));
    // Without a control it could not be rolled back.
    door.refuses(json!([add("/versions/green", body)])).await;
    let body = version(json!({"isDefault": true, "type": "Control", "trafficPercentile": 5}));
    door.patch(json!([
        replace("/versions/blue/isDefault", false),
        replace("/versions/blue/type", "Treatment"),
        add("/versions/green", body),
    ]))
    .await;
    let both = [
        row("blue", 20.0, 20.0, ""),
        row("green", 5.0, 80.0, "default, control"),
    ];
    assert_eq!(door.split().await, both);
    door.patch(json!([replace("/versions/blue/abortIf", "p99>250ms")]))
        .await;
    let blue = door.show("/services/shop/versions/blue").await;
    assert_eq!(blue["abortIf"], "p99>250ms");
}

#[tokio::test]
async fn a_version_is_redeployed_and_relabelled() {
    let door = Door::with_shop().await;
    let operation = door
        .patch(json!([
            replace("/versions/blue/scoringTimeoutMs", 1234),
            replace("/versions/blue/autoScaler/autoscaleEnabled", true),
            replace("/versions/blue/autoScaler/maxReplicas", 3),
            replace("/versions/blue/tags", json!({"a": "b"})),
            replace("/versions/blue/description", "new"),
        ]))
        .await;
    assert_eq!(operation["version"], "blue");
    let blue = door.show("/services/shop/versions/blue").await;
    assert_eq!(blue["scoringTimeoutMs"], 1234);
    assert_eq!(blue["autoScaler"]["maxReplicas"], 3);
    assert_eq!(blue["kvTags"], json!({"a": "b"}));
    assert_eq!(blue["description"], "new");
    assert_eq!(blue["revision"], 2);
    door.patch(json!([remove("/versions/blue/kvTags/a")])).await;
    let blue = door.show("/services/shop/versions/blue").await;
    assert_eq!(
        (&blue["kvTags"], &blue["revision"]),
        (&json!({}), &json!(2))
    );
}

#[tokio::test]
async fn what_is_common_to_the_versions_is_changed_on_the_endpoint() {
    let door = Door::with_shop().await;
    door.patch(json!([
        replace("/authEnabled", false),
        replace("/appInsightsEnabled", true),
        replace("/kvTags", json!({"a": "b"})),
        add("/properties/p", "q"),
        replace("/description", "new"),
        replace("/sticky", "cookie:session"),
    ]))
    .await;
    let shop = door.show(SHOP).await;
    assert_eq!(shop["computeType"], "AKSENDPOINT");
    for shown in [&shop, &shop["versions"]["blue"]] {
        assert_eq!(shown["authEnabled"], false);
        assert_eq!(shown["appInsightsEnabled"], true);
    }
    assert_eq!(shop["kvTags"], json!({"a": "b"}));
    assert_eq!(shop["properties"], json!({"p": "q"}));
    assert_eq!(shop["description"], "new");
    assert_eq!(shop["sticky"], "cookie:session");
}

#[tokio::test]
async fn shares_and_copies_are_set_in_one_step() {
    let door = Door::with_shop().await;
    for name in ["green", "shadow"] {
        let path = format!("/versions/{name}");
        door.patch(json!([add(&path, version(json!({})))])).await;
    }
    door.patch(json!([
        replace("/traffic", json!({"blue": 60, "green": 40})),
        replace("/mirrorTraffic", json!({"shadow": 10})),
        replace("/mirrorKeepsAnswers", true),
    ]))
    .await;
    let shop = door.show(SHOP).await;
    assert_eq!(
        shop["traffic"],
        json!({"blue": 60.0, "green": 40.0, "shadow": 0.0})
    );
    assert_eq!(shop["mirrorTraffic"], json!({"shadow": 10.0}));
    assert_eq!(shop["mirrorKeepsAnswers"], true);
    let refused = door
        .refuses(json!([replace("/versions/green/trafficPercentile", 41)]))
        .await;
    assert!(refused.contains("claim 101 percent"), "{refused}");
}

#[tokio::test]
async fn a_winner_is_promoted_and_a_loser_rolled_back() {
    let door = Door::with_shop().await;
    let body = version(json!({"trafficPercentile": 10}));
    door.patch(json!([
        replace("/versions/blue/type", "Control"),
        add("/versions/green", body)
    ]))
    .await;
    door.done("POST", "/services/shop/rollback", Value::Null)
        .await;
    let both = [
        row("blue", 20.0, 100.0, "default, control"),
        row("green", 0.0, 0.0, ""),
    ];
    assert_eq!(door.split().await, both);
    let green = json!({"version": "green"});
    door.done("POST", "/services/shop/promote", green.clone())
        .await;
    let both = [
        row("blue", 0.0, 0.0, ""),
        row("green", 0.0, 100.0, "default, control"),
    ];
    assert_eq!(door.split().await, both);
    for (path, body, status, code) in [
        ("promote", json!({}), 400, "BadRequest"),
        ("promote", json!({"versoin": "green"}), 400, "BadRequest"),
        ("promote", json!({"version": "red"}), 404, "NotFound"),
        ("rollback", json!({"version": "red"}), 404, "NotFound"),
        // It is the control itself.
        ("rollback", green, 400, "BadRequest"),
    ] {
        let reply = door
            .ask("POST", &format!("/services/shop/{path}"), body)
            .await;
        assert_error(&reply, status, code);
    }
}

#[tokio::test]
async fn versions_have_pages_of_their_own() {
    let door = Door::with_shop().await;
    door.patch(json!([add("/versions/green", version(json!({})))]))
        .await;
    door.patch(json!([replace("/versions/green/scoringTimeoutMs", 1234)]))
        .await;
    // Two deployments of green, one of blue, a line each.
    for (path, expected) in [
        ("/logs", "ready"),
        ("/logs?version=green", "ready\nready"),
        ("/logs?version=green&tail=1", "ready"),
        ("/versions/green/logs", "ready\nready"),
        ("/versions/blue/logs", "ready"),
        ("/versions/green/logs?init=true", ""),
    ] {
        let logs = door.show(&format!("{SHOP}{path}")).await;
        assert_eq!(logs["content"], expected, "{path}");
    }
    for path in ["/scaling", "/versions/green/scaling"] {
        let shown = door.show(&format!("{SHOP}{path}")).await;
        assert!(shown["decisions"].is_array(), "{path}");
    }
    for path in ["/batches", "/versions/green/batches"] {
        let shown = door.show(&format!("{SHOP}{path}")).await;
        assert_eq!(shown, json!({"models": []}), "{path}");
    }
    let green = door.show("/services/shop/versions/green?expand=true").await;
    let shop = door.show(SHOP).await;
    assert_eq!(green, shop["versions"]["green"]);
    assert_eq!(green["modelDetails"][0]["id"], "digits:1");

    for path in ["", "/logs", "/scaling", "/batches"] {
        let absent = format!("{SHOP}/versions/absent{path}");
        let reply = door.ask("GET", &absent, Value::Null).await;
        assert_error(&reply, 404, "NotFound");
        assert!(
            reply.text.contains("it has `blue`, `green`"),
            "{}",
            reply.text
        );
        let reply = door
            .ask(
                "GET",
                &format!("/services/absent/versions/blue{path}"),
                Value::Null,
            )
            .await;
        assert_error(&reply, 404, "NotFound");
    }
    // What a version is called inside leads nowhere.
    let inner = door.ask("GET", "/services/shop%2Fblue", Value::Null).await;
    assert_error(&inner, 400, "BadRequest");
}

#[tokio::test]
async fn keys_are_the_endpoints_and_tokens_are_not_given() {
    let door = Door::with_shop().await;
    let keys = door
        .ask("POST", "/services/shop/listkeys", Value::Null)
        .await;
    assert_eq!(
        keys.json(),
        json!({"primaryKey": "hush", "secondaryKey": "quiet"})
    );
    let body = json!({"keyType": "Secondary", "keyValue": "mine"});
    door.done("POST", "/services/shop/regenerateKeys", body)
        .await;
    let keys = door
        .ask("POST", "/services/shop/listkeys", Value::Null)
        .await;
    assert_eq!(keys.json()["secondaryKey"], "mine");
    let token = door.ask("POST", "/services/shop/token", Value::Null).await;
    assert_error(&token, 400, "BadRequest");
    assert!(token.text.contains("endpoint `shop` does not take tokens"));
    let reload = json!({"driverProgram": "s.py"});
    let reload = door.ask("POST", "/services/shop/reload", reload).await;
    assert_error(&reload, 400, "BadRequest");
}

#[tokio::test]
async fn versions_go_one_by_one_or_with_their_endpoint() {
    let door = Door::with_shop().await;
    door.patch(json!([add("/versions/green", version(json!({})))]))
        .await;
    let refused = door.refuses(json!([remove("/versions/blue")])).await;
    assert!(
        refused.contains("make another one the default first"),
        "{refused}"
    );
    let green = "/services/shop/versions/green";
    door.done("DELETE", green, Value::Null).await;
    assert_eq!(door.ask("DELETE", green, Value::Null).await.status, 204);
    let absent = door
        .ask("PATCH", SHOP, json!([remove("/versions/green")]))
        .await;
    assert_eq!(absent.status, 204);
    door.patch(json!([add("/versions/green", version(json!({})))]))
        .await;
    door.done("DELETE", SHOP, Value::Null).await;
    assert_error(&door.ask("GET", SHOP, Value::Null).await, 404, "NotFound");
    assert_eq!(door.ask("DELETE", SHOP, Value::Null).await.status, 204);
    assert_eq!(door.names("").await, Vec::<String>::new());

    door.done("POST", "/services", endpoint("shop", "blue"))
        .await;
    door.done("DELETE", "/services/shop/versions/blue", Value::Null)
        .await;
    assert_error(&door.ask("GET", SHOP, Value::Null).await, 404, "NotFound");
}

#[tokio::test]
async fn lists_hold_services_and_endpoints_but_no_versions() {
    let door = Door::with_shop().await;
    door.register("digits").await;
    let body = version(json!({"environmentImageRequest": {"modelIds": ["digits:2"]}}));
    door.patch(json!([add("/versions/green", body)])).await;
    door.deploy("apple").await;
    door.deploy("zebra").await;
    for (query, expected) in [
        ("", &["apple", "shop", "zebra"][..]),
        ("computeType=aksendpoint", &["shop"]),
        ("computeType=AKS", &["apple", "zebra"]),
        ("modelName=digits", &["shop"]),
        ("modelId=digits:2", &["shop"]),
        ("modelId=digits:3", &[]),
        ("modelName=zebra", &["zebra"]),
        ("tags=team", &["shop"]),
        ("tags=team=blue", &[]),
        ("properties=p", &[]),
        ("imageDigest=x", &[]),
    ] {
        assert_eq!(door.names(query).await, expected, "{query}");
    }
    let mut seen = Vec::new();
    let mut path = "/workspaces/local/services?count=1".to_owned();
    loop {
        let page = door.send("GET", &path, Body::empty()).await.json();
        let items = page["value"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["name"].clone()));
        match page["nextLink"].as_str() {
            Some(next) => path = next.strip_prefix("http://node:81").unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["apple", "shop", "zebra"]);
    let in_use = door.ask("DELETE", "/models/digits:2", Value::Null).await;
    assert_error(&in_use, 412, "DeletionRequired");
    assert!(
        in_use.text.contains("version `green` of endpoint `shop`"),
        "{}",
        in_use.text
    );
}

#[tokio::test]
async fn services_and_endpoints_share_their_names() {
    let door = Door::with_shop().await;
    let again = door
        .ask("POST", "/services", endpoint("shop", "blue"))
        .await;
    assert_error(&again, 409, "Conflict");
    let mut service = version(json!({"name": "shop"}));
    service["overwrite"] = json!(true);
    assert_error(
        &door.ask("POST", "/services", service).await,
        409,
        "Conflict",
    );
    door.deploy("digits").await;
    let other = door
        .ask("POST", "/services", endpoint("digits", "blue"))
        .await;
    assert_error(&other, 409, "Conflict");
    for (method, path) in [
        ("GET", "/services/digits/versions/blue"),
        ("DELETE", "/services/digits/versions/blue"),
        ("POST", "/services/digits/promote"),
        ("POST", "/services/digits/rollback"),
        ("GET", "/services/digits/logs?version=blue"),
    ] {
        let reply = door.ask(method, path, json!({"version": "blue"})).await;
        assert_error(&reply, 400, "BadRequest");
    }
}

#[tokio::test]
async fn a_version_that_is_not_up_yet_is_shown_without_a_share() {
    let door = Door::with_shop().await;
    let add = json!([add(
        "/versions/endless",
        version(json!({"trafficPercentile": 10}))
    )]);
    let accepted = door.ask("PATCH", SHOP, add.clone()).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let endless = door.show("/services/shop/versions/endless").await;
    assert_eq!(endless["state"], "Transitioning");
    assert_eq!(endless["trafficPercentile"], Value::Null);
    assert_eq!(door.show(SHOP).await["traffic"], json!({"blue": 20.0}));
    let busy = door.ask("PATCH", SHOP, add).await;
    assert_error(&busy, 409, "Conflict");
    assert_outer_names(&busy.text);
    // The SDK tells every other version that it is not the default.
    door.patch(json!([
        replace("/versions/endless/isDefault", false),
        replace("/versions/endless/type", "Treatment"),
        replace("/versions/blue/isDefault", true),
        replace("/versions/blue/type", "Control"),
    ]))
    .await;
    door.done("DELETE", SHOP, Value::Null).await;
}

#[tokio::test]
async fn an_endpoint_may_wait_for_its_first_version() {
    let door = Door::open().await;
    door.register("digits").await;
    let body = json!({"name": "shop", "computeType": "AKSENDPOINT"});
    door.done("POST", "/services", body).await;
    let shop = door.show(SHOP).await;
    assert_eq!(
        (&shop["versions"], &shop["traffic"]),
        (&json!({}), &json!({}))
    );
    assert_eq!(shop["state"], "Unhealthy");
    assert_eq!(shop["deploymentStatus"], Value::Null);
    let logs = door.ask("GET", "/services/shop/logs", Value::Null).await;
    assert_error(&logs, 404, "NotFound");
    door.patch(json!([add("/versions/blue", version(json!({})))]))
        .await;
    assert_eq!(door.split().await, [row("blue", 0.0, 100.0, "default")]);
}

#[tokio::test]
async fn dry_checks_know_endpoints_and_what_the_sdk_wraps_them_in() {
    let door = Door::with_shop().await;
    let wrap = |key: &str, name: &str, request: Value| {
        let mut body = json!({"type": "Create", "serviceName": name,
            "createRequest": null, "updateRequest": null});
        body[key] = request;
        body
    };
    let lost = json!({"environmentImageRequest": {"modelIds": ["digits:9"]}});
    let mut without_model = endpoint("new", "blue");
    without_model["versions"]["blue"] = version(lost);
    let mut slow = endpoint("new", "blue");
    slow["versions"]["blue"] = version(json!({"scoringTimeoutMs": 300_001}));
    let fast = json!([replace("/versions/blue/scoringTimeoutMs", 5)]);
    for (path, body, expected) in [
        (
            "/name/shop",
            Value::Null,
            Some("endpoint `shop` exists already"),
        ),
        ("/resource", endpoint("new", "blue"), None),
        ("/resource", slow.clone(), Some("over the limit")),
        ("", endpoint("new", "blue"), None),
        ("", endpoint("shop", "blue"), Some("exists already")),
        ("", without_model, Some("no model `digits:9`")),
        ("", slow, Some("over the limit")),
        (
            "",
            wrap("createRequest", "new", endpoint("new", "blue")),
            None,
        ),
        (
            "",
            wrap("createRequest", "shop", endpoint("shop", "blue")),
            Some("exists already"),
        ),
        ("", wrap("updateRequest", "shop", fast.clone()), None),
        (
            "",
            wrap("updateRequest", "absent", fast),
            Some("no service `absent`"),
        ),
        (
            "",
            wrap(
                "updateRequest",
                "shop",
                json!([replace("/versions/red/numReplicas", 1)]),
            ),
            Some("has no version `red`"),
        ),
        ("", wrap("type", "shop", json!("Delete")), None),
    ] {
        let path = format!("/services/validate{path}");
        let reply = door.ask("POST", &path, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let verdict = reply.json();
        assert_eq!(verdict["valid"], expected.is_none(), "{path}: {verdict}");
        match expected {
            // The SDK looks into an error that is there, null or not.
            None => assert!(verdict.get("error").is_none(), "{verdict}"),
            Some(text) => {
                let message = verdict["error"]["message"].as_str().unwrap();
                assert!(message.contains(text), "{message} / {text}");
            }
        }
    }
}
