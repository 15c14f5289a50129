//! The backend of every machine: ONNX models on the CPU, by tract.
//!
//! [`TractBackend`] keeps one copy of the weights per digest; `file` reads and
//! checks a model before tract sees it, `maps` puts tables in place of maps,
//! `functions` writes some operators with others, `ops` adds some of our own,
//! `plan` makes it runnable (`late`, if that depends on the values of inputs,
//! which `structural` finds; `fitted`, for extents that come often), `blocked`
//! makes convolutional networks fast, `session` answers calls, on the threads of a
//! `crew`, and `tensor` converts at the border.
//!
//! Whatever a file says, loading it takes at most 64 MiB and 32 times the size
//! of the file and its external data, and no tensor of a call takes more than
//! 256 MiB and 256 times the bytes of weights and inputs: `memory` sees to it,
//! `tests/damage` tries it on thousands of broken models.
//!
//! Invariant: whatever bytes a model holds, loading or running it ends in a
//! value; a panic inside tract is caught here.

mod attributes;
mod backend;
mod blocked;
mod crew;
mod file;
mod fitted;
mod footprint;
mod functions;
mod late;
mod maps;
mod memory;
mod micro_batches;
mod operators;
mod ops;
mod paces;
mod plan;
mod runner;
mod session;
mod signature;
mod structural;
mod tensor;
#[cfg(test)]
mod testing;

pub use backend::TractBackend;

/// The name of this backend.
const NAME: &str = "tract";

/// The longest reason that is passed on: tract's errors may quote whole nodes.
const MAX_REASON_CHARS: usize = 400;

/// Runs `work`; a panic in it becomes an error text.
fn without_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        shortened(text.unwrap_or("the engine panicked"))
    })
}

/// The first [`MAX_REASON_CHARS`] of a text, on one line.
fn shortened(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{} [...]", &one_line[..end]),
        None => one_line,
    }
}
