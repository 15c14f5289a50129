//! The Python runner: one component of the world `lusk:scoring/entry-script`
//! that runs any Azure-style entry script. It holds CPython, its standard
//! library and the modules that such scripts import (`numpy` as a subset,
//! `onnxruntime` over the host's inference, `azureml.*`, `inference_schema`).
//!
//! This crate only carries the component. Compiling and running it, files,
//! limits and the log belong to `lusk_replica`; what the component expects of
//! its host is written down here.
//!
//! `numpy` computes on `array.array` with numpy's types, broadcasting and views:
//! creation, indexing, arithmetic, comparison, the usual functions of one
//! number, reductions over axes, sorting, joining, and products of vectors and
//! matrices. Not there: `random`, `fft`, most of `linalg`, text, dates, complex
//! and 16-bit floats, object and structured arrays; they raise
//! `NotImplementedError`. `tests/compare_numpy.py` compares it with the original.
//!
//! # What the host gives
//!
//! - The app root as a read-only folder at `/var/azureml-app`. No other folder
//!   is needed; a writable `/tmp` is welcome.
//! - Environment variables: `AZUREML_ENTRY_SCRIPT` (below the app root or below
//!   `AZUREML_SOURCE_DIRECTORY`; without it the module `main` is imported) and
//!   whatever the script reads. `AML_APP_ROOT` replaces the app root.
//!   `PYTHONPATH` may name further folders with pure Python packages.
//! - Standard output and standard error: the service's log.
//! - Names of models in `wasi:nn` `load-by-name` and in `model-info` are the
//!   absolute paths of files that the guest can see. Truth values travel as
//!   `U8` tensors, one byte each.
//! - Memory: 16 MiB are there from the start; 24 MiB suit small scripts.
//! - A stack of 2 MiB for wasm code or more. JSON nested deeper than 990 levels
//!   is refused before it can exhaust the stack.
//!
//! # `init`
//!
//! Its error text begins with a line `<kind>: <summary>`, the kind being one of
//! [`IMPORT_ERROR`], [`FUNCTION_NOT_FOUND`], [`INIT_FAILED`]; a Python traceback
//! of the script's own frames may follow on the next lines.
//!
//! # `run`
//!
//! - Every response carries `content-type` and [`FAILED_HEADER`] (`True` or
//!   `False`), once. 415 and a result that is not JSON-serialisable (500, not
//!   failed) are responses.
//! - `bad-request` is a 400 that the script never saw.
//! - `script` means that `run` raised; the traceback is in the log already and
//!   the text is its last line.
//! - The method [`SCHEMA_METHOD`] answers 200 with a JSON object: `kind`
//!   (`plain`, `schema` or `raw`), and `input` and `output` as Swagger 2 schemas
//!   with the samples as their `example`. It does not call the script.

//!
//! # The native runner
//!
//! [`NATIVE_FILES`] run the same scripts in a Python of the machine; what they
//! expect of their parent is in `process/lusk_native/channel.py`.

mod native;

pub use native::NATIVE_FILES;

/// The component, zstd-compressed.
pub const COMPONENT_ZST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/runner.wasm.zst"));

/// SHA-256 of the component before compression, in hex.
pub const DIGEST: &str = env!("LUSK_PYTHON_DIGEST");

/// Kind of an `init` error: the script was not found or its import failed.
pub const IMPORT_ERROR: &str = "UserScriptImportError";

/// Kind of an `init` error: `init()` or `run()` is missing or has parameters that cannot be.
pub const FUNCTION_NOT_FOUND: &str = "UserScriptFunctionNotFound";

/// Kind of an `init` error: the script's `init()` raised.
pub const INIT_FAILED: &str = "UserScriptInitFailed";

/// The method by which the host asks for the script's schema.
pub const SCHEMA_METHOD: &str = "SCHEMA";

/// The response header that tells whether the script counts as failed.
pub const FAILED_HEADER: &str = "x-ms-run-function-failed";
