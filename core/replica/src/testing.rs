//! Doubles for this room's unit tests.

use std::{
    collections::BTreeMap,
    fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use lusk_contract::{
    Backend, BackendError, Device, Loading, LogStream, ModelSource, MountedModel, OutputFolder,
    Outputs, Progress, Replica, ReplicaHost, ReplicaPlan, Revision, ScoreRequest, ServiceLog,
    Session, Signature, StartError, Tensor, TensorSpec, TensorType,
};
use lusk_domain::{Digest, RuntimeKind, ServiceName, Step, StepOutcome};
use tempfile::TempDir;

use crate::{CompileIn, LocalHost, LocalHostOptions};

/// A log that keeps everything.
#[derive(Debug, Default)]
pub(crate) struct MemoryLog {
    lines: Mutex<Vec<String>>,
}

impl MemoryLog {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl ServiceLog for MemoryLog {
    fn line(&self, _replica: u32, _stream: LogStream, text: &str) {
        self.lines.lock().unwrap().push(text.to_owned());
    }

    fn tail(&self, lines: usize) -> String {
        let all = self.lines();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

type Infer = fn(Vec<Tensor>) -> Result<Vec<Tensor>, BackendError>;

/// A session that computes with a Rust function.
#[derive(Debug)]
pub(crate) struct FakeSession {
    signature: Signature,
    loading: Loading,
    infer: Infer,
}

impl FakeSession {
    pub(crate) fn new(signature: Signature, infer: Infer) -> Self {
        let loading = Loading::default();
        Self {
            signature,
            loading,
            infer,
        }
    }

    /// A session that came to be in this way.
    pub(crate) fn loaded(mut self, loading: Loading) -> Self {
        self.loading = loading;
        self
    }
}

impl Session for FakeSession {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn loading(&self) -> Loading {
        self.loading.clone()
    }

    fn infer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        (self.infer)(inputs.to_vec())
    }
}

/// One float input and output of shape `[?, 2]`.
pub(crate) fn signature() -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        kind: TensorType::F32,
        shape: vec![None, Some(2)],
        maps: None,
    };
    Signature {
        inputs: vec![spec("x")],
        outputs: vec![spec("y")],
    }
}

/// Output folders below a folder, which stay.
#[derive(Debug)]
pub(crate) struct TestOutputs(pub(crate) PathBuf);

#[derive(Debug)]
struct TestFolder(PathBuf);

impl OutputFolder for TestFolder {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Outputs for TestOutputs {
    fn open(
        &self,
        service: &ServiceName,
        revision: u64,
        replica: u32,
    ) -> io::Result<Arc<dyn OutputFolder>> {
        let path = self.0.join(format!("{service}/{revision}/{replica}"));
        fs::create_dir_all(&path)?;
        Ok(Arc::new(TestFolder(path)))
    }
}

/// A host over a folder of its own, and revisions to run on it.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) host: Arc<LocalHost>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_backends(Vec::new())
    }

    pub(crate) fn with_backends(backends: Vec<Arc<dyn Backend>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        let host = LocalHost::new(LocalHostOptions {
            aot_dir: folder.path().join("aot"),
            tmp_dir: folder.path().join("tmp"),
            backends,
            compile: CompileIn::ThisProcess,
            outputs: Arc::new(TestOutputs(folder.path().join("outputs"))),
        });
        Self::on(host.unwrap(), folder)
    }

    /// A bench on a host that others use too.
    pub(crate) fn on(host: Arc<LocalHost>, folder: TempDir) -> Self {
        fs::create_dir(folder.path().join("app")).unwrap();
        Self {
            folder,
            log: Arc::default(),
            host,
        }
    }

    /// Puts a file below the app root.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join("app").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Puts a model of one file, `m.onnx`, below the app root.
    pub(crate) fn model(&self, name: &str, content: &str) -> MountedModel {
        let path = format!("azureml-models/{name}/1/m.onnx");
        self.file(&path, content);
        MountedModel {
            id: format!("{name}:1").parse().unwrap(),
            files: vec![(path, Digest::of(content.as_bytes()))],
            batching: None,
        }
    }

    /// A revision that runs `script`, with one slot and 64 MiB.
    pub(crate) fn revision(&self, runtime: RuntimeKind, script: &str) -> Revision {
        Revision {
            service: "bench".parse().unwrap(),
            number: 1,
            runtime,
            app_root: self.folder.path().join("app"),
            script: script.to_owned(),
            remote: Vec::new(),
            models: Vec::new(),
            variables: BTreeMap::new(),
            memory_limit: 64 << 20,
            slots: 1,
            image: None,
            threads: NonZeroUsize::MIN,
            cpu_limit: None,
            debug_port: None,
            log: Arc::clone(&self.log) as Arc<dyn ServiceLog>,
        }
    }

    /// Starts a replica of a WebAssembly text.
    pub(crate) async fn start_wat(&self, wat: &str) -> Result<Arc<dyn Replica>, StartError> {
        self.file("score.wat", wat);
        self.start(self.revision(RuntimeKind::Wasm, "score.wat"))
            .await
    }

    pub(crate) async fn start(&self, revision: Revision) -> Result<Arc<dyn Replica>, StartError> {
        let revision = Arc::new(revision);
        self.host.prepare(&revision, &Events::default()).await?;
        self.host
            .start(ReplicaPlan {
                revision,
                number: 0,
            })
            .await
    }
}

/// A listener that keeps what it hears.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<Vec<(Step, StepOutcome, String)>>);

impl Events {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|event| event.2.clone())
            .collect()
    }
}

impl Progress for Events {
    fn event(&self, step: Step, outcome: StepOutcome, text: &str) {
        self.0
            .lock()
            .unwrap()
            .push((step, outcome, text.to_owned()));
    }
}

/// A POST of `body` to `/score`.
pub(crate) fn post(body: impl Into<Bytes>) -> ScoreRequest {
    ScoreRequest {
        method: Method::POST,
        target: "/score".to_owned(),
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

/// A core module: `parts` beside a memory of one page and the usual exports,
/// unless `parts` has its own.
pub(crate) fn module(parts: &str) -> String {
    let defaults = [
        ("(export \"memory\")", "(memory (export \"memory\") 1)"),
        (
            "(export \"lusk_alloc\")",
            "(func (export \"lusk_alloc\") (param i32) (result i32) (i32.const 1024))",
        ),
        (
            "(export \"init\")",
            "(func (export \"init\") (result i32) (i32.const 0))",
        ),
        (
            "(export \"run\")",
            "(func (export \"run\") (param i32 i32) (result i64)
               (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32))
                       (i64.extend_i32_u (local.get 1))))",
        ),
    ];
    let mut text = format!("(module {parts}");
    for (mark, default) in defaults {
        if !parts.contains(mark) {
            text.push_str(default);
        }
    }
    text.push(')');
    text
}

/// A core module with the canonical ABI of the world: `run` answers 200 with
/// the request's body, as text or bytes as it came. A body of one byte is an
/// order: `b` a bad request, `r` an error of the script, `t` a trap.
pub(crate) const COMPONENT_BODY: &str = r#"(module
  (memory (export "memory") 2)
  (data (i32.const 100) "no such model")
  (global $next (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1)
        (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get 3) (i32.const 65536))))))
      unreachable)
    (local.get $at))
  (func (export "lusk:scoring/entry@0.1.0#init") (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.const 16))
  (func $fail (param $kind i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 1))
    (i32.store8 (i32.const 20) (local.get $kind))
    (i32.store (i32.const 24) (i32.const 100))
    (i32.store (i32.const 28) (i32.const 13))
    (i32.const 16))
  (func (export "lusk:scoring/entry@0.1.0#run")
    (param i32 i32 i32 i32 i32 i32) (param $kind i32) (param $body i32) (param $length i32)
    (result i32)
    (global.set $next (i32.const 4096))
    (if (i32.eq (local.get $length) (i32.const 1)) (then
      (if (i32.eq (i32.load8_u (local.get $body)) (i32.const 98))
        (then (return (call $fail (i32.const 0)))))
      (if (i32.eq (i32.load8_u (local.get $body)) (i32.const 114))
        (then (return (call $fail (i32.const 1)))))
      (if (i32.eq (i32.load8_u (local.get $body)) (i32.const 116)) (then unreachable))))
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store16 (i32.const 20) (i32.const 200))
    (i32.store (i32.const 24) (i32.const 0))
    (i32.store (i32.const 28) (i32.const 0))
    (i32.store8 (i32.const 32) (local.get $kind))
    (i32.store (i32.const 36) (local.get $body))
    (i32.store (i32.const 40) (local.get $length))
    (i32.const 16)))"#;

/// A backend for files that hold one word: `double` doubles floats and panics
/// on NaN, `fails` loads and fails, `panics` panics, anything else is an
/// operator that it lacks.
#[derive(Debug)]
pub(crate) struct FakeBackend;

impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn devices(&self) -> Vec<Device> {
        Vec::new()
    }

    fn load(&self, source: &ModelSource) -> Result<Arc<dyn Session>, BackendError> {
        let model = source.label.clone();
        match fs::read_to_string(&source.path).unwrap().as_str() {
            "double" => Ok(Arc::new(FakeSession::new(signature(), doubled))),
            "fails" => Ok(Arc::new(FakeSession::new(signature(), |_| {
                Err(BackendError::Failed {
                    model: "m".to_owned(),
                    reason: "no luck".to_owned(),
                })
            }))),
            "panics" => panic!("a panic while loading"),
            other => Err(BackendError::MissingOperators {
                model,
                backend: "fake",
                operators: vec![other.to_owned()],
            }),
        }
    }
}

fn doubled(inputs: Vec<Tensor>) -> Result<Vec<Tensor>, BackendError> {
    let input = &inputs[0];
    let [_, 2] = input.shape() else {
        return Err(BackendError::BadInput {
            model: "m".to_owned(),
            reason: format!("`x` has the shape {:?}", input.shape()),
        });
    };
    let first = input
        .data()
        .first_chunk()
        .map(|chunk| f32::from_le_bytes(*chunk));
    assert!(!first.is_some_and(f32::is_nan), "a panic on NaN");
    let data: Vec<u8> = input
        .data()
        .chunks_exact(4)
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()) * 2.0)
        .flat_map(f32::to_le_bytes)
        .collect();
    let output = Tensor::new(TensorType::F32, input.shape().to_vec(), data.into());
    Ok(vec![output.unwrap()])
}

/// A core module with the canonical ABI that infers: `run` makes a tensor
/// `[1, 2]` of the first 8 bytes of the body, gives it as `x` to the model that
/// the target names (without its slash) and answers with the output's bytes. An
/// error of the interface is the script's error.
pub(crate) const INFERRING_BODY: &str = r#"(module
  (import "wasi:nn/graph@0.2.0-rc-2024-10-28" "load-by-name"
    (func $load (param i32 i32 i32)))
  (import "wasi:nn/graph@0.2.0-rc-2024-10-28" "[method]graph.init-execution-context"
    (func $begin (param i32 i32)))
  (import "wasi:nn/inference@0.2.0-rc-2024-10-28" "[method]graph-execution-context.compute"
    (func $compute (param i32 i32 i32 i32)))
  (import "wasi:nn/tensor@0.2.0-rc-2024-10-28" "[constructor]tensor"
    (func $tensor (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi:nn/tensor@0.2.0-rc-2024-10-28" "[method]tensor.data"
    (func $data (param i32 i32)))
  (import "wasi:nn/tensor@0.2.0-rc-2024-10-28" "[resource-drop]tensor"
    (func $drop-tensor (param i32)))
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" "[method]error.data"
    (func $error (param i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 100) "x")
  (global $next (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "lusk:scoring/entry@0.1.0#init") (result i32) (i32.const 512))
  (func $failed (param $error i32) (result i32)
    (call $error (local.get $error) (i32.const 200))
    (i32.store8 (i32.const 16) (i32.const 1))
    (i32.store8 (i32.const 20) (i32.const 1))
    (i32.store (i32.const 24) (i32.load (i32.const 200)))
    (i32.store (i32.const 28) (i32.load (i32.const 204)))
    (i32.const 16))
  (func (export "lusk:scoring/entry@0.1.0#run")
    (param i32 i32) (param $target i32) (param $target-length i32) (param i32 i32)
    (param i32) (param $body i32) (param i32)
    (result i32)
    (local $session i32)
    (local $output i32)
    (global.set $next (i32.const 4096))
    (i64.store (i32.const 16) (i64.const 0))
    (i64.store (i32.const 24) (i64.const 0))
    (i64.store (i32.const 32) (i64.const 0))
    (call $load (i32.add (local.get $target) (i32.const 1))
      (i32.sub (local.get $target-length) (i32.const 1)) (i32.const 200))
    (if (i32.load8_u (i32.const 200))
      (then (return (call $failed (i32.load (i32.const 204))))))
    (call $begin (i32.load (i32.const 204)) (i32.const 200))
    (local.set $session (i32.load (i32.const 204)))
    (i32.store (i32.const 300) (i32.const 1))
    (i32.store (i32.const 304) (i32.const 2))
    (i32.store (i32.const 320) (i32.const 100))
    (i32.store (i32.const 324) (i32.const 1))
    (i32.store (i32.const 328)
      (call $tensor (i32.const 300) (i32.const 2) (i32.const 1) (local.get $body) (i32.const 8)))
    (call $compute (local.get $session) (i32.const 320) (i32.const 1) (i32.const 200))
    (if (i32.load8_u (i32.const 200))
      (then (return (call $failed (i32.load (i32.const 204))))))
    (local.set $output (i32.load offset=8 (i32.load (i32.const 204))))
    (call $data (local.get $output) (i32.const 200))
    (call $drop-tensor (local.get $output))
    (i32.store16 (i32.const 20) (i32.const 200))
    (i32.store8 (i32.const 32) (i32.const 1))
    (i32.store (i32.const 36) (i32.load (i32.const 200)))
    (i32.store (i32.const 40) (i32.load (i32.const 204)))
    (i32.const 16)))"#;
