//! The runner of JavaScript scripts.

use crate::runner::Runner;

/// What it is called in messages.
const NAME: &str = "the JavaScript runner";

/// The one that lusk carries.
#[cfg(feature = "javascript")]
pub(crate) fn carried() -> Runner {
    Runner::new(
        NAME,
        lusk_javascript::COMPONENT_ZST,
        lusk_javascript::DIGEST,
    )
}

/// A build without JavaScript.
#[cfg(not(feature = "javascript"))]
pub(crate) fn carried() -> Runner {
    Runner::new(NAME, b"", "")
}

/// The engine's name for a module that the runner carries.
#[cfg(feature = "javascript")]
pub(crate) fn carried_module(specifier: &str) -> Option<&'static str> {
    lusk_javascript::carried_module(specifier)
}

/// A build without JavaScript.
#[cfg(not(feature = "javascript"))]
pub(crate) fn carried_module(_specifier: &str) -> Option<&'static str> {
    None
}
