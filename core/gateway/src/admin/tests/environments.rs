//! Registered environments through the door.

use super::*;

async fn register(door: &Door, environment: Value) -> Value {
    let reply = door.ask("POST", "/environments", environment).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json()
}

#[tokio::test]
async fn an_environment_is_registered_listed_and_shown() {
    let door = Door::open().await;
    let registry = json!({"address": "r", "username": "u", "password": "hidden"});
    let docker = json!({"baseImageRegistry": registry});
    let first = register(&door, json!({"name": "sk", "docker": docker})).await;
    assert_eq!(
        (&first["name"], &first["version"]),
        (&json!("sk"), &json!("1"))
    );
    assert!(
        first["imageId"]
            .as_str()
            .unwrap()
            .starts_with("azureml/azureml_")
    );
    assert!(!first.to_string().contains("hidden"));
    register(
        &door,
        json!({"name": "sk", "environmentVariables": {"A": "1"}}),
    )
    .await;
    register(&door, json!({"name": "torch"})).await;

    let list = door.ask("GET", "/environments", Value::Null).await.json();
    let seen: Vec<_> = list["value"].as_array().unwrap().iter().collect();
    assert_eq!(
        seen.iter().map(|one| &one["version"]).collect::<Vec<_>>(),
        ["2", "3"]
    );
    let show = door.ask("GET", "/environments/sk", Value::Null).await;
    assert_eq!(show.json()["environmentVariables"]["A"], "1");
    let path = "/environments/sk/versions";
    let versions = door.ask("GET", path, Value::Null).await.json();
    assert_eq!(versions["value"].as_array().unwrap().len(), 2);
    let old = door.ask("GET", &format!("{path}/1"), Value::Null).await;
    assert_eq!(old.json()["docker"]["baseImageRegistry"]["address"], "r");
}

#[tokio::test]
async fn names_that_are_none_or_unknown_are_refused() {
    let door = Door::open().await;
    for (body, expected) in [
        (json!({}), "`name` is missing"),
        (
            json!({"name": "AzureML-x"}),
            "belong to curated environments",
        ),
        (json!({"name": "e", "version": "a b"}), "is not a version"),
    ] {
        let reply = door.ask("POST", "/environments", body).await;
        assert_eq!(reply.status, 400, "{}", reply.text);
        assert!(reply.text.contains(expected), "{}", reply.text);
    }
    register(&door, json!({"name": "sklearn"})).await;
    for (path, expected) in [
        ("sklearn-env", "near it are `sklearn`"),
        ("other", "register it first"),
        ("sklearn/versions/9", "the newest of 1 is `1`"),
        ("other/versions", "register it first"),
    ] {
        let reply = door
            .ask("GET", &format!("/environments/{path}"), Value::Null)
            .await;
        assert_eq!(reply.status, 404, "{}", reply.text);
        assert!(reply.text.contains(expected), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_service_takes_a_registered_environment() {
    let door = Door::open().await;
    let variables = json!({"A": "1"});
    register(
        &door,
        json!({"name": "e", "environmentVariables": variables}),
    )
    .await;
    let stored = door
        .send("POST", "/workspaces/local/blobs", SNAPSHOT)
        .await
        .json();
    let url = format!("lusk://blobs/{}", stored["digest"].as_str().unwrap());
    let body = |name: &str| {
        json!({
            "name": "digits", "computeType": "AKS",
            "environmentImageRequest": {
                "driverProgram": "score.py", "runtime": "python",
                "assets": [{"id": "snapshot", "url": url}],
                "environmentReference": {"name": name},
            },
        })
    };
    let refused = door.ask("POST", "/services", body("f")).await;
    assert_eq!(refused.status, 404, "{}", refused.text);
    let verdict = door.ask("POST", "/services/validate", body("f")).await;
    assert_eq!(verdict.json()["error"]["statusCode"], 404);
    let accepted = door.ask("POST", "/services", body("e")).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let service = door
        .ask("GET", "/services/digits", Value::Null)
        .await
        .json();
    let image = &service["environmentImageRequest"];
    assert_eq!(image["environment"]["environmentVariables"], variables);
    assert_eq!(image["runtime"], "python");
}

#[tokio::test]
async fn a_local_service_keeps_what_a_reload_does_not_say() {
    let door = Door::open().await;
    register(&door, json!({"name": "e"})).await;
    let stored = door
        .send("POST", "/workspaces/local/blobs", SNAPSHOT)
        .await
        .json();
    let url = format!("lusk://blobs/{}", stored["digest"].as_str().unwrap());
    let assets = json!([{"id": "snapshot", "url": url}]);
    let body = json!({
        "name": "debug", "computeType": "LOCAL",
        "environmentImageRequest": {
            "driverProgram": "score.py", "sourceDirectory": "src", "runtime": "python",
            "assets": assets, "environmentReference": {"name": "e"},
        },
    });
    door.operate("POST", "/services", body).await;
    let image = async |body: Value| {
        door.operate("POST", "/services/debug/reload", body).await;
        let shown = door.ask("GET", "/services/debug", Value::Null).await.json();
        shown["environmentImageRequest"].clone()
    };
    let script = image(json!({"driverProgram": "new.py", "assets": assets})).await;
    assert_eq!(script["driverProgram"], "new.py");
    assert_eq!(script["environment"]["name"], "e");
    assert_eq!(script["runtime"], "python");
    register(&door, json!({"name": "f"})).await;
    let environment = image(json!({"environmentReference": {"name": "f"}})).await;
    assert_eq!(environment["environment"]["name"], "f");
    assert_eq!(environment["driverProgram"], "new.py");
    assert_eq!(environment["assets"][0]["url"], url);
    let nothing = door.ask("POST", "/services/debug/reload", json!({})).await;
    assert_eq!(nothing.status, 400, "{}", nothing.text);
}

/// A tar archive of nothing; the service need not become healthy here.
const SNAPSHOT: &[u8] = &[0; 1024];
