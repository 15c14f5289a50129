//! Language runners: one component for all scripts of a language.

use std::{sync::Arc, time::Duration};

use lusk_contract::{Revision, StartError, StartErrorKind};
use lusk_domain::FailureDetail;
use tokio::sync::OnceCell;

use crate::{
    aot::AotCache,
    compile::Flavour,
    local::not_loaded,
    models::contained_file,
    script::{Linkers, Script, internal},
};

/// A runner component, loaded when it is needed first.
pub(crate) struct Runner {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    component_zst: &'static [u8],
    digest: &'static str,
    script: OnceCell<Arc<Script>>,
}

impl Runner {
    /// One that lusk carries; `component_zst` is empty in a build without it.
    pub(crate) fn new(
        name: &'static str,
        component_zst: &'static [u8],
        digest: &'static str,
    ) -> Self {
        Self {
            name,
            component_zst,
            digest,
            script: OnceCell::new(),
        }
    }

    /// Whether this build has it.
    pub(crate) fn is_carried(&self) -> bool {
        !self.component_zst.is_empty()
    }

    /// What its machine code is found by.
    pub(crate) fn digest(&self) -> &'static str {
        self.digest
    }

    /// Whether using it will not compile it.
    pub(crate) fn is_known(&self, cache: &AotCache) -> bool {
        self.script.initialized() || cache.has(self.digest)
    }

    /// The runner, and how long compiling it took if that was needed now.
    pub(crate) async fn get(
        &self,
        cache: &AotCache,
        linkers: &Linkers,
    ) -> Result<(Arc<Script>, Option<Duration>), StartError> {
        if !self.is_carried() {
            return Err(internal(format!(
                "this build of lusk does not carry {}",
                self.name
            )));
        }
        let mut compiled_in = None;
        let script = self
            .script
            .get_or_try_init(|| async {
                let component = self.component_zst;
                let loaded = cache
                    .load(self.digest, Flavour::Component, move || {
                        zstd::decode_all(component)
                    })
                    .await
                    .map_err(|error| not_loaded(self.name, &error))?;
                compiled_in = loaded.compiled_in;
                linkers.link(self.name, loaded.code).map(Arc::new)
            })
            .await?;
        Ok((Arc::clone(script), compiled_in))
    }
}

/// Refuses a revision whose script is not there, before anything is started.
pub(crate) fn check_source(revision: &Revision) -> Result<(), StartError> {
    if contained_file(&revision.app_root, &revision.script).is_some() {
        return Ok(());
    }
    let message = format!(
        "the entry script `{}` is not in the snapshot",
        revision.script
    );
    Err(StartError {
        kind: StartErrorKind::UserScriptImportError,
        details: vec![FailureDetail {
            code: "UserScriptImportError".to_owned(),
            message: message.clone(),
        }],
        message,
    })
}
