//! Operations that are under way, and the one list of them.
//!
//! A running operation lives in memory, where its events can be watched; its
//! beginning and its end are in the store. The end is stored before it is shown.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lusk_contract::{Clock, Progress};
use lusk_domain::{
    Failure, Operation, OperationEvent, OperationKind, OperationState, ServiceName, Step,
    StepOutcome,
};
use tokio::sync::watch;
use uuid::Uuid;

/// An operation that has not ended.
pub(crate) struct LiveOperation {
    operation: Mutex<Operation>,
    changed: watch::Sender<()>,
    clock: Arc<dyn Clock>,
}

impl LiveOperation {
    /// A new operation, under way from now.
    pub(crate) fn begin(
        clock: Arc<dyn Clock>,
        kind: OperationKind,
        service: ServiceName,
    ) -> Arc<Self> {
        let operation = Operation {
            id: Uuid::new_v4(),
            kind,
            service,
            state: OperationState::Running,
            created_time: clock.now(),
            end_time: None,
            error: None,
            events: Vec::new(),
        };
        Arc::new(Self {
            operation: Mutex::new(operation),
            changed: watch::Sender::new(()),
            clock,
        })
    }

    /// A copy of it as it stands.
    pub(crate) fn now(&self) -> Operation {
        self.lock().clone()
    }

    /// A copy of it as it will have ended: with an error, failed; else done.
    pub(crate) fn ended(&self, error: Option<Failure>) -> Operation {
        end(self.now(), error, &*self.clock)
    }

    /// Shows the end that was stored.
    pub(crate) fn show(&self, ended: Operation) {
        *self.lock() = ended;
        self.changed.send_replace(());
    }

    /// Returns when there are more than `seen` events or the end is shown.
    pub(crate) async fn wait(&self, seen: usize) -> Operation {
        let mut changed = self.changed.subscribe();
        loop {
            let now = self.now();
            if now.state.is_final() || now.events.len() > seen {
                return now;
            }
            if changed.changed().await.is_err() {
                return self.now();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Operation> {
        self.operation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for LiveOperation {
    fn event(&self, step: Step, outcome: StepOutcome, text: &str) {
        {
            let mut operation = self.lock();
            if operation.events.len() >= most_events(step, outcome) {
                return;
            }
            let event = OperationEvent {
                at: self.clock.now(),
                step,
                outcome,
                text: text.to_owned(),
            };
            operation.events.push(event);
        }
        self.changed.send_replace(());
    }
}

/// A thousand models, or many replicas on their way, leave room for what else
/// there is to tell.
fn most_events(step: Step, outcome: StepOutcome) -> usize {
    match (step, outcome) {
        (Step::Model, StepOutcome::Done) | (_, StepOutcome::Running) => Operation::MAX_EVENTS - 100,
        _ => Operation::MAX_EVENTS,
    }
}

impl fmt::Debug for LiveOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.lock(), f)
    }
}

/// `operation`, ended now.
pub(crate) fn end(
    mut operation: Operation,
    error: Option<Failure>,
    clock: &dyn Clock,
) -> Operation {
    operation.state = match error {
        None => OperationState::Succeeded,
        Some(_) => OperationState::Failed,
    };
    operation.error = error;
    operation.end_time = Some(clock.now());
    operation
}

/// The operations that have not ended, and those whose end could not be stored.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<HashMap<Uuid, Arc<LiveOperation>>>);

impl Journal {
    pub(crate) fn open(&self, operation: &Arc<LiveOperation>) {
        let id = operation.lock().id;
        self.lock().insert(id, Arc::clone(operation));
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<LiveOperation>> {
        self.lock().get(&id).cloned()
    }

    /// Forgets an operation; from now on the store answers for it.
    pub(crate) fn close(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<LiveOperation>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
