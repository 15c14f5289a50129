//! Python scripts: one runner component for all of them.

use std::{borrow::Cow, sync::Arc, time::Duration};

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

/// What the runner is called in messages.
pub(crate) const NAME: &str = "the Python runner";

/// The runner component, loaded when it is needed first.
pub(crate) struct PythonRunner {
    component_zst: Cow<'static, [u8]>,
    digest: Cow<'static, str>,
    script: OnceCell<Arc<Script>>,
}

impl PythonRunner {
    /// The one that lusk carries.
    #[cfg(feature = "python")]
    pub(crate) fn carried() -> Self {
        Self::of(lusk_python::COMPONENT_ZST, lusk_python::DIGEST)
    }

    /// A build without Python.
    #[cfg(not(feature = "python"))]
    pub(crate) fn carried() -> Self {
        Self::of(&b""[..], "")
    }

    fn of(
        component_zst: impl Into<Cow<'static, [u8]>>,
        digest: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            component_zst: component_zst.into(),
            digest: digest.into(),
            script: OnceCell::new(),
        }
    }

    /// Whether using it will not compile it.
    pub(crate) fn is_known(&self, cache: &AotCache) -> bool {
        self.script.initialized() || cache.has(&self.digest)
    }

    /// The runner, and how long compiling it took if that was needed now.
    pub(crate) async fn get(
        &self,
        cache: &AotCache,
        linkers: &Linkers,
    ) -> Result<(Arc<Script>, Option<Duration>), StartError> {
        if self.component_zst.is_empty() {
            return Err(internal(
                "this build of lusk carries no Python runner".to_owned(),
            ));
        }
        let mut compiled_in = None;
        let script = self
            .script
            .get_or_try_init(|| async {
                let component = self.component_zst.clone();
                let loaded = cache
                    .load(&self.digest, Flavour::Component, move || {
                        zstd::decode_all(&component[..])
                    })
                    .await
                    .map_err(|error| not_loaded(NAME, &error))?;
                compiled_in = loaded.compiled_in;
                linkers.link(NAME, loaded.code).map(Arc::new)
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
