//! An endpoint's plan: which of its versions a request goes to.
//!
//! An [`EndpointRoute`] is one state of an endpoint and never changes, except for who
//! may call; a change of shares makes a new one, which counts requests on where the one
//! before it stopped, so that shares are exact over changes of other things.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use arc_swap::{ArcSwap, Guard};
use lusk_domain::{EndpointRecord, Mirror, ServiceName, Share, Split, Sticky, VersionName};

use crate::Access;

/// See the module.
#[derive(Debug)]
pub struct EndpointRoute {
    name: ServiceName,
    access: ArcSwap<Access>,
    plan: Option<Plan>,
    sticky: Option<Sticky>,
    mirror: Option<Mirroring>,
    turns: Arc<Turns>,
}

/// Who gets requests, once a version was healthy.
#[derive(Debug)]
struct Plan {
    split: Split,
    default: VersionName,
}

#[derive(Debug)]
struct Mirroring {
    mirror: Mirror,
    /// In hundredths of a percent.
    step: u64,
}

/// Steps by the golden ratio's part of 10,000, to which it has no common divisor: each
/// place comes once, spread evenly, and out of step with any split, so that the copies
/// are not always of the same version's requests.
const STRIDE: u64 = 6_181;

/// Requests so far.
#[derive(Debug, Default)]
struct Turns {
    split: AtomicU64,
    mirror: AtomicU64,
}

impl EndpointRoute {
    /// The way to the versions of `record`; `before` is the endpoint's state until now.
    pub fn new(record: &EndpointRecord, access: Access, before: Option<&Self>) -> Self {
        let plan = record.traffic.as_ref().map(|table| Plan {
            split: Split::new(table),
            default: table.default().clone(),
        });
        Self {
            name: record.name.clone(),
            access: ArcSwap::from_pointee(access),
            plan,
            sticky: record.sticky.clone(),
            mirror: record.mirror.clone().map(|mirror| Mirroring {
                step: mirror.share.hundredths().into(),
                mirror,
            }),
            turns: before.map_or_else(Arc::default, |before| Arc::clone(&before.turns)),
        }
    }

    /// The endpoint.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Who may call now.
    pub fn access(&self) -> Guard<Arc<Access>> {
        self.access.load()
    }

    /// Changes who may call, from the next request on.
    pub fn set_access(&self, access: Access) {
        self.access.store(Arc::new(access));
    }

    /// The default version; none before one was healthy.
    pub fn default_version(&self) -> Option<&VersionName> {
        self.plan.as_ref().map(|plan| &plan.default)
    }

    /// What keeps a caller at one version.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref()
    }

    /// Who gets copies of requests.
    pub fn mirror(&self) -> Option<&Mirror> {
        self.mirror.as_ref().map(|it| &it.mirror)
    }

    /// Versions that get something, and how much.
    pub fn shares(&self) -> &[(VersionName, Share)] {
        self.plan.as_ref().map_or(&[], |plan| plan.split.versions())
    }

    /// The version of the next request, or of everybody who is named as `caller`.
    pub(crate) fn pick(&self, caller: Option<&[u8]>) -> Option<&VersionName> {
        let plan = self.plan.as_ref()?;
        Some(match caller {
            Some(caller) => plan.split.of(caller),
            None => plan.split.at(self.turns.split.fetch_add(1, Relaxed)),
        })
    }

    /// Who gets a copy of this request, if anybody: of any 10,000 requests in a row
    /// exactly the share.
    pub(crate) fn pick_mirror(&self) -> Option<&Mirror> {
        let Mirroring { mirror, step } = self.mirror.as_ref()?;
        let whole = u64::from(Share::ALL.hundredths());
        let turn = self.turns.mirror.fetch_add(1, Relaxed) % whole;
        (turn * STRIDE % whole < *step).then_some(mirror)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;
    use lusk_domain::{AuthMode, KeyPair, Secret, Stake, TrafficTable};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn access() -> Access {
        Access {
            mode: AuthMode::Key,
            keys: KeyPair {
                primary_key: Secret::new("first"),
                secondary_key: Secret::new("second"),
            },
        }
    }

    /// `blue` is the default, `green` has this share in percent.
    pub(crate) fn record(green: f64) -> EndpointRecord {
        let stake = Stake {
            share: Some(Share::try_from(green).unwrap()),
            ..Stake::default()
        };
        let table = TrafficTable::new("blue".parse().unwrap(), Share::NONE, false)
            .with_added(&"green".parse().unwrap(), stake)
            .unwrap();
        EndpointRecord {
            name: "shop".parse().unwrap(),
            compute_name: None,
            namespace: None,
            description: None,
            tags: Default::default(),
            properties: Default::default(),
            auth: AuthMode::Key,
            app_insights: false,
            keys: access().keys,
            traffic: Some(table),
            sticky: None,
            mirror: None,
            guards: Default::default(),
            rolled_back: None,
            created_time: Timestamp::UNIX_EPOCH,
            updated_time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_new_state_counts_on_where_the_one_before_stopped() {
        let mut before = EndpointRoute::new(&record(20.0), access(), None);
        let mut green = 0;
        for _ in 0..250 {
            for _ in 0..4 {
                green += u32::from(before.pick(None).unwrap().as_str() == "green");
            }
            before = EndpointRoute::new(&record(20.0), access(), Some(&before));
        }
        assert_eq!(green, 200);
    }

    #[test]
    fn before_a_version_was_healthy_there_is_none() {
        let mut record = record(0.0);
        record.traffic = None;
        let endpoint = EndpointRoute::new(&record, access(), None);
        assert_eq!(endpoint.pick(None), None);
        assert_eq!(endpoint.pick(Some(b"anybody")), None);
        assert_eq!(endpoint.default_version(), None);
    }

    #[test]
    fn copies_are_of_all_versions_requests() {
        let mut record = record(20.0);
        let share = Share::from_hundredths(2_000).unwrap();
        record.mirror = Some(Mirror::new("red".parse().unwrap(), share).unwrap());
        let endpoint = EndpointRoute::new(&record, access(), None);
        let green = (0..10_000)
            .map(|_| {
                (
                    endpoint.pick(None).unwrap().as_str() == "green",
                    endpoint.pick_mirror(),
                )
            })
            .filter(|(is_green, copy)| *is_green && copy.is_some())
            .count();
        assert!(
            (350..=450).contains(&green),
            "{green} of 2,000 copies, not a fifth"
        );
    }

    proptest! {
        #[test]
        fn copies_are_exactly_the_share(hundredths in 1..=5_000_u32) {
            let mut record = record(0.0);
            let share = Share::from_hundredths(hundredths).unwrap();
            record.mirror = Some(Mirror::new("green".parse().unwrap(), share).unwrap());
            let endpoint = EndpointRoute::new(&record, access(), None);
            let copies = (0..10_000).filter(|_| endpoint.pick_mirror().is_some()).count();
            prop_assert_eq!(copies, hundredths as usize);
        }
    }
}
