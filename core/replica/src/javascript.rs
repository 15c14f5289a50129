//! The runner of JavaScript scripts.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};

use crate::{
    bindings::wasi::nn::{errors, graph, inference, tensor},
    context::Context,
    nn::{Execution, Graph, NnError, TensorCell},
    runner::Runner,
};

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

/// Lets the runner end its handles, which its engine cannot do by itself.
pub(crate) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut handles = linker.instance("lusk:javascript/handles@0.1.0")?;
    handles.func_wrap(
        "drop-tensor",
        |mut store: StoreContextMut<'_, Context>, (it,): (Resource<TensorCell>,)| {
            tensor::HostTensor::drop(store.data_mut(), it)
        },
    )?;
    handles.func_wrap(
        "drop-error",
        |mut store: StoreContextMut<'_, Context>, (it,): (Resource<NnError>,)| {
            errors::HostError::drop(store.data_mut(), it)
        },
    )?;
    handles.func_wrap(
        "drop-graph",
        |mut store: StoreContextMut<'_, Context>, (it,): (Resource<Graph>,)| {
            graph::HostGraph::drop(store.data_mut(), it)
        },
    )?;
    handles.func_wrap(
        "drop-context",
        |mut store: StoreContextMut<'_, Context>, (it,): (Resource<Execution>,)| {
            inference::HostGraphExecutionContext::drop(store.data_mut(), it)
        },
    )?;
    Ok(())
}
