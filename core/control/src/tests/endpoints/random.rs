//! Operations in any order beside traffic: nobody is refused, and every state that
//! anybody can see keeps the rules.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use lusk_contract::Records as _;
use lusk_domain::{Share, Stake, VersionName};
use lusk_router::{Lead, RouteError, Router};
use proptest::prelude::*;
use tokio::task::yield_now;

use super::{more, open, shop, version};
use crate::{
    ChangeEndpoint, ChangeVersion, Control, ControlError, UpdateService,
    tests::{House, end, fakes, name},
};

const VERSIONS: [&str; 4] = ["blue", "green", "red", "white"];

#[derive(Debug, Clone, Copy)]
enum Wish {
    Create(usize, u32),
    Redeploy(usize),
    Stake(usize, u32, bool, bool),
    Delete(usize),
    Promote(usize),
    RollBack(usize),
    RollAllBack,
}

fn wish() -> impl Strategy<Value = Wish> {
    let of = 0..VERSIONS.len();
    prop_oneof![
        3 => (of.clone(), 0..6_000_u32).prop_map(|(of, share)| Wish::Create(of, share)),
        2 => of.clone().prop_map(Wish::Redeploy),
        4 => (of.clone(), 0..9_000_u32, any::<bool>(), any::<bool>())
            .prop_map(|(of, share, default, control)| Wish::Stake(of, share, default, control)),
        2 => of.clone().prop_map(Wish::Delete),
        2 => of.clone().prop_map(Wish::Promote),
        2 => of.prop_map(Wish::RollBack),
        1 => Just(Wish::RollAllBack),
    ]
}

/// Does what is wished for. Refusals are right answers here; what they leave is looked
/// at by the traffic and by [`rules_hold`].
async fn grant(house: &House, control: &Arc<Control>, wish: Wish) -> Result<(), ControlError> {
    let shop = name("shop");
    let of = |index: usize| version(VERSIONS[index]);
    let stake = |share| Stake {
        share: Share::from_hundredths(share),
        ..Stake::default()
    };
    let accepted = match wish {
        Wish::Create(index, share) => {
            let change = more(house, VERSIONS[index], stake(share));
            Some(control.change_endpoint(&shop, change).await?)
        }
        Wish::Redeploy(index) => {
            let update = UpdateService {
                entry: Some(house.entry(VERSIONS[index])),
                ..UpdateService::default()
            };
            let change = ChangeEndpoint {
                version: Some((of(index), ChangeVersion::Update(Box::new(update)))),
                ..ChangeEndpoint::default()
            };
            Some(control.change_endpoint(&shop, change).await?)
        }
        Wish::Stake(index, share, is_default, is_control) => {
            let stake = Stake {
                is_default: Some(is_default),
                is_control: Some(is_control),
                ..stake(share)
            };
            let change = ChangeEndpoint {
                stakes: BTreeMap::from([(of(index), stake)]),
                ..ChangeEndpoint::default()
            };
            Some(control.change_endpoint(&shop, change).await?)
        }
        // The last one would take the endpoint along.
        Wish::Delete(0) => None,
        Wish::Delete(index) => control.delete_version(&shop, &of(index)).await?,
        Wish::Promote(index) => Some(control.promote(&shop, &of(index)).await?),
        Wish::RollBack(index) => Some(control.roll_back(&shop, Some(&of(index))).await?),
        Wish::RollAllBack => Some(control.roll_back(&shop, None).await?),
    };
    if let Some(operation) = accepted {
        end(control, operation.id).await;
    }
    Ok(())
}

/// Scores until it is told to stop; says how many answers came. Panics when a request
/// fails or a version answers that the state it was picked from does not have.
async fn traffic(router: Arc<Router>, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let Some(Lead::Endpoint(versions)) = router.lead("shop") else {
            panic!("the endpoint is gone")
        };
        let total: u32 = versions
            .endpoint()
            .shares()
            .iter()
            .map(|(_, share)| *share)
            .sum();
        assert_eq!(total, u32::from(Share::ALL.hundredths()));
        let (picked, route) = versions.pick(None).expect("a version that is there");
        match route.score(fakes::request()).await {
            Ok(scored) => {
                assert_eq!(scored.reply.body, picked.as_str());
                answered.fetch_add(1, Ordering::Relaxed);
            }
            // Replaced between the look and the turn: the caller looks again.
            Err(RouteError::Draining) => {}
            Err(error) => panic!("{picked}: {error}"),
        }
        yield_now().await;
    }
}

async fn rules_hold(house: &House) {
    let record = house
        .records
        .endpoint(&name("shop"))
        .await
        .unwrap()
        .unwrap();
    let table = record.traffic.as_ref().expect("blue was healthy");
    let names: Vec<VersionName> = table.shares().map(|(name, _)| name.clone()).collect();
    assert!(names.contains(table.default()));
    assert!(
        table
            .control()
            .is_none_or(|control| names.contains(control))
    );
    let shown = house.router.endpoint("shop").expect("an endpoint");
    assert_eq!(shown.default_version(), Some(table.default()));
    for name_of in &names {
        let route = format!("shop/{name_of}");
        assert!(house.router.route(&route).is_some(), "{route}");
    }
}

async fn run(wishes: Vec<Wish>) -> usize {
    let mut house = House::new();
    let control = house.start().await;
    open(&control, shop(&house, "blue")).await;
    let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let callers: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn(traffic(
                house.router.clone(),
                stop.clone(),
                answered.clone(),
            ))
        })
        .collect();
    let (early, late) = wishes.split_at(wishes.len() / 2);
    for pair in early.iter().zip(late) {
        // Two at a time: one of them may find the other busy.
        let done = futures::join!(
            grant(&house, &control, *pair.0),
            grant(&house, &control, *pair.1)
        );
        drop(done);
        rules_hold(&house).await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no request fails");
    }
    answered.load(Ordering::Relaxed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_order_of_operations_fails_a_request(
        wishes in proptest::collection::vec(wish(), 20..=20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        prop_assert!(runtime.block_on(run(wishes)) > 0);
    }
}
