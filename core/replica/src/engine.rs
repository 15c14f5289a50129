//! The one engine of the process and the clock that interrupts guests.

use std::{
    hash::{Hash, Hasher},
    sync::mpsc,
    thread,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Engine};

/// How often a running guest gives its thread back, and so how fast a dropped
/// request stops computing.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Stack that wasm code may use. CPython needs far more than the default of
/// 512 KiB for deep data (its own recursion limit should be met first).
const WASM_STACK_BYTES: usize = 4 << 20;

/// Stack that host functions have beyond the guest's: inference runs there.
const HOST_STACK_BYTES: usize = 2 << 20;

/// Makes an engine with the settings that every compiled file depends on.
pub(crate) fn new_engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        .wasm_memory64(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(WASM_STACK_BYTES + HOST_STACK_BYTES);
    Engine::new(&config)
}

/// What compiled code depends on beside the component: wasmtime's version and
/// settings, and the target.
pub(crate) fn compatibility(engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.write(std::env::consts::ARCH.as_bytes());
    hasher.write(std::env::consts::OS.as_bytes());
    hex::encode(&hasher.0.finalize()[..8])
}

/// Feeds `Hash` into SHA-256, because the standard hasher's output may change
/// from one release of Rust to the next.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

/// A thread that does something again and again, until this is dropped.
#[derive(Debug)]
pub(crate) struct Repeater {
    _stop: mpsc::Sender<()>,
}

impl Repeater {
    /// Starts the thread.
    pub(crate) fn start(
        name: &str,
        pause: Duration,
        work: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                    work();
                }
            })?;
        Ok(Self { _stop: stop })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatibility_is_the_same_for_equal_engines() {
        let one = compatibility(&new_engine().unwrap());
        let two = compatibility(&new_engine().unwrap());
        assert_eq!(one, two);
        assert_eq!(one.len(), 16);
    }
}
