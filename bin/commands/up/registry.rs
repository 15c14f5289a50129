//! Addresses of registries. The command line's parser would repeat what it refuses,
//! and there may be a password in it, so they are read after it.

use lusk_images::RegistryAddress;

use crate::render::Trouble;

/// The registry that `text` of `flag`, or of its variable, names.
///
/// # Errors
/// It is no address.
pub(super) fn address(
    text: Option<&str>,
    flag: &str,
    variable: &str,
) -> Result<Option<RegistryAddress>, Trouble> {
    text.map(str::parse)
        .transpose()
        .map_err(|why: String| Trouble::misuse(format!("{flag} (or {variable}): {why}")))
}
