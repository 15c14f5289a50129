//! Core modules that speak the canonical ABI of the world become components.
//!
//! A compiler for C or Rust makes core modules only. One that exports
//! `lusk:scoring/entry@0.1.0#init`, `…#run`, `cabi_realloc` and `memory` says
//! all that a component says; the wrapping is added here, so that no further
//! tool is needed. The types come from the WIT that lusk itself is built with.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

use crate::wording;

/// The export that marks such a module.
const MARK: &[u8] = b"lusk:scoring/entry@0.1.0#run";

/// The section that a bindings generator has put in already.
const TYPE_SECTION: &[u8] = b"component-type";

const SCORING_WIT: &str = include_str!("../../contract/wit/lusk-scoring.wit");
const NN_WIT: &str = include_str!("../../contract/wit/deps/wasi-nn/wasi-nn.wit");

/// Whether the module exports the world's entry under its canonical name.
pub(crate) fn is_component_body(module: &[u8]) -> bool {
    contains(module, MARK)
}

/// Wraps the module into a component.
pub(crate) fn into_component(mut module: Vec<u8>) -> Result<Vec<u8>, String> {
    wrap(&mut module).map_err(|error| wording::chain(&*error))
}

fn wrap(module: &mut Vec<u8>) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    if !contains(module, TYPE_SECTION) {
        let (types, world) = world()?;
        embed_component_metadata(module, &types, world, StringEncoding::UTF8)?;
    }
    Ok(ComponentEncoder::default()
        .module(module)?
        .validate(true)
        .encode()?)
}

fn world() -> Result<(Resolve, WorldId), Box<dyn std::error::Error + Send + Sync>> {
    let mut types = Resolve::default();
    types.push_source("wasi-nn.wit", NN_WIT)?;
    let package = types.push_source("lusk-scoring.wit", SCORING_WIT)?;
    let world = types.select_world(&[package], Some("entry-script"))?;
    Ok((types, world))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compile::Flavour, compile::flavour, testing::COMPONENT_BODY};

    #[test]
    fn a_module_with_the_canonical_exports_becomes_a_component() {
        let module = wat::parse_str(COMPONENT_BODY).unwrap();
        assert!(is_component_body(&module));
        let component = into_component(module).unwrap();
        assert_eq!(flavour(&component), Some(Flavour::Component));
    }

    #[test]
    fn what_does_not_fit_the_world_is_told() {
        let text = r#"(module (func (export "lusk:scoring/entry@0.1.0#run")))"#;
        let message = into_component(wat::parse_str(text).unwrap()).unwrap_err();
        assert!(message.contains("lusk:scoring/entry@0.1.0"), "{message}");
    }
}
