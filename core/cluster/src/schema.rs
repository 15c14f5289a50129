//! The schema that a scoring server tells in its swagger document.

use lusk_contract::{ScriptKind, ScriptSchema};
use serde_json::{Value, json};

/// What is known of a server that has no such document.
pub(crate) fn unknown() -> ScriptSchema {
    let anything = json!({"type": "object", "example": {}});
    ScriptSchema {
        kind: ScriptKind::Plain,
        input: anything.clone(),
        output: anything,
    }
}

/// Reads a document of version 2 or 3. A part that is not there is unknown.
pub(crate) fn read(document: &[u8]) -> ScriptSchema {
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let named = |name: &str| {
        ["/definitions/", "/components/schemas/"]
            .iter()
            .find_map(|place| document.pointer(&format!("{place}{name}")))
            .filter(|schema| schema.is_object())
            .cloned()
    };
    let unknown = unknown();
    let input = named("ServiceInput").unwrap_or(unknown.input);
    ScriptSchema {
        // A server does not tell plain scripts from raw ones.
        kind: match input["properties"].as_object() {
            Some(properties) if !properties.is_empty() => ScriptKind::Schema,
            _ => ScriptKind::Plain,
        },
        input,
        output: named("ServiceOutput").unwrap_or(unknown.output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_document_are_read() {
        let input = json!({"type": "object", "properties": {"data": {"type": "array"}}});
        let parts = json!({"ServiceInput": input, "ServiceOutput": {"type": "array"}});
        for document in [
            json!({"swagger": "2.0", "definitions": parts}),
            json!({"openapi": "3.0.3", "components": {"schemas": parts}}),
        ] {
            let schema = read(document.to_string().as_bytes());
            assert_eq!(schema.kind, ScriptKind::Schema);
            assert_eq!(schema.input, input);
            assert_eq!(schema.output, json!({"type": "array"}));
        }
    }

    #[test]
    fn what_is_no_such_document_tells_nothing() {
        for text in ["", "[]", "{}", "{\"definitions\": {\"ServiceInput\": 1}}"] {
            assert_eq!(read(text.as_bytes()), unknown(), "{text}");
        }
        let plain = json!({"definitions": {"ServiceInput": {"type": "object", "example": {}}}});
        assert_eq!(read(plain.to_string().as_bytes()).kind, ScriptKind::Plain);
    }
}
