//! `wasi:nn`, `model-info` and `files` as guests see them.
//!
//! Tensors that the host keeps for a guest are charged to the replica's
//! account. A refusal is an error value of the interface with its code; only a
//! forged handle traps.

#![allow(
    unreachable_pub,
    reason = "the generated bindings re-export the resources publicly"
)]

use std::{fs, sync::Arc};

use bytes::Bytes;
use lusk_contract::{BackendError, Signature, Tensor, TensorSpec, TensorType};
use wasmtime::component::Resource;
use wasmtime_wasi::WasiView;

use crate::{
    bindings::{
        lusk::scoring::{files, model_info, types},
        wasi::nn::{errors, graph, inference, tensor},
    },
    budget::Charge,
    context::Context,
    models::{LookupError, app_path, blocking, contained_file},
    session::TimedSession,
    wording,
};

use errors::ErrorCode;
use tensor::TensorType as NnType;

/// A tensor in the host's hands.
pub struct TensorCell {
    tensor: Tensor,
    _charge: Charge,
}

/// An error in the host's hands.
pub struct NnError {
    code: ErrorCode,
    text: String,
}

/// A loaded model.
pub struct Graph {
    session: Arc<TimedSession>,
}

/// A model about to compute.
pub struct Execution {
    session: Arc<TimedSession>,
}

impl Execution {
    pub(crate) fn session(&self) -> Arc<TimedSession> {
        Arc::clone(&self.session)
    }
}

impl NnError {
    pub(crate) fn into_parts(self) -> (ErrorCode, String) {
        (self.code, self.text)
    }

    pub(crate) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    fn too_large(bytes: usize, limit: u64) -> Self {
        Self::new(
            ErrorCode::TooLarge,
            format!(
                "{} more do not fit into the replica's memory limit of {}",
                wording::bytes(bytes as u64),
                wording::bytes(limit)
            ),
        )
    }
}

impl From<BackendError> for NnError {
    fn from(error: BackendError) -> Self {
        let code = match &error {
            BackendError::Malformed { .. } => ErrorCode::InvalidEncoding,
            BackendError::MissingOperators { .. }
            | BackendError::Unsupported { .. }
            | BackendError::UnsupportedType { .. } => ErrorCode::UnsupportedOperation,
            BackendError::BadInput { .. } => ErrorCode::InvalidArgument,
            _ => ErrorCode::RuntimeError,
        };
        Self::new(code, error.to_string())
    }
}

impl From<LookupError> for NnError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Backend(error) => error.into(),
            error => Self::new(ErrorCode::NotFound, error.to_string()),
        }
    }
}

/// What an interface function returns: a value, an error resource, or a trap.
type NnResult<T> = wasmtime::Result<Result<T, Resource<NnError>>>;

impl Context {
    fn fail<T>(&mut self, error: NnError) -> NnResult<T> {
        Ok(Err(self.wasi.ctx().table.push(error)?))
    }

    pub(crate) fn charge(&mut self, bytes: usize) -> Result<Charge, NnError> {
        let budget = Arc::clone(self.limiter.budget());
        budget.charge(bytes as u64).ok_or_else(|| {
            self.limiter.note_refusal(bytes as u64);
            NnError::too_large(bytes, budget.limit())
        })
    }

    fn push_tensor(&mut self, tensor: Tensor) -> Result<Resource<TensorCell>, NnError> {
        let charge = self.charge(tensor.data().len())?;
        let cell = TensorCell {
            tensor,
            _charge: charge,
        };
        self.wasi
            .ctx()
            .table
            .push(cell)
            .map_err(|error| NnError::new(ErrorCode::TooLarge, error.to_string()))
    }

    async fn session_named(&mut self, name: &str) -> Result<Arc<TimedSession>, LookupError> {
        if let Some(found) = self.models.find_loaded(name) {
            return found;
        }
        let (models, name) = (Arc::clone(&self.models), name.to_owned());
        blocking(move || models.load_by_name(&name)).await
    }
}

impl types::Host for Context {}

impl tensor::Host for Context {}

impl tensor::HostTensor for Context {
    fn new(
        &mut self,
        dimensions: Vec<u32>,
        ty: NnType,
        data: Vec<u8>,
    ) -> wasmtime::Result<Resource<TensorCell>> {
        let kind = from_nn(ty)?;
        let shape = dimensions.iter().map(|extent| *extent as usize).collect();
        let tensor = Tensor::new(kind, shape, Bytes::from(data))?;
        self.push_tensor(tensor)
            .map_err(|error| wasmtime::Error::msg(error.text))
    }

    fn dimensions(&mut self, this: Resource<TensorCell>) -> wasmtime::Result<Vec<u32>> {
        let shape = self.wasi.ctx().table.get(&this)?.tensor.shape();
        Ok(shape
            .iter()
            .map(|extent| u32::try_from(*extent))
            .collect::<Result<_, _>>()?)
    }

    fn ty(&mut self, this: Resource<TensorCell>) -> wasmtime::Result<NnType> {
        let kind = self.wasi.ctx().table.get(&this)?.tensor.kind();
        to_nn(kind).ok_or_else(|| wasmtime::Error::msg("wasi:nn has no such type"))
    }

    fn data(&mut self, this: Resource<TensorCell>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.wasi.ctx().table.get(&this)?.tensor.data().to_vec())
    }

    fn drop(&mut self, this: Resource<TensorCell>) -> wasmtime::Result<()> {
        self.wasi.ctx().table.delete(this)?;
        Ok(())
    }
}

impl errors::Host for Context {}

impl errors::HostError for Context {
    fn code(&mut self, this: Resource<NnError>) -> wasmtime::Result<ErrorCode> {
        Ok(self.wasi.ctx().table.get(&this)?.code)
    }

    fn data(&mut self, this: Resource<NnError>) -> wasmtime::Result<String> {
        Ok(self.wasi.ctx().table.get(&this)?.text.clone())
    }

    fn drop(&mut self, this: Resource<NnError>) -> wasmtime::Result<()> {
        self.wasi.ctx().table.delete(this)?;
        Ok(())
    }
}

impl inference::Host for Context {}

impl inference::HostGraphExecutionContext for Context {
    async fn compute(
        &mut self,
        this: Resource<Execution>,
        inputs: Vec<(String, Resource<TensorCell>)>,
    ) -> NnResult<Vec<(String, Resource<TensorCell>)>> {
        let table = self.wasi.ctx().table;
        let session = Arc::clone(&table.get(&this)?.session);
        let mut cells = Vec::with_capacity(inputs.len());
        for (name, cell) in inputs {
            cells.push((name, table.delete(cell)?));
        }
        let ordered = match order_inputs(session.signature(), &cells) {
            Ok(ordered) => ordered,
            Err(text) => return self.fail(NnError::new(ErrorCode::InvalidArgument, text)),
        };
        let outputs = match session.infer(ordered, cells).await {
            Ok(outputs) => outputs,
            Err(error) => return self.fail(error.into()),
        };
        let mut named = Vec::with_capacity(outputs.len());
        for (spec, tensor) in session.signature().outputs.iter().zip(outputs) {
            if to_nn(tensor.kind()).is_none() {
                return self.fail(foreign(spec));
            }
            match self.push_tensor(tensor) {
                Ok(cell) => named.push((spec.name.clone(), cell)),
                Err(error) => return self.fail(error),
            }
        }
        Ok(Ok(named))
    }

    fn drop(&mut self, this: Resource<Execution>) -> wasmtime::Result<()> {
        self.wasi.ctx().table.delete(this)?;
        Ok(())
    }
}

/// Puts named tensors into the order of the signature. `wasi:nn` has no bool,
/// so bytes stand for booleans where the model wants them.
fn order_inputs(
    signature: &Signature,
    given: &[(String, TensorCell)],
) -> Result<Vec<Tensor>, String> {
    if let Some((stranger, _)) = given
        .iter()
        .find(|(name, _)| signature.inputs.iter().all(|spec| spec.name != *name))
    {
        return Err(format!(
            "the model has no input `{stranger}`; its inputs: {}",
            names(&signature.inputs)
        ));
    }
    signature
        .inputs
        .iter()
        .map(|spec| {
            let (_, cell) = given
                .iter()
                .find(|(name, _)| *name == spec.name)
                .ok_or_else(|| format!("input `{}` is missing", spec.name))?;
            Ok(as_wanted(&cell.tensor, spec.kind))
        })
        .collect()
}

fn foreign(spec: &TensorSpec) -> NnError {
    NnError::new(
        ErrorCode::UnsupportedOperation,
        format!(
            "`{}` is a {}, which wasi:nn has not; `lusk:scoring/direct` carries it",
            spec.name,
            spec.kind.onnx_name()
        ),
    )
}

fn names(specs: &[TensorSpec]) -> String {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    names.join(", ")
}

pub(crate) fn as_wanted(tensor: &Tensor, kind: TensorType) -> Tensor {
    if (tensor.kind(), kind) != (TensorType::U8, TensorType::Bool) {
        return tensor.clone();
    }
    let data: Vec<u8> = tensor.data().iter().map(|b| u8::from(*b != 0)).collect();
    Tensor::new(TensorType::Bool, tensor.shape().to_vec(), data.into())
        .expect("a byte each, as before")
}

impl graph::Host for Context {
    async fn load(
        &mut self,
        builder: Vec<Vec<u8>>,
        encoding: graph::GraphEncoding,
        _target: graph::ExecutionTarget,
    ) -> NnResult<Resource<Graph>> {
        use graph::GraphEncoding::{Autodetect, Onnx};
        if !matches!(encoding, Onnx | Autodetect) {
            return self.fail(NnError::new(
                ErrorCode::InvalidEncoding,
                format!("{encoding:?} models are not supported, only ONNX ones"),
            ));
        }
        let bytes = builder.concat();
        let charge = match self.charge(bytes.len()) {
            Ok(charge) => charge,
            Err(error) => return self.fail(error),
        };
        let (models, scratch) = (Arc::clone(&self.models), self.folder.scratch());
        let loaded = blocking(move || {
            let loaded = models.load_bytes(&bytes, &scratch);
            drop(charge);
            loaded
        });
        match loaded.await {
            Ok(session) => Ok(Ok(self.wasi.ctx().table.push(Graph { session })?)),
            Err(error) => self.fail(error.into()),
        }
    }

    async fn load_by_name(&mut self, name: String) -> NnResult<Resource<Graph>> {
        match self.session_named(&name).await {
            Ok(session) => Ok(Ok(self.wasi.ctx().table.push(Graph { session })?)),
            Err(error) => self.fail(error.into()),
        }
    }
}

impl graph::HostGraph for Context {
    fn init_execution_context(&mut self, this: Resource<Graph>) -> NnResult<Resource<Execution>> {
        let table = self.wasi.ctx().table;
        let session = Arc::clone(&table.get(&this)?.session);
        Ok(Ok(table.push(Execution { session })?))
    }

    fn drop(&mut self, this: Resource<Graph>) -> wasmtime::Result<()> {
        self.wasi.ctx().table.delete(this)?;
        Ok(())
    }
}

impl model_info::Host for Context {
    async fn describe(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<model_info::Signature, String>> {
        let described = self.session_named(&name).await;
        Ok(described
            .map(|session| model_info::Signature {
                inputs: session.signature().inputs.iter().map(io_spec).collect(),
                outputs: session.signature().outputs.iter().map(io_spec).collect(),
            })
            .map_err(|error| error.to_string()))
    }
}

fn io_spec(spec: &TensorSpec) -> model_info::IoSpec {
    model_info::IoSpec {
        name: spec.name.clone(),
        kind: spec.onnx_name(),
        shape: spec
            .shape
            .iter()
            .map(|extent| extent.map_or(-1, |extent| extent as i64))
            .collect(),
    }
}

impl files::Host for Context {
    async fn read(&mut self, path: String) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let root = self.app_root.clone();
        let room = self.limiter.budget().limit();
        Ok(blocking(move || {
            let file = app_path(&path)
                .and_then(|below| contained_file(&root, &below))
                .ok_or_else(|| format!("`{path}` is no file below the app root"))?;
            let size = fs::metadata(&file)
                .map_err(|error| error.to_string())?
                .len();
            if size > room {
                return Err(format!(
                    "`{path}` has {}, more than the replica's memory limit of {}",
                    wording::bytes(size),
                    wording::bytes(room)
                ));
            }
            fs::read(&file).map_err(|error| format!("`{path}` cannot be read: {error}"))
        })
        .await)
    }
}

fn from_nn(ty: NnType) -> wasmtime::Result<TensorType> {
    Ok(match ty {
        NnType::Fp16 => TensorType::F16,
        NnType::Fp32 => TensorType::F32,
        NnType::Fp64 => TensorType::F64,
        NnType::U8 => TensorType::U8,
        NnType::I32 => TensorType::I32,
        NnType::I64 => TensorType::I64,
        NnType::Bf16 => {
            return Err(wasmtime::Error::msg(
                "tensors of bfloat16 are not supported",
            ));
        }
    })
}

/// The type as `wasi:nn` has it; it has few.
fn to_nn(kind: TensorType) -> Option<NnType> {
    Some(match kind {
        TensorType::F16 => NnType::Fp16,
        TensorType::F32 => NnType::Fp32,
        TensorType::F64 => NnType::Fp64,
        TensorType::I32 => NnType::I32,
        TensorType::I64 => NnType::I64,
        TensorType::U8 | TensorType::Bool => NnType::U8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_no_backend_prepares_is_an_unsupported_operation() {
        let error = NnError::from(BackendError::Unsupported {
            model: "m".to_owned(),
            backend: "fake",
            reason: "no such shape".to_owned(),
        });
        assert!(matches!(error.code, ErrorCode::UnsupportedOperation));
    }
}
