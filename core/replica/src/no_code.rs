//! A replica without an entry script: tensors in, tensors out.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use lusk_contract::{
    BackendError, Keys, LogStream, Replica, Revision, ScoreReply, ScoreRequest, ScriptError,
    ScriptKind, ScriptSchema, TensorSpec, TensorType,
};
use serde_json::{Map, Value, json};

use crate::{
    models::Models,
    query,
    session::TimedSession,
    tensor_json::{self, JsonName},
};

/// The replica.
#[derive(Debug)]
pub(crate) struct TensorReplica {
    revision: Arc<Revision>,
    number: u32,
    models: Arc<Models>,
    session: Arc<TimedSession>,
    names: Vec<JsonName>,
    schema: ScriptSchema,
}

impl TensorReplica {
    pub(crate) fn new(
        revision: Arc<Revision>,
        number: u32,
        models: Arc<Models>,
        session: Arc<TimedSession>,
    ) -> Self {
        let outputs = &session.signature().outputs;
        Self {
            names: outputs.iter().map(JsonName::new).collect(),
            schema: schema(&session),
            revision,
            number,
            models,
            session,
        }
    }

    async fn run(&self, request: &ScoreRequest) -> Result<Bytes, ScriptError> {
        let query;
        let body: &[u8] = if request.method == Method::GET {
            query = query::as_json(&request.target);
            query.as_bytes()
        } else {
            &request.body
        };
        let signature = self.session.signature();
        let inputs = tensor_json::read_inputs(body, signature, self.revision.memory_limit)
            .map_err(ScriptError::BadRequest)?;
        let outputs = self
            .session
            .infer(inputs, ())
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(tensor_json::write_outputs(&self.names, &outputs).into())
    }

    fn failed(&self, error: &BackendError) -> ScriptError {
        if matches!(error, BackendError::BadInput { .. }) {
            return ScriptError::BadRequest(error.to_string());
        }
        let text = error.to_string();
        self.revision.log.line(self.number, LogStream::Host, &text);
        ScriptError::Raised(text)
    }
}

#[async_trait]
impl Replica for TensorReplica {
    async fn score(&self, request: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        let started = Instant::now();
        let _running = self.models.running();
        let body = AssertUnwindSafe(self.run(&request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                Err(ScriptError::Died(
                    "lusk panicked on this request".to_owned(),
                ))
            })?;
        let mut headers = HeaderMap::with_capacity(1);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(ScoreReply {
            status: StatusCode::OK,
            headers,
            body,
            run_time: Some(started.elapsed()),
            function_failed: false,
        })
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

fn schema(session: &TimedSession) -> ScriptSchema {
    let signature = session.signature();
    ScriptSchema {
        kind: ScriptKind::Tensors,
        input: object(&signature.inputs),
        output: object(&signature.outputs),
    }
}

/// An object with a property for each tensor, and an example of zeros.
fn object(specs: &[TensorSpec]) -> Value {
    let mut properties = Map::new();
    let mut example = Map::new();
    for spec in specs {
        properties.insert(spec.name.clone(), json_type(spec));
        example.insert(spec.name.clone(), json_example(spec));
    }
    json!({"type": "object", "properties": properties, "example": example})
}

fn json_type(spec: &TensorSpec) -> Value {
    let leaf = element_type(spec.kind);
    let Some(maps) = &spec.maps else {
        let lists = 0..spec.shape.len();
        return lists.fold(leaf, |items, _| json!({"type": "array", "items": items}));
    };
    let map = json!({"type": "object", "additionalProperties": leaf});
    match maps.are_many {
        true => json!({"type": "array", "items": map}),
        false => map,
    }
}

fn element_type(kind: TensorType) -> Value {
    match kind {
        TensorType::F16 => json!({"type": "number"}),
        TensorType::F32 => json!({"type": "number", "format": "float"}),
        TensorType::F64 => json!({"type": "number", "format": "double"}),
        TensorType::I32 => json!({"type": "integer", "format": "int32"}),
        TensorType::I64 => json!({"type": "integer", "format": "int64"}),
        TensorType::I8 => integer(i8::MIN.into(), i8::MAX.into()),
        TensorType::I16 => integer(i16::MIN.into(), i16::MAX.into()),
        TensorType::U8 => integer(0, u8::MAX.into()),
        TensorType::U16 => integer(0, u16::MAX.into()),
        TensorType::U32 => integer(0, u32::MAX.into()),
        TensorType::U64 => json!({"type": "integer", "minimum": 0}),
        TensorType::Text => json!({"type": "string"}),
        TensorType::Bool => json!({"type": "boolean"}),
    }
}

fn integer(minimum: i64, maximum: i64) -> Value {
    json!({"type": "integer", "minimum": minimum, "maximum": maximum})
}

/// Most elements that an example shows.
const EXAMPLE_ELEMENTS: usize = 1_024;

/// An example; a large one shows no elements.
fn json_example(spec: &TensorSpec) -> Value {
    let extents = spec.shape.iter().map(|extent| extent.unwrap_or(1));
    let elements = extents.clone().fold(1, usize::saturating_mul);
    let zero = match spec.kind {
        TensorType::F16 | TensorType::F32 | TensorType::F64 => json!(0.0),
        TensorType::Bool => json!(false),
        TensorType::Text => json!(""),
        _ => json!(0),
    };
    if let Some(maps) = &spec.maps {
        let keys = json_keys(&maps.keys).take(EXAMPLE_ELEMENTS);
        let map: Value = keys.map(|key| (key, zero.clone())).collect();
        return match maps.are_many {
            true => json!([map]),
            false => map,
        };
    }
    if elements > EXAMPLE_ELEMENTS {
        return Value::Array(Vec::new());
    }
    extents
        .rev()
        .fold(zero, |inner, extent| Value::Array(vec![inner; extent]))
}

fn json_keys(keys: &Keys) -> Box<dyn Iterator<Item = String> + '_> {
    match keys {
        Keys::Texts(keys) => Box::new(keys.iter().cloned()),
        Keys::Integers(keys) => Box::new(keys.iter().map(i64::to_string)),
    }
}
