//! What is true of services now and is in no record: which operation holds the
//! turn, what runs, why something does not.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lusk_domain::{Failure, ServiceName, ServiceState};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{ControlError, running::Running};

/// What is known of one service.
#[derive(Default, Clone)]
pub(crate) struct Now {
    /// The operation that holds the turn.
    pub(crate) operation: Option<Uuid>,
    /// Tells that operation that its service is to be deleted.
    given_up: CancellationToken,
    /// What serves.
    pub(crate) running: Option<Arc<Running>>,
    /// A state that the record does not tell, and why.
    pub(crate) note: Option<(ServiceState, Failure)>,
}

impl Now {
    fn is_nothing(&self) -> bool {
        self.operation.is_none() && self.running.is_none() && self.note.is_none()
    }
}

/// All services.
#[derive(Default)]
pub(crate) struct Live {
    services: Mutex<HashMap<ServiceName, Now>>,
    /// Told when a turn is given back.
    turned: Notify,
}

impl Live {
    pub(crate) fn now(&self, name: &ServiceName) -> Now {
        self.lock().get(name).cloned().unwrap_or_default()
    }

    /// Takes the turn of a service for one operation.
    ///
    /// # Errors
    /// Another operation has it.
    pub(crate) fn take_turn(
        self: &Arc<Self>,
        name: &ServiceName,
        operation: Uuid,
    ) -> Result<Turn, ControlError> {
        let mut services = self.lock();
        let now = services.entry(name.clone()).or_default();
        if let Some(running) = now.operation {
            return Err(ControlError::Busy {
                service: name.clone(),
                operation: running,
            });
        }
        now.operation = Some(operation);
        now.given_up = CancellationToken::new();
        let given_up = now.given_up.clone();
        drop(services);
        Ok(Turn {
            live: Arc::clone(self),
            name: name.clone(),
            given_up,
        })
    }

    /// Tells the operation that holds the turn of a service to end, and returns
    /// when `operation` does not hold it any more.
    pub(crate) async fn give_up(&self, name: &ServiceName, operation: Uuid) {
        loop {
            let mut turned = pin!(self.turned.notified());
            // Enrolled before the look, so that no turn goes unheard.
            turned.as_mut().enable();
            let now = self.now(name);
            if now.operation != Some(operation) {
                return;
            }
            now.given_up.cancel();
            turned.await;
        }
    }

    /// Puts what serves in place of what served.
    pub(crate) fn replace(
        &self,
        name: &ServiceName,
        running: Option<Arc<Running>>,
    ) -> Option<Arc<Running>> {
        self.change(name, |now| {
            now.note = None;
            std::mem::replace(&mut now.running, running)
        })
    }

    pub(crate) fn note(&self, name: &ServiceName, note: Option<(ServiceState, Failure)>) {
        self.change(name, |now| now.note = note);
    }

    /// Takes everything that serves, for the end of the process.
    pub(crate) fn take_all(&self) -> Vec<Arc<Running>> {
        let mut services = self.lock();
        services
            .values_mut()
            .filter_map(|now| now.running.take())
            .collect()
    }

    fn change<T>(&self, name: &ServiceName, change: impl FnOnce(&mut Now) -> T) -> T {
        let mut services = self.lock();
        let now = services.entry(name.clone()).or_default();
        let result = change(now);
        if now.is_nothing() {
            services.remove(name);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServiceName, Now>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to change a service; given back on drop.
pub(crate) struct Turn {
    live: Arc<Live>,
    name: ServiceName,
    given_up: CancellationToken,
}

impl Turn {
    /// Returns when the service is to be deleted.
    pub(crate) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.live.change(&self.name, |now| now.operation = None);
        self.live.turned.notify_waiters();
    }
}
