//! Versions compared, asked for at the door.

use super::*;

fn version(share: f64) -> Value {
    json!({"computeType": "AKS", "numReplicas": 1, "trafficPercentile": share,
        "environmentImageRequest": {"modelIds": ["digits:1"]}})
}

#[tokio::test]
async fn versions_are_compared_and_services_are_not() {
    let door = Door::open().await;
    door.register("digits").await;
    let shop = json!({"name": "shop", "computeType": "AksEndpoint",
        "versions": {"blue": version(0.0)}});
    door.operate("POST", "/services", shop).await;
    let green = json!([{"op": "add", "path": "/versions/green", "value": version(20.0)}]);
    door.operate("PATCH", "/services/shop", green).await;
    let compare = async |name: &str| {
        let path = format!("/services/{name}/compare");
        door.ask("GET", &path, Value::Null).await
    };

    let shown = compare("shop").await.json();
    assert_eq!(shown["baseline"], "blue", "{shown:#}");
    let rows = shown["versions"].as_array().unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (&row["name"], &row["role"], &row["traffic"]))
        .collect();
    assert_eq!(
        rows,
        [
            (&json!("blue"), &json!("default"), &json!(80.0)),
            (&json!("green"), &json!("treatment"), &json!(20.0)),
        ]
    );
    assert_eq!(shown["differences"][0]["verdict"], "tooFewRequests");

    let absent = compare("absent").await;
    assert_error(&absent, 404, "NotFound");
    assert!(
        absent.text.contains("no endpoint `absent`"),
        "{}",
        absent.text
    );
    let service = json!({"name": "plain", "computeType": "AKS", "numReplicas": 1,
        "environmentImageRequest": {"modelIds": ["digits:1"]}});
    door.operate("POST", "/services", service).await;
    assert_error(&compare("plain").await, 400, "BadRequest");
    let empty = json!({"name": "empty", "computeType": "AksEndpoint"});
    door.operate("POST", "/services", empty).await;
    assert_error(&compare("empty").await, 400, "BadRequest");
}
