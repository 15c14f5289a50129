//! The OpenAPI 3.1 document of both doors.
//!
//! The text is `openapi/document.json`; tests compare it with the table of
//! routes, so that neither can be changed alone.

use std::sync::LazyLock;

use lusk_domain::WorkspaceName;
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("openapi/document.json"))
        .expect("the document in the program is JSON, as a test shows")
});

/// The document of this node: where its scoring door is and what its workspace
/// is called.
pub(crate) fn document(workspace: &WorkspaceName, scoring: &str) -> Value {
    let mut document = DOCUMENT.clone();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["components"]["parameters"]["workspace"]["schema"]["default"] = json!(workspace);
    let door = json!([{
        "url": scoring,
        "description": "The scoring door.",
    }]);
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            if is_scoring(path) {
                item["servers"] = door.clone();
            }
        }
    }
    document
}

fn is_scoring(path: &str) -> bool {
    path == "/" || path.starts_with("/api/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Value {
        document(&"local".parse().unwrap(), "http://127.0.0.1:8080")
    }

    #[test]
    fn the_document_is_of_this_node() {
        let shown = shown();
        assert_eq!(shown["openapi"], "3.1.0");
        assert_eq!(shown["info"]["version"], env!("CARGO_PKG_VERSION"));
        let score = &shown["paths"]["/api/v1/service/{name}/score"];
        assert_eq!(score["servers"][0]["url"], "http://127.0.0.1:8080");
        assert_eq!(shown["paths"]["/healthz"].get("servers"), None);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(target)) = object.get("$ref") {
                        found.push(target);
                    }
                    object.values().for_each(|value| walk(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let shown = shown();
        let mut references = Vec::new();
        walk(&shown, &mut references);
        assert!(references.len() > 50);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(shown.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_operation_has_its_own_id() {
        let shown = shown();
        let mut ids: Vec<_> = shown["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
