//! Watch over versions under trial: their comparison, and the guards that roll them back.
//!
//! Like is compared with like: all versions from the moment on when shares, default or
//! control last changed, or when the youngest revision of any of them began to serve.
//! Counters belong to a route, and so to a revision; what a version's counters said in
//! that moment is its baseline. Copies of mirrored requests count like any others; only a
//! version without a live share gets any.
//!
//! Invariants: one reading a version is kept, whatever happens how often; nothing here
//! is on the way of a request.

mod guards;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use jiff::Timestamp;
use lusk_contract::Clock;
use lusk_domain::{
    Comparison, Counted, EndpointRecord, ServiceName, Tally, TrafficTable, VersionName,
};
use lusk_router::{Route, Router};
use tokio::{sync::Notify, time::Instant};

use crate::{Control, ControlError};
use guards::Armed;

/// See the module.
pub(crate) struct Watch {
    router: Arc<Router>,
    clock: Arc<dyn Clock>,
    endpoints: Mutex<HashMap<ServiceName, Watched>>,
    /// Told when guards are there.
    armed: Notify,
    /// What readings of guards are timed by.
    epoch: Instant,
}

/// What is known of one endpoint.
#[derive(Debug)]
struct Watched {
    table: Option<TrafficTable>,
    /// When the comparison began.
    since: Timestamp,
    baselines: BTreeMap<VersionName, Baseline>,
    guards: BTreeMap<VersionName, Armed>,
}

/// What a version had done when the comparison began.
#[derive(Debug)]
struct Baseline {
    route: Weak<Route>,
    tally: Tally,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// A watch that knows no endpoint.
    pub(crate) fn new(router: Arc<Router>, clock: Arc<dyn Clock>) -> Self {
        Self {
            router,
            clock,
            endpoints: Mutex::default(),
            armed: Notify::new(),
            epoch: Instant::now(),
        }
    }

    /// Takes note of an endpoint's record that callers see from now on. Cheap where
    /// neither its table nor its guards are new.
    pub(crate) fn table_changed(&self, record: &EndpointRecord) {
        let mut endpoints = self.lock();
        let watched = endpoints.entry(record.name.clone());
        let watched = watched.or_insert_with(|| Watched {
            table: None,
            since: self.clock.now(),
            baselines: BTreeMap::new(),
            guards: BTreeMap::new(),
        });
        if watched.table != record.traffic {
            watched.disarm_those_going_live(record.traffic.as_ref());
            watched.table.clone_from(&record.traffic);
            self.begin(&record.name, watched);
        }
        self.arm(record, watched);
        let is_armed = !watched.guards.is_empty();
        drop(endpoints);
        if is_armed {
            self.armed.notify_one();
        }
    }

    /// Takes note of a new revision that serves under `service`, if that is a version.
    pub(crate) fn switched(&self, service: &ServiceName) {
        if service.version().is_none() {
            return;
        }
        let mut endpoints = self.lock();
        let endpoint = endpoints
            .iter_mut()
            .find(|(name, _)| name.as_str() == service.endpoint());
        if let Some((name, watched)) = endpoint {
            self.begin(name, watched);
        }
    }

    /// Forgets an endpoint that is gone.
    pub(crate) fn forget(&self, endpoint: &ServiceName) {
        self.lock().remove(endpoint);
    }

    /// The versions of `table` since their comparison began.
    fn compare(&self, endpoint: &ServiceName, table: &TrafficTable) -> Comparison {
        let endpoints = self.lock();
        let now = self.clock.now();
        let watched = endpoints.get(endpoint);
        let versions = table.shares().map(|(version, _)| version);
        let counted = versions.map(|version| {
            let route = self.route(endpoint, version);
            counted(version, route.as_deref(), watched, now)
        });
        let counted: Vec<_> = counted.collect();
        let earliest = counted.iter().map(|one| one.since).min();
        let since = watched.map_or(earliest.unwrap_or(now), |watched| watched.since);
        drop(endpoints);
        Comparison::new(table, &counted, (since, now))
    }

    /// Begins the comparison anew.
    fn begin(&self, endpoint: &ServiceName, watched: &mut Watched) {
        watched.since = self.clock.now();
        let versions = watched.table.iter().flat_map(TrafficTable::shares);
        let baselines = versions.filter_map(|(version, _)| {
            let route = self.route(endpoint, version)?;
            let baseline = Baseline {
                route: Arc::downgrade(&route),
                tally: route.tally(),
            };
            Some((version.clone(), baseline))
        });
        watched.baselines = baselines.collect();
    }

    fn route(&self, endpoint: &ServiceName, version: &VersionName) -> Option<Arc<Route>> {
        let name = ServiceName::of_version(endpoint, version);
        self.router.route(name.as_str())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServiceName, Watched>> {
        // Every change is complete before anything in it can panic.
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a version did since the comparison began, or since its route is there if that
/// is later.
fn counted(
    version: &VersionName,
    route: Option<&Route>,
    watched: Option<&Watched>,
    now: Timestamp,
) -> Counted {
    let begun = watched.map(|watched| watched.since);
    let Some(route) = route else {
        return Counted {
            version: version.clone(),
            since: begun.unwrap_or(now),
            tally: Tally::default(),
        };
    };
    let baseline = watched
        .and_then(|watched| watched.baselines.get(version))
        .filter(|baseline| std::ptr::eq(baseline.route.as_ptr(), route));
    let made = now.checked_sub(route.age()).unwrap_or(now);
    let (since, tally) = match (baseline, begun) {
        (Some(baseline), Some(begun)) => (begun, route.tally().since(&baseline.tally)),
        (_, begun) => (begun.map_or(made, |begun| begun.max(made)), route.tally()),
    };
    Counted {
        version: version.clone(),
        since,
        tally,
    }
}

impl Control {
    /// The versions of an endpoint beside each other, since their comparison began.
    /// `None`: there is no such endpoint.
    ///
    /// # Errors
    /// No version of it was healthy yet, or the store failed.
    pub async fn comparison(&self, name: &ServiceName) -> Result<Option<Comparison>, ControlError> {
        let Some(record) = self.parts.records.endpoint(name).await? else {
            return Ok(None);
        };
        let Some(table) = &record.traffic else {
            let message = format!("endpoint `{name}` has no version yet that was healthy");
            return Err(ControlError::invalid("name", message));
        };
        Ok(Some(self.watch.compare(name, table)))
    }
}
