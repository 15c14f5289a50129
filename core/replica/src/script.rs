//! Entry scripts as code that instances are made of.

use lusk_contract::{StartError, StartErrorKind};
use lusk_domain::FailureDetail;
use wasmtime::{Engine, InstancePre, Linker, component as wasm};
use wasmtime_wasi::{p1, p2};

use crate::{
    aot::Code, bindings::EntryScript, component::EntryIndices, context::Context, core_module,
    javascript, modules, wording,
};

/// Bytes of one page of linear memory.
const PAGE_BYTES: u64 = 64 << 10;

/// Links scripts to what lusk offers them.
pub(crate) struct Linkers {
    components: wasm::Linker<Context>,
    modules: Linker<Context>,
}

/// A script, linked and checked; instances are made of it.
pub(crate) enum Script {
    Component(wasm::InstancePre<Context>, EntryIndices),
    Module(InstancePre<Context>),
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut components = wasm::Linker::new(engine);
        p2::add_to_linker_async(&mut components)?;
        EntryScript::add_to_linker::<_, wasm::HasSelf<Context>>(&mut components, |c| c)?;
        modules::add_to_linker(&mut components)?;
        javascript::add_to_linker(&mut components)?;
        let mut modules = Linker::new(engine);
        p1::add_to_linker_async(&mut modules, |context: &mut Context| &mut context.wasi)?;
        Ok(Self {
            components,
            modules,
        })
    }

    /// Checks that the code called `name` imports what is there and exports
    /// what is needed.
    pub(crate) fn link(&self, name: &str, code: Code) -> Result<Script, StartError> {
        match code {
            Code::Component(component) => {
                let entry = EntryIndices::of(&component).map_err(|text| {
                    let what =
                        "is a component, but not of the world lusk:scoring/entry-script@0.1.0";
                    function_not_found(name, what, vec![text])
                })?;
                self.components
                    .instantiate_pre(&component)
                    .map(|linked| Script::Component(linked, entry))
                    .map_err(|error| unlinkable(name, &error))
            }
            Code::Module(module) => {
                let violations = core_module::violations(&module);
                if !violations.is_empty() {
                    return Err(function_not_found(
                        name,
                        "does not export what a core module must export",
                        violations,
                    ));
                }
                self.modules
                    .instantiate_pre(&module)
                    .map(Script::Module)
                    .map_err(|error| unlinkable(name, &error))
            }
        }
    }
}

impl Script {
    /// Bytes of linear memory that an instance has at least.
    pub(crate) fn initial_memory(&self) -> u64 {
        let pages = match self {
            Self::Component(script, _) => script
                .component()
                .resources_required()
                .and_then(|required| required.max_initial_memory_size),
            Self::Module(script) => script.module().resources_required().max_initial_memory_size,
        };
        pages.unwrap_or(0).saturating_mul(PAGE_BYTES)
    }

    /// Refuses a memory limit in which not even the first pages fit.
    pub(crate) fn check_memory(
        &self,
        name: &str,
        limit: u64,
        slots: usize,
    ) -> Result<(), StartError> {
        let needed = self.initial_memory().saturating_mul(slots as u64);
        if needed <= limit {
            return Ok(());
        }
        let instances = match slots {
            1 => String::new(),
            slots => format!(" for its {slots} concurrent requests"),
        };
        Err(out_of_memory(format!(
            "`{name}` needs {} to start{instances}, but a replica may have {}; raise memoryInGB{}",
            wording::bytes(needed),
            wording::bytes(limit),
            if slots > 1 {
                " or lower maxConcurrentRequestsPerContainer"
            } else {
                ""
            }
        )))
    }
}

fn unlinkable(name: &str, error: &wasmtime::Error) -> StartError {
    invalid_script(
        format!("`{name}` imports something that lusk does not offer"),
        format!("{error:#}"),
    )
}

pub(crate) fn invalid_script(message: String, cause: String) -> StartError {
    StartError {
        kind: StartErrorKind::InvalidScript,
        message,
        details: vec![FailureDetail {
            code: "InvalidScript".to_owned(),
            message: cause,
        }],
    }
}

fn function_not_found(name: &str, what: &str, causes: Vec<String>) -> StartError {
    StartError {
        kind: StartErrorKind::UserScriptFunctionNotFound,
        message: format!("`{name}` {what}"),
        details: causes
            .into_iter()
            .map(|message| FailureDetail {
                code: "UserScriptFunctionNotFound".to_owned(),
                message,
            })
            .collect(),
    }
}

pub(crate) fn out_of_memory(message: String) -> StartError {
    StartError {
        kind: StartErrorKind::OutOfMemory,
        details: vec![FailureDetail {
            code: "OutOfMemory".to_owned(),
            message: message.clone(),
        }],
        message,
    }
}

pub(crate) fn internal(message: String) -> StartError {
    StartError {
        kind: StartErrorKind::Internal,
        details: vec![FailureDetail {
            code: "Internal".to_owned(),
            message: message.clone(),
        }],
        message,
    }
}
