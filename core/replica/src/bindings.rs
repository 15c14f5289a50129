//! Types and traits generated from the WIT of `lusk-contract`.
//!
//! `wasi:nn` is implemented by lusk itself: inference is asynchronous, so that
//! a request nobody waits for is dropped, and errors keep their codes. Exports
//! are called by [`crate::component`], which lowers requests without a copy.

use crate::nn;

wasmtime::component::bindgen!({
    path: "../contract/wit",
    world: "lusk:scoring/entry-script",
    imports: {
        "wasi:nn/inference@0.2.0-rc-2024-10-28.[method]graph-execution-context.compute": async | trappable,
        "wasi:nn/graph@0.2.0-rc-2024-10-28.load": async | trappable,
        "wasi:nn/graph@0.2.0-rc-2024-10-28.load-by-name": async | trappable,
        "lusk:scoring/model-info.describe": async | trappable,
        "lusk:scoring/direct.compute": async | trappable,
        "lusk:scoring/files.read": async | trappable,
        default: trappable,
    },
    with: {
        "wasi:nn/tensor.tensor": nn::TensorCell,
        "wasi:nn/errors.error": nn::NnError,
        "wasi:nn/inference.graph-execution-context": nn::Execution,
        "wasi:nn/graph.graph": nn::Graph,
    },
});
