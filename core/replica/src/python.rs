//! The runner of Python scripts.

use crate::runner::Runner;

/// What it is called in messages.
const NAME: &str = "the Python runner";

/// The one that lusk carries.
#[cfg(feature = "python")]
pub(crate) fn carried() -> Runner {
    Runner::new(NAME, lusk_python::COMPONENT_ZST, lusk_python::DIGEST)
}

/// A build without Python.
#[cfg(not(feature = "python"))]
pub(crate) fn carried() -> Runner {
    Runner::new(NAME, b"", "")
}
