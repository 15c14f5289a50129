use std::collections::BTreeMap;

use super::*;
use crate::testing::info;

async fn of(info: &RouteInfo, query: Option<&str>) -> Value {
    let text = document(info, "/api/v1/service/digits", query).await;
    serde_json::from_slice(&text.expect("a document")).expect("JSON")
}

fn refused(problem: Problem) -> (u16, String) {
    let reply = problem.into_reply();
    (reply.status().as_u16(), format!("{:?}", reply.body()))
}

#[tokio::test]
async fn every_version_has_its_document() {
    for (query, key, version) in [
        (None, "swagger", "2.0"),
        (Some(""), "swagger", "2.0"),
        (Some("version=2"), "swagger", "2.0"),
        (Some("version=2.0"), "swagger", "2.0"),
        (Some("version=3"), "openapi", "3.0.3"),
        (Some("a=b&version=3.0"), "openapi", "3.0.3"),
        (Some("version=3.1"), "openapi", "3.1.0"),
    ] {
        assert_eq!(of(&info(), query).await[key], version, "{query:?}");
    }
}

#[tokio::test]
async fn other_versions_are_404_and_the_supported_ones_are_named() {
    for asked in ["1", "4", "3.2", "", "two"] {
        let query = format!("version={asked}");
        let problem = document(&info(), "", Some(&query)).await;
        let (status, body) = refused(problem.expect_err("no such version"));
        assert_eq!(status, 404);
        assert!(body.contains("2, 2.0, 3, 3.0, 3.1"), "{body}");
    }
}

#[tokio::test]
async fn the_names_of_the_original_stand_in_every_version() {
    for query in [None, Some("version=3"), Some("version=3.1")] {
        let document = of(&info(), query).await;
        assert_eq!(document["info"]["title"], "digits");
        assert_eq!(document["info"]["version"], "7");
        let paths = &document["paths"];
        let prefix = "/api/v1/service/digits";
        for (path, method, operation) in [
            ("/", "get", "ServiceHealthCheck"),
            ("/score", "post", "RunMLService"),
            ("/swagger.json", "get", "GetSwaggerSpec"),
        ] {
            let entry = &paths[format!("{prefix}{path}")][method];
            assert_eq!(entry["operationId"], operation);
        }
        let (schemas, security) = match query {
            None => (&document["definitions"], &document["securityDefinitions"]),
            Some(_) => (
                &document["components"]["schemas"],
                &document["components"]["securitySchemes"],
            ),
        };
        let names: Vec<_> = schemas.as_object().expect("schemas").keys().collect();
        assert_eq!(names, ["ErrorResponse", "ServiceInput", "ServiceOutput"]);
        assert!(schemas["ErrorResponse"]["properties"]["message"].is_object());
        assert_eq!(security["Bearer"]["type"], "apiKey");
        assert_eq!(security["Bearer"]["in"], "header");
        assert_eq!(security["Bearer"]["name"], "Authorization");
    }
    let document = of(&info(), None).await;
    assert_eq!(document["schemes"], json!(["https"]));
    assert_eq!(document["consumes"], json!(["application/json"]));
    assert_eq!(document["produces"], json!(["application/json"]));
    let version = &document["paths"]["/api/v1/service/digits/swagger.json"]["get"]["parameters"][0];
    assert_eq!(version["enum"], json!(["2", "3"]));
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    for query in [None, Some("version=3"), Some("version=3.1")] {
        let document = of(&info(), query).await;
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() >= 5);
        for reference in references {
            let target = document.pointer(&reference[1..]);
            assert!(target.is_some(), "{reference}");
        }
    }
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            if let Some(Value::String(reference)) = entries.get("$ref") {
                into.push(reference.clone());
            }
            entries
                .values()
                .for_each(|value| collect_references(value, into));
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_references(value, into)),
        _ => {}
    }
}

#[tokio::test]
async fn what_the_script_says_of_itself_stands_in_the_document() {
    let mut decorated = info();
    decorated.schema.input = json!({
        "type": "object",
        "properties": { "data": { "type": "array", "format": "numpy.ndarray" } },
        "example": { "data": [[1.0]] },
    });
    let document = of(&decorated, Some("version=3")).await;
    let input = &document["components"]["schemas"]["ServiceInput"];
    assert_eq!(*input, decorated.schema.input);
    let plain = of(&info(), None).await;
    let any = json!({ "type": "object", "example": {} });
    assert_eq!(plain["definitions"]["ServiceInput"], any);
}

#[tokio::test]
async fn the_users_own_documents_win() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("swagger3.json");
    std::fs::write(&path, "{\"mine\":true}").expect("written");
    let mut own = info();
    own.swagger_files = BTreeMap::from([("3".to_owned(), path)]);
    assert_eq!(of(&own, Some("version=3.0")).await, json!({ "mine": true }));
    assert_eq!(of(&own, None).await["swagger"], "2.0");
    assert_eq!(of(&own, Some("version=3.1")).await["openapi"], "3.1.0");
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_500_and_its_path_is_not_told() {
    let mut own = info();
    let path = "/nowhere/swagger2.json".into();
    own.swagger_files = BTreeMap::from([("2".to_owned(), path)]);
    let problem = document(&own, "", None).await.expect_err("no such file");
    let (status, body) = refused(problem);
    assert_eq!(status, 500);
    assert!(!body.contains("nowhere"));
}
