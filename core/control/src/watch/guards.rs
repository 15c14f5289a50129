//! Guards: a look a second at each version that has one, and its rollback when it trips.
//!
//! Where no guard is, the task sleeps until there is one. A version that is the control
//! cannot be rolled back, so its guard rests while it is. A new revision is looked at
//! anew, from its first request on; so is a version that goes live, as what it made of
//! copies before says little of its callers.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    time::Duration,
};

use futures::FutureExt;
use lusk_domain::{
    Breach, EndpointRecord, Guard, GuardWindow, Sample, ServiceName, Share, TrafficTable,
    VersionName,
};
use lusk_router::Route;
use tokio::time::{Instant, sleep};

use super::{Watch, Watched};
use crate::Control;

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Pause before the next try when a rollback failed.
const REST: Duration = Duration::from_secs(10);

/// A guard at work.
#[derive(Debug)]
pub(super) struct Armed {
    window: GuardWindow,
    /// Whose counters are in the window.
    route: Weak<Route>,
    /// It tripped, and is not looked at before.
    rest_until: Option<Instant>,
}

/// A version that must be rolled back.
#[derive(Debug)]
struct Tripped {
    endpoint: ServiceName,
    version: VersionName,
    breach: Breach,
}

impl Armed {
    /// Looks at `route` from now on.
    fn new(guard: Guard, route: Option<&Arc<Route>>, at: Duration) -> Self {
        let mut window = GuardWindow::new(guard);
        if let Some(route) = route {
            window.take(at, route.sample(&guard));
        }
        Self {
            window,
            route: route.map_or_else(Weak::new, Arc::downgrade),
            rest_until: None,
        }
    }

    /// Takes one more reading.
    fn look(&mut self, route: &Arc<Route>, at: Duration) -> Option<Breach> {
        let guard = self.window.guard();
        if !std::ptr::eq(self.route.as_ptr(), Arc::as_ptr(route)) {
            self.window = GuardWindow::new(guard);
            self.route = Arc::downgrade(route);
            // Its counters began at nothing when it was made.
            let made = at.saturating_sub(route.age());
            self.window.take(made, Sample::default());
        }
        self.window.take(at, route.sample(&guard))
    }

    fn is_resting(&self) -> bool {
        self.rest_until.is_some_and(|until| Instant::now() < until)
    }
}

impl Watched {
    /// Drops the guards of versions that have a share in the table `next` and had none;
    /// [`Watch::arm`] begins them anew.
    pub(super) fn disarm_those_going_live(&mut self, next: Option<&TrafficTable>) {
        let is_live = |table: Option<&TrafficTable>, version: &VersionName| {
            table.is_some_and(|table| table.effective(version) != Share::NONE)
        };
        let before = self.table.as_ref();
        self.guards
            .retain(|version, _| is_live(before, version) || !is_live(next, version));
    }
}

impl Watch {
    /// Makes the guards of `watched` those of `record`; those that stay go on.
    pub(super) fn arm(&self, record: &EndpointRecord, watched: &mut Watched) {
        let at = self.epoch.elapsed();
        let mut before = std::mem::take(&mut watched.guards);
        let armed = record.guards.iter().map(|(version, guard)| {
            let same = before
                .remove(version)
                .filter(|armed| armed.window.guard() == *guard);
            let armed = same.unwrap_or_else(|| {
                let route = self.route(&record.name, version);
                Armed::new(*guard, route.as_ref(), at)
            });
            (version.clone(), armed)
        });
        watched.guards = armed.collect();
    }

    fn is_armed(&self) -> bool {
        self.lock()
            .values()
            .any(|watched| !watched.guards.is_empty())
    }

    /// Looks at every guard once.
    fn look(&self) -> Vec<Tripped> {
        let at = self.epoch.elapsed();
        let mut tripped = Vec::new();
        for (endpoint, watched) in &mut *self.lock() {
            let Some(table) = &watched.table else {
                continue;
            };
            for (version, breach) in self.breaches(endpoint, table, &mut watched.guards, at) {
                tripped.push(Tripped {
                    endpoint: endpoint.clone(),
                    version,
                    breach,
                });
            }
        }
        tripped
    }

    fn breaches(
        &self,
        endpoint: &ServiceName,
        table: &TrafficTable,
        guards: &mut BTreeMap<VersionName, Armed>,
        at: Duration,
    ) -> Vec<(VersionName, Breach)> {
        let mut found = Vec::new();
        for (version, armed) in guards {
            let Some(route) = self.route(endpoint, version) else {
                continue;
            };
            let breach = armed.look(&route, at);
            if table.control() == Some(version) || armed.is_resting() {
                continue;
            }
            if let Some(breach) = breach {
                // Where the rollback fails, the next try goes by new requests.
                *armed = Armed::new(breach.guard, Some(&route), at);
                armed.rest_until = Some(Instant::now() + REST);
                found.push((version.clone(), breach));
            }
        }
        found
    }
}

impl Control {
    /// Begins to look at guards, until the end of the process.
    pub(crate) fn watch_guards(self: &Arc<Self>) {
        let (watch, closing) = (Arc::clone(&self.watch), self.closing.clone());
        // A control room that is dropped without a shutdown must not live on in here.
        let control = Arc::downgrade(self);
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = next_look(&watch) => {}
                }
                let Some(control) = control.upgrade() else {
                    return;
                };
                control.look_at_guards().await;
            }
        });
    }

    /// One look; a fault of it ends neither the task nor the looks at other versions.
    async fn look_at_guards(self: &Arc<Self>) {
        let looked = catch_unwind(AssertUnwindSafe(|| self.watch.look()));
        let Ok(tripped) = looked else {
            tracing::error!("a fault of lusk itself broke a look at guards off");
            return;
        };
        for one in tripped {
            let rollback = AssertUnwindSafe(self.roll_back_for(&one));
            if rollback.catch_unwind().await.is_err() {
                tracing::error!(endpoint = %one.endpoint, version = %one.version, "a fault of lusk itself broke a rollback off");
            }
        }
    }

    async fn roll_back_for(self: &Arc<Self>, tripped: &Tripped) {
        let Tripped {
            endpoint,
            version,
            breach,
        } = tripped;
        let reason = format!("rolled back by {breach}");
        if let Err(error) = self.abort(endpoint, version, &reason).await {
            tracing::error!(%endpoint, %version, %error, reason, "cannot roll a version back; trying again while its guard trips");
        }
    }
}

/// Returns a period from now, or from when a guard is there.
async fn next_look(watch: &Watch) {
    while !watch.is_armed() {
        watch.armed.notified().await;
    }
    sleep(PERIOD).await;
}
