//! The swagger document of a service: the user's own file, or a template filled from
//! what the script says of itself.

use std::{io, path::Path};

use bytes::Bytes;
use lusk_contract::ScriptSchema;
use lusk_router::RouteInfo;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::problem::Problem;

/// Largest document of a user that is handed out; it is read into memory.
const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Versions of the specification that a document can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V2,
    V3,
    V31,
}

impl Version {
    /// Reads `version=` of a query; 2 without one.
    fn of(query: Option<&str>) -> Result<Self, Problem> {
        let asked = query
            .unwrap_or_default()
            .split('&')
            .find_map(|pair| pair.strip_prefix("version="));
        match asked {
            None | Some("2" | "2.0") => Ok(Self::V2),
            Some("3" | "3.0") => Ok(Self::V3),
            Some("3.1") => Ok(Self::V31),
            Some(other) => Err(Problem::no_swagger_version(other)),
        }
    }

    /// Key of the user's own file in [`RouteInfo::swagger_files`].
    fn file_key(self) -> &'static str {
        match self {
            Self::V2 => "2",
            Self::V3 => "3",
            Self::V31 => "3.1",
        }
    }
}

/// The document that `query` asks for. `prefix` stands before every path in it.
pub(crate) async fn document(
    info: &RouteInfo,
    prefix: &str,
    query: Option<&str>,
) -> Result<Bytes, Problem> {
    let version = Version::of(query)?;
    if let Some(path) = info.swagger_files.get(version.file_key()) {
        return read(path).await.map_err(|error| {
            tracing::warn!(service = %info.name, path = %path.display(), %error, "cannot read a swagger document");
            Problem::swagger_unreadable(version.file_key())
        });
    }
    let document = match version {
        Version::V2 => swagger_2(info, prefix),
        Version::V3 => openapi("3.0.3", info, prefix),
        Version::V31 => openapi("3.1.0", info, prefix),
    };
    Ok(Bytes::from(document.to_string()))
}

async fn read(path: &Path) -> io::Result<Bytes> {
    let mut text = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(MAX_DOCUMENT_BYTES + 1)
        .read_to_end(&mut text)
        .await?;
    if text.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(io::Error::other(format!(
            "larger than {MAX_DOCUMENT_BYTES} bytes"
        )));
    }
    Ok(text.into())
}

const BEARER_HINT: &str = "The key of the service, as `Bearer <key>`";

fn about(info: &RouteInfo) -> Value {
    json!({
        "title": info.title,
        "description": format!("How to call the web service {}", info.title),
        "version": info.version,
    })
}

fn swagger_2(info: &RouteInfo, prefix: &str) -> Value {
    let failed = json!({
        "description": "The request failed",
        "schema": { "$ref": "#/definitions/ErrorResponse" },
    });
    json!({
        "swagger": "2.0",
        "info": about(info),
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {
            "Bearer": {
                "type": "apiKey", "name": "Authorization", "in": "header",
                "description": BEARER_HINT,
            },
        },
        "paths": {
            (format!("{prefix}/")): { "get": {
                "operationId": "ServiceHealthCheck",
                "description": "Tells whether the service can take requests",
                "responses": {
                    "200": {
                        "description": "It can",
                        "schema": { "type": "string" },
                        "examples": { "application/json": "Healthy" },
                    },
                    "default": failed,
                },
            }},
            (format!("{prefix}/score")): { "post": {
                "operationId": "RunMLService",
                "description": "Runs the entry script on the input and returns its output",
                "security": [{ "Bearer": [] }],
                "parameters": [{
                    "name": "serviceInputPayload", "in": "body",
                    "description": "What the entry script takes",
                    "schema": { "$ref": "#/definitions/ServiceInput" },
                }],
                "responses": {
                    "200": {
                        "description": "What the entry script returned",
                        "schema": { "$ref": "#/definitions/ServiceOutput" },
                    },
                    "default": failed,
                },
            }},
            (format!("{prefix}/swagger.json")): { "get": {
                "operationId": "GetSwaggerSpec",
                "description": "Returns this document",
                "parameters": [{
                    "name": "version", "in": "query",
                    "description": "The version of the specification to follow, 2 by default",
                    "type": "string", "enum": ["2", "3"],
                }],
                "responses": {
                    "200": { "description": "This document", "schema": { "type": "object" } },
                    "default": failed,
                },
            }},
        },
        "definitions": schemas(&info.schema),
    })
}

fn openapi(version: &str, info: &RouteInfo, prefix: &str) -> Value {
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let named = |name: &str| content(json!({ "$ref": format!("#/components/schemas/{name}") }));
    let failed = json!({
        "description": "The request failed",
        "content": named("ErrorResponse"),
    });
    json!({
        "openapi": version,
        "info": about(info),
        "paths": {
            (format!("{prefix}/")): { "get": {
                "operationId": "ServiceHealthCheck",
                "description": "Tells whether the service can take requests",
                "responses": {
                    "200": {
                        "description": "It can",
                        "content": content(json!({ "type": "string", "example": "Healthy" })),
                    },
                    "default": failed,
                },
            }},
            (format!("{prefix}/score")): { "post": {
                "operationId": "RunMLService",
                "description": "Runs the entry script on the input and returns its output",
                "security": [{ "Bearer": [] }],
                "requestBody": {
                    "description": "What the entry script takes",
                    "content": named("ServiceInput"),
                },
                "responses": {
                    "200": {
                        "description": "What the entry script returned",
                        "content": named("ServiceOutput"),
                    },
                    "default": failed,
                },
            }},
            (format!("{prefix}/swagger.json")): { "get": {
                "operationId": "GetSwaggerSpec",
                "description": "Returns this document",
                "parameters": [{
                    "name": "version", "in": "query",
                    "description": "The version of the specification to follow, 2 by default",
                    "schema": { "type": "string", "enum": ["2", "3"] },
                }],
                "responses": {
                    "200": {
                        "description": "This document",
                        "content": content(json!({ "type": "object" })),
                    },
                    "default": failed,
                },
            }},
        },
        "components": {
            "securitySchemes": {
                "Bearer": {
                    "type": "apiKey", "name": "Authorization", "in": "header",
                    "description": BEARER_HINT,
                },
            },
            "schemas": schemas(&info.schema),
        },
    })
}

fn schemas(schema: &ScriptSchema) -> Value {
    json!({
        "ServiceInput": schema.input,
        "ServiceOutput": schema.output,
        "ErrorResponse": {
            "type": "object",
            "properties": { "message": { "type": "string" } },
        },
    })
}

#[cfg(test)]
mod tests;
