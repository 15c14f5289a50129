//! A replica without an entry script: tensors in, tensors out.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use lusk_contract::{
    BackendError, LogStream, Replica, Revision, ScoreReply, ScoreRequest, ScriptError, ScriptKind,
    ScriptSchema, TensorSpec, TensorType,
};
use serde_json::{Map, Value, json};

use crate::{models::Models, query, session::TimedSession, tensor_json};

/// The replica.
#[derive(Debug)]
pub(crate) struct TensorReplica {
    revision: Arc<Revision>,
    number: u32,
    models: Arc<Models>,
    session: Arc<TimedSession>,
    /// Names of the outputs as JSON strings.
    keys: Vec<String>,
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
            keys: outputs
                .iter()
                .map(|spec| Value::from(spec.name.as_str()).to_string())
                .collect(),
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
        Ok(tensor_json::write_outputs(&self.keys, &outputs).into())
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
        properties.insert(spec.name.clone(), nested_type(spec.kind, spec.shape.len()));
        example.insert(spec.name.clone(), zeros(spec.kind, &spec.shape));
    }
    json!({"type": "object", "properties": properties, "example": example})
}

fn nested_type(kind: TensorType, rank: usize) -> Value {
    let leaf = match kind {
        TensorType::F32 => json!({"type": "number", "format": "float"}),
        TensorType::F64 => json!({"type": "number", "format": "double"}),
        TensorType::I32 => json!({"type": "integer", "format": "int32"}),
        TensorType::I64 => json!({"type": "integer", "format": "int64"}),
        TensorType::U8 => json!({"type": "integer", "minimum": 0, "maximum": 255}),
        TensorType::Bool => json!({"type": "boolean"}),
    };
    (0..rank).fold(leaf, |items, _| json!({"type": "array", "items": items}))
}

/// Most elements that an example shows.
const EXAMPLE_ELEMENTS: usize = 1_024;

/// An example tensor; a large one shows no elements.
fn zeros(kind: TensorType, shape: &[Option<usize>]) -> Value {
    let extents = shape.iter().map(|extent| extent.unwrap_or(1));
    let elements = extents.clone().fold(1, usize::saturating_mul);
    if elements > EXAMPLE_ELEMENTS {
        return Value::Array(Vec::new());
    }
    let zero = match kind {
        TensorType::F32 | TensorType::F64 => json!(0.0),
        TensorType::Bool => json!(false),
        _ => json!(0),
    };
    extents
        .rev()
        .fold(zero, |inner, extent| Value::Array(vec![inner; extent]))
}
