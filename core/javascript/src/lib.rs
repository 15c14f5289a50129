//! The JavaScript runner: one component of the world `lusk:scoring/entry-script`
//! that runs any JavaScript entry script. It holds QuickJS and the modules that
//! such scripts import: `lusk:onnx` (inference on the host's backends),
//! `lusk:http` (raw answers) and `lusk:files` (files of the snapshot and models).
//!
//! This crate only carries the component. Compiling and running it, files,
//! limits and the log belong to `lusk_replica`.
//!
//! # The script
//!
//! ```js
//! export async function init() {}
//! export async function run(data, request) { return { got: JSON.parse(data) }; }
//! ```
//!
//! Both may be async or not, and may be properties of the default export.
//! `data` is the body's text, of a GET the JSON text of its query; `request`
//! holds `method`, `target` and `headers`. A string is answered as it is
//! (`text/plain`), `undefined` and `null` as `{}`, a `Response` of `lusk:http`
//! as it says, everything else as JSON.
//!
//! Not there: timers, `fetch`, `require`, the modules of Node, and writing
//! files. A promise that nothing can settle any more is an error at once.
//!
//! # What the host gives
//!
//! - The interface `local:init/module-loader`: the names and the text of the
//!   modules that scripts import. Names of carried modules are those of
//!   [`carried_module`].
//! - The interface `lusk:javascript/handles`: the engine frees no handles of
//!   `wasi:nn`, so the carried modules give them back through it.
//! - Environment variables: `AZUREML_ENTRY_SCRIPT` (below `AML_APP_ROOT` or below
//!   `AZUREML_SOURCE_DIRECTORY`) and whatever the script reads in `process.env`.
//! - `lusk:scoring/files`, standard output and standard error.
//!
//! # `init`
//!
//! Its error text begins with a line `<kind>: <summary>`, the kind being one of
//! [`IMPORT_ERROR`], [`FUNCTION_NOT_FOUND`], [`INIT_FAILED`]; the stack may
//! follow on the next lines.
//!
//! # `run`
//!
//! As of the Python runner: every answer carries `content-type` and
//! [`FAILED_HEADER`]; `bad-request` is a 400 that the script never saw; `script`
//! means that `run` threw, its stack is in the log already; [`SCHEMA_METHOD`]
//! answers what kind of script it is, which is always `plain`.

/// The component, zstd-compressed.
pub const COMPONENT_ZST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/runner.wasm.zst"));

/// SHA-256 of the component before compression, in hex.
pub const DIGEST: &str = env!("LUSK_JAVASCRIPT_DIGEST");

/// Kind of an `init` error: the script was not found or its import failed.
pub const IMPORT_ERROR: &str = "UserScriptImportError";

/// Kind of an `init` error: `init()` or `run()` is missing.
pub const FUNCTION_NOT_FOUND: &str = "UserScriptFunctionNotFound";

/// Kind of an `init` error: the script's `init()` threw.
pub const INIT_FAILED: &str = "UserScriptInitFailed";

/// The method by which the host asks for the script's schema.
pub const SCHEMA_METHOD: &str = "SCHEMA";

/// The response header that tells whether the script counts as failed.
pub const FAILED_HEADER: &str = "x-ms-run-function-failed";

/// The engine's name for a module that the runner carries.
pub fn carried_module(specifier: &str) -> Option<&'static str> {
    match specifier {
        "lusk:onnx" | "onnxruntime-common" | "onnxruntime-node" | "onnxruntime-web" => {
            Some("/onnx.js")
        }
        "lusk:http" => Some("/http.js"),
        "lusk:files" => Some("/files.js"),
        _ => None,
    }
}
