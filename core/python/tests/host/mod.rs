//! A small host for the component: one model that answers with what it was given.

use std::{fs, sync::LazyLock};

use tempfile::TempDir;
use wasmtime::{
    Config, Engine, Error, Result, Store, StoreLimits, StoreLimitsBuilder,
    component::{Component, HasSelf, Linker, Resource, ResourceTable},
};
use wasmtime_wasi::{
    FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p2::pipe::MemoryOutputPipe,
};

use exports::lusk::scoring::entry;
use lusk::scoring::{direct, files, model_info, types};
use wasi::nn::{errors, graph, inference, tensor};

pub use entry::{Request, Response, RunError};
pub use lusk::scoring::types::Payload;

wasmtime::component::bindgen!({
    path: "../contract/wit",
    world: "lusk:scoring/entry-script",
    imports: { default: trappable },
    with: {
        "wasi:nn/tensor.tensor": TensorCell,
        "wasi:nn/errors.error": Refusal,
        "wasi:nn/inference.graph-execution-context": Run,
        "wasi:nn/graph.graph": Model,
    },
});

/// Memory that an instance may have unless a test says otherwise.
const MEMORY_LIMIT: usize = 24 << 20;

/// As the replica's engine has it.
const STACK: usize = 4 << 20;

pub struct TensorCell(tensor::TensorDimensions, tensor::TensorType, Vec<u8>);
pub struct Refusal(errors::ErrorCode, String);
pub struct Run;
pub struct Model;

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
    /// Tensors that the guest has not given back.
    tensors: usize,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl Host {
    fn keep(&mut self, cell: TensorCell) -> Result<Resource<TensorCell>> {
        self.tensors += 1;
        Ok(self.table.push(cell)?)
    }

    fn refuse<T>(
        &mut self,
        code: errors::ErrorCode,
        text: &str,
    ) -> Result<Result<T, Resource<Refusal>>> {
        Ok(Err(self.table.push(Refusal(code, text.to_owned()))?))
    }
}

impl types::Host for Host {}

impl tensor::Host for Host {}

impl tensor::HostTensor for Host {
    fn new(
        &mut self,
        dimensions: Vec<u32>,
        ty: tensor::TensorType,
        data: Vec<u8>,
    ) -> Result<Resource<TensorCell>> {
        self.keep(TensorCell(dimensions, ty, data))
    }
    fn dimensions(&mut self, cell: Resource<TensorCell>) -> Result<Vec<u32>> {
        Ok(self.table.get(&cell)?.0.clone())
    }
    fn ty(&mut self, cell: Resource<TensorCell>) -> Result<tensor::TensorType> {
        Ok(self.table.get(&cell)?.1)
    }
    fn data(&mut self, cell: Resource<TensorCell>) -> Result<Vec<u8>> {
        Ok(self.table.get(&cell)?.2.clone())
    }
    fn drop(&mut self, cell: Resource<TensorCell>) -> Result<()> {
        self.table.delete(cell)?;
        self.tensors -= 1;
        Ok(())
    }
}

impl errors::Host for Host {}

impl errors::HostError for Host {
    fn code(&mut self, error: Resource<Refusal>) -> Result<errors::ErrorCode> {
        Ok(self.table.get(&error)?.0)
    }
    fn data(&mut self, error: Resource<Refusal>) -> Result<String> {
        Ok(self.table.get(&error)?.1.clone())
    }
    fn drop(&mut self, error: Resource<Refusal>) -> Result<()> {
        self.table.delete(error)?;
        Ok(())
    }
}

impl inference::Host for Host {}

impl inference::HostGraphExecutionContext for Host {
    /// Answers with the position of the largest value of each row, and with the input.
    fn compute(
        &mut self,
        _context: Resource<Run>,
        inputs: Vec<inference::NamedTensor>,
    ) -> Result<Result<Vec<inference::NamedTensor>, Resource<Refusal>>> {
        let mut cells = Vec::new();
        for (_, cell) in inputs {
            cells.push(self.table.delete(cell)?);
            self.tensors -= 1;
        }
        let TensorCell(shape, ty, data) = cells.pop().ok_or_else(|| Error::msg("no input"))?;
        let values: Vec<f32> = data
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        if values.iter().any(|value| value.is_infinite()) {
            return self.refuse(errors::ErrorCode::RuntimeError, "an infinite input");
        }
        let labels: Vec<u8> = values
            .chunks(shape[1] as usize)
            .flat_map(|row| largest(row).to_le_bytes())
            .collect();
        let labels = TensorCell(vec![shape[0]], tensor::TensorType::I64, labels);
        Ok(Ok(vec![
            ("label".to_owned(), self.keep(labels)?),
            (
                "probabilities".to_owned(),
                self.keep(TensorCell(shape, ty, data))?,
            ),
        ]))
    }
    fn drop(&mut self, context: Resource<Run>) -> Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}

impl direct::Host for Host {
    fn maps(&mut self, _context: Resource<Run>) -> Result<Vec<(String, direct::Keys)>> {
        Ok(Vec::new())
    }

    /// As `inference` does, with one float32 matrix.
    fn compute(
        &mut self,
        _context: Resource<Run>,
        inputs: Vec<u8>,
    ) -> Result<Result<Vec<u8>, direct::Failure>> {
        let (head, data) = inputs
            .split_at_checked(12)
            .ok_or_else(|| Error::msg("no input"))?;
        let extent = |at: usize| head[at..at + 4].try_into().map(u32::from_le_bytes);
        let (rows, columns) = (extent(4)?, extent(8)? as usize);
        let values: Vec<f32> = data
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        if values.iter().any(|value| value.is_infinite()) {
            return Ok(Err(direct::Failure {
                code: errors::ErrorCode::RuntimeError,
                text: "an infinite input".to_owned(),
            }));
        }
        let mut outputs = vec![4, 1, 0, 0];
        outputs.extend(rows.to_le_bytes());
        outputs.extend(
            values
                .chunks(columns)
                .flat_map(|row| largest(row).to_le_bytes()),
        );
        outputs.extend(inputs);
        Ok(Ok(outputs))
    }
}

fn largest(row: &[f32]) -> i64 {
    let (place, _) = row
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .unwrap_or((0, &0.0));
    place as i64
}

impl graph::Host for Host {
    fn load(
        &mut self,
        _parts: Vec<Vec<u8>>,
        _encoding: graph::GraphEncoding,
        _target: graph::ExecutionTarget,
    ) -> Result<Result<Resource<Model>, Resource<Refusal>>> {
        Ok(Ok(self.table.push(Model)?))
    }
    fn load_by_name(&mut self, name: String) -> Result<Result<Resource<Model>, Resource<Refusal>>> {
        if name.contains("broken") {
            return self.refuse(errors::ErrorCode::InvalidEncoding, "not a model");
        }
        Ok(Ok(self.table.push(Model)?))
    }
}

impl graph::HostGraph for Host {
    fn init_execution_context(
        &mut self,
        _graph: Resource<Model>,
    ) -> Result<Result<Resource<Run>, Resource<Refusal>>> {
        Ok(Ok(self.table.push(Run)?))
    }
    fn drop(&mut self, graph: Resource<Model>) -> Result<()> {
        self.table.delete(graph)?;
        Ok(())
    }
}

impl model_info::Host for Host {
    fn describe(&mut self, _name: String) -> Result<Result<model_info::Signature, String>> {
        let spec = |name: &str, kind: &str, shape: &[i64]| model_info::IoSpec {
            name: name.to_owned(),
            kind: kind.to_owned(),
            shape: shape.to_vec(),
        };
        Ok(Ok(model_info::Signature {
            inputs: vec![spec("X", "tensor(float)", &[-1, 4])],
            outputs: vec![
                spec("label", "tensor(int64)", &[-1]),
                spec("probabilities", "tensor(float)", &[-1, 4]),
            ],
        }))
    }
}

impl files::Host for Host {
    fn read(&mut self, path: String) -> Result<Result<Vec<u8>, String>> {
        Ok(Err(format!("`{path}` is not there")))
    }
}

struct Compiled {
    engine: Engine,
    component: Component,
}

static COMPILED: LazyLock<Result<Compiled>> = LazyLock::new(|| {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .max_wasm_stack(STACK)
        .async_stack_size(STACK + (2 << 20));
    let engine = Engine::new(&config)?;
    let bytes = zstd::decode_all(lusk_python::COMPONENT_ZST)?;
    let component = Component::new(&engine, bytes)?;
    Ok(Compiled { engine, component })
});

/// An instance of the runner with files and variables of a test's own.
pub struct Runner {
    store: Store<Host>,
    guest: EntryScript,
    out: MemoryOutputPipe,
    err: MemoryOutputPipe,
    _root: TempDir,
}

/// What a test starts a runner with.
#[derive(Default)]
pub struct Setup<'a> {
    /// Paths below the app root, and contents.
    pub files: &'a [(&'a str, &'a str)],
    pub variables: &'a [(&'a str, &'a str)],
    /// Bytes of memory; none for a limit that suits most scripts.
    pub memory: Option<usize>,
}

impl Runner {
    /// An instance whose `init` was not called.
    pub fn new(setup: &Setup<'_>) -> Result<Self> {
        let compiled = COMPILED
            .as_ref()
            .map_err(|error| Error::msg(format!("the component does not compile: {error:#}")))?;
        let root = tempfile::tempdir()?;
        for (path, content) in setup.files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().ok_or_else(|| Error::msg("no folder"))?)?;
            fs::write(path, content)?;
        }
        let (out, err) = (
            MemoryOutputPipe::new(1 << 20),
            MemoryOutputPipe::new(1 << 20),
        );
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(out.clone()).stderr(err.clone());
        wasi.env("AZUREML_ENTRY_SCRIPT", "score.py");
        for (name, value) in setup.variables {
            wasi.env(name, value);
        }
        wasi.preopened_dir(root.path(), "/var/azureml-app", FsPerms::ReadOnly)?;
        let host = Host {
            wasi: wasi.build(),
            table: ResourceTable::new(),
            tensors: 0,
            limits: StoreLimitsBuilder::new()
                .memory_size(setup.memory.unwrap_or(MEMORY_LIMIT))
                .build(),
        };
        let mut linker = Linker::new(&compiled.engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        EntryScript::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        let mut store = Store::new(&compiled.engine, host);
        store.limiter(|host| &mut host.limits);
        let guest = EntryScript::instantiate(&mut store, &compiled.component, &linker)?;
        Ok(Self {
            store,
            guest,
            out,
            err,
            _root: root,
        })
    }

    /// An instance of one script that is ready to answer.
    pub fn of_script(script: &str) -> Result<Self> {
        let mut runner = Self::new(&Setup {
            files: &[("score.py", script)],
            ..Setup::default()
        })?;
        runner.init()?.map_err(Error::msg)?;
        Ok(runner)
    }

    pub fn init(&mut self) -> Result<Result<(), String>> {
        self.guest.lusk_scoring_entry().call_init(&mut self.store)
    }

    pub fn run(&mut self, request: &Request) -> Result<Result<Response, RunError>> {
        self.guest
            .lusk_scoring_entry()
            .call_run(&mut self.store, request)
    }

    /// Sends JSON and returns status and body.
    pub fn post(&mut self, body: &str) -> Result<(u16, String)> {
        let response = self
            .run(&json_request(body))?
            .map_err(|error| Error::msg(format!("{error:?}")))?;
        Ok((response.status, text(&response)))
    }

    /// Tensors that the guest still holds.
    pub fn tensors(&self) -> usize {
        self.store.data().tensors
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.out.contents()).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.err.contents()).into_owned()
    }
}

/// Runs a test on a thread whose stack is as deep as a replica's fibers are.
pub fn on_deep_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK + (8 << 20));
    thread.spawn(test).unwrap().join().unwrap();
}

/// A POST with a JSON body.
pub fn json_request(body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        target: "/score".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Payload::Text(body.to_owned()),
    }
}

/// The text of a response's body.
pub fn text(response: &Response) -> String {
    match &response.body {
        Payload::Text(text) => text.clone(),
        Payload::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The first value of a header.
pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers
        .iter()
        .find(|(each, _)| each.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}
