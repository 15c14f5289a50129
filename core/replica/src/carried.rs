//! The language runners of this build, seen without a host.

use std::path::Path;

use crate::{LocalHostError, aot, engine, javascript, python};

/// A language runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedRunner {
    /// What it is called in messages.
    pub name: &'static str,
    /// Whether this build has it.
    pub is_carried: bool,
    /// Whether its machine code is in the cache; else the first use compiles it.
    pub is_compiled: bool,
}

/// The runners, and whether the cache in `aot` has them. Changes nothing.
///
/// # Errors
/// The WebAssembly engine does not run on this machine.
pub fn carried_runners(aot: &Path) -> Result<Vec<CarriedRunner>, LocalHostError> {
    let engine =
        engine::new_engine().map_err(|error| LocalHostError::Engine(format!("{error:#}")))?;
    let runners = [python::carried(), javascript::carried()];
    Ok(runners
        .iter()
        .map(|runner| CarriedRunner {
            name: runner.name,
            is_carried: runner.is_carried(),
            is_compiled: aot::is_stored(&engine, aot, runner.digest()),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_in_the_cache_is_compiled() {
        let folder = tempfile::tempdir().unwrap();
        let seen = || carried_runners(folder.path()).unwrap();
        assert!(seen().iter().all(|runner| !runner.is_compiled));
        let engine = engine::new_engine().unwrap();
        let digest = python::carried().digest();
        let name = format!("{digest}-{}.check", engine::compatibility(&engine));
        fs::write(folder.path().join(name), "").unwrap();
        let compiled: Vec<_> = seen().iter().map(|runner| runner.is_compiled).collect();
        assert_eq!(compiled, [true, false]);
        assert_eq!(seen()[0].name, "the Python runner");
        assert!(!folder.path().join("none").exists());
    }
}
