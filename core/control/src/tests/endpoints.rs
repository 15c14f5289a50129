//! Endpoints: versions come, change, get shares and go, and callers are answered.

mod random;

use std::{collections::BTreeMap, sync::Arc};

use lusk_contract::Records as _;
use lusk_domain::{
    AuthMode, Guard, KeyKind, Mirror, Operation, OperationState, ServiceState, Share, Stake,
    StepOutcome, VersionName,
};
use lusk_router::{Lead, Versions};

use super::{House, create, end, fakes::Mood, name};
use crate::{
    ChangeEndpoint, ChangeVersion, Control, ControlError, CreateEndpoint, CreateVersion,
    EndpointView, UpdateService,
};

pub(super) fn version(text: &str) -> VersionName {
    text.parse().unwrap()
}

pub(super) fn share(percent: f64) -> Stake {
    Stake {
        share: Some(Share::try_from(percent).unwrap()),
        ..Stake::default()
    }
}

/// An endpoint `shop` whose first version says its own name.
pub(super) fn shop(house: &House, first: &str) -> CreateEndpoint {
    CreateEndpoint {
        name: name("shop"),
        compute_name: None,
        namespace: None,
        description: None,
        tags: BTreeMap::new(),
        properties: BTreeMap::new(),
        auth: AuthMode::Key,
        app_insights: false,
        primary_key: None,
        secondary_key: None,
        version: Some(CreateVersion {
            name: version(first),
            service: house.request("shop", first),
            stake: Stake::default(),
            guard: None,
        }),
        overwrite: false,
    }
}

/// One more version, which says its own name.
pub(super) fn more(house: &House, name: &str, stake: Stake) -> ChangeEndpoint {
    ChangeEndpoint {
        stakes: BTreeMap::from([(version(name), stake)]),
        version: Some((
            version(name),
            ChangeVersion::Create(Box::new(house.request("shop", name))),
        )),
        ..ChangeEndpoint::default()
    }
}

/// Another part of the traffic for one version.
fn staked(name: &str, stake: Stake) -> ChangeEndpoint {
    ChangeEndpoint {
        stakes: BTreeMap::from([(version(name), stake)]),
        ..ChangeEndpoint::default()
    }
}

/// A new revision of `green`.
fn newer(house: &House) -> ChangeEndpoint {
    let update = UpdateService {
        entry: Some(house.entry("green")),
        ..UpdateService::default()
    };
    ChangeEndpoint {
        version: Some((version("green"), ChangeVersion::Update(Box::new(update)))),
        ..ChangeEndpoint::default()
    }
}

pub(super) async fn open(control: &Arc<Control>, request: CreateEndpoint) -> Operation {
    let accepted = control.create_endpoint(request).await.unwrap();
    end(control, accepted.id).await
}

pub(super) async fn change(control: &Arc<Control>, change: ChangeEndpoint) -> Operation {
    let accepted = control
        .change_endpoint(&name("shop"), change)
        .await
        .unwrap();
    end(control, accepted.id).await
}

/// Blue with what nobody else has, and green with this share.
pub(super) async fn blue_and_green(house: &House, control: &Arc<Control>, green: f64) {
    let opened = open(control, shop(house, "blue")).await;
    assert_eq!(opened.state, OperationState::Succeeded, "{opened:?}");
    let joined = change(control, more(house, "green", share(green))).await;
    assert_eq!(joined.state, OperationState::Succeeded, "{joined:?}");
}

fn versions(house: &House) -> Versions {
    match house.router.lead("shop") {
        Some(Lead::Endpoint(versions)) => versions,
        other => panic!("{other:?}"),
    }
}

/// Answers to this many requests, by version.
async fn answers(house: &House, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let versions = versions(house);
        let (picked, route) = versions.pick(None).unwrap();
        let reply = route.score(super::fakes::request()).await.unwrap().reply;
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        assert_eq!(text, picked.as_str());
        *counts.entry(text).or_default() += 1;
    }
    counts
}

async fn view(control: &Control) -> EndpointView {
    control.endpoint(&name("shop")).await.unwrap().unwrap()
}

fn counted(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_version_is_the_default_and_further_ones_get_their_shares() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    assert_eq!(
        answers(&house, 1_000).await,
        counted(&[("blue", 800), ("green", 200)])
    );
    let seen = view(&control).await;
    assert_eq!(seen.state, ServiceState::Healthy);
    let [blue, green] = seen.versions.as_slice() else {
        panic!("{seen:?}")
    };
    assert!(blue.is_default && !green.is_default);
    assert_eq!(
        (blue.effective.percent(), green.effective.percent()),
        (80.0, 20.0)
    );
    // Who may call is the endpoint's to say.
    let keys = control.keys(&name("shop")).await.unwrap().unwrap();
    for route in ["shop/blue", "shop/green"] {
        assert_eq!(house.router.route(route).unwrap().access().keys, keys);
    }
    let listed = control.services().await.unwrap();
    assert_eq!(listed.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_version_gets_no_traffic_before_it_is_healthy() {
    let mut house = House::new();
    let control = house.start().await;
    open(&control, shop(&house, "blue")).await;
    house.host.be(Mood::Hangs);
    let accepted = control
        .change_endpoint(&name("shop"), more(&house, "green", share(50.0)))
        .await
        .unwrap();
    assert_eq!(answers(&house, 10).await, counted(&[("blue", 10)]));
    house.host.be(Mood::Well);
    let joined = end(&control, accepted.id).await;
    assert_eq!(joined.state, OperationState::Succeeded, "{joined:?}");
    assert_eq!(
        answers(&house, 10).await,
        counted(&[("blue", 5), ("green", 5)])
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_that_fails_leaves_the_shares_as_they_were() {
    let mut house = House::new();
    let control = house.start().await;
    open(&control, shop(&house, "blue")).await;
    house.host.be(Mood::Fails);
    let failed = change(&control, more(&house, "green", share(50.0))).await;
    assert_eq!(failed.state, OperationState::Failed);
    house.host.be(Mood::Well);
    assert_eq!(answers(&house, 10).await, counted(&[("blue", 10)]));
    let early = staked("green", share(10.0));
    let error = control
        .change_endpoint(&name("shop"), early)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("green"), "{error}");
    // It can be deployed again, and deleted.
    let again = ChangeEndpoint {
        stakes: staked("green", share(10.0)).stakes,
        ..newer(&house)
    };
    let again = change(&control, again).await;
    assert_eq!(again.state, OperationState::Succeeded, "{again:?}");
    assert_eq!(
        answers(&house, 10).await,
        counted(&[("blue", 9), ("green", 1)])
    );
}

#[tokio::test(start_paused = true)]
async fn default_share_and_control_move_in_one_step() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 10.0).await;
    let moved = Stake {
        is_default: Some(true),
        is_control: Some(true),
        ..share(40.0)
    };
    let mut both = staked("green", moved);
    both.stakes.insert(version("blue"), share(20.0));
    let done = change(&control, both).await;
    assert_eq!(
        done.events.last().unwrap().text,
        "blue 20 %, green 80 % (default, control)"
    );
    assert_eq!(
        answers(&house, 100).await,
        counted(&[("blue", 20), ("green", 80)])
    );
    let back = control
        .promote(&name("shop"), &version("blue"))
        .await
        .unwrap();
    assert_eq!(back.state, OperationState::Succeeded);
    assert_eq!(answers(&house, 100).await, counted(&[("blue", 100)]));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_gives_everything_to_the_control() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 30.0).await;
    let error = control.roll_back(&name("shop"), None).await.unwrap_err();
    assert!(
        error.to_string().contains("no version is the control"),
        "{error}"
    );
    let marked = Stake {
        is_control: Some(true),
        ..Stake::default()
    };
    change(&control, staked("blue", marked)).await;
    control
        .roll_back(&name("shop"), Some(&version("green")))
        .await
        .unwrap();
    assert_eq!(answers(&house, 10).await, counted(&[("blue", 10)]));
}

#[tokio::test(start_paused = true)]
async fn the_default_is_not_deleted_while_others_remain_and_the_last_takes_the_endpoint() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 30.0).await;
    let error = control
        .delete_version(&name("shop"), &version("blue"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("make another one the default first (`green`)")
    );
    assert_eq!(
        control
            .delete_version(&name("shop"), &version("red"))
            .await
            .unwrap(),
        None
    );
    let gone = control
        .delete_version(&name("shop"), &version("green"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        end(&control, gone.id).await.state,
        OperationState::Succeeded
    );
    assert_eq!(answers(&house, 10).await, counted(&[("blue", 10)]));
    let last = control
        .delete_version(&name("shop"), &version("blue"))
        .await
        .unwrap()
        .unwrap();
    end(&control, last.id).await;
    assert!(house.router.lead("shop").is_none());
    assert!(house.router.route("shop/blue").is_none());
    assert!(control.endpoint(&name("shop")).await.unwrap().is_none());
    assert!(control.services().await.unwrap().is_empty());
    // The name is free again, for a service too.
    create(&control, house.request("shop", "one")).await;
    assert_eq!(house.answer("shop").await.as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn deleting_an_endpoint_gives_up_what_is_under_way() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 30.0).await;
    house.host.be(Mood::Hangs);
    let red = control
        .change_endpoint(&name("shop"), more(&house, "red", share(5.0)))
        .await
        .unwrap();
    let gone = control.delete(&name("shop")).await.unwrap().unwrap();
    assert_eq!(
        end(&control, gone.id).await.state,
        OperationState::Succeeded
    );
    assert_eq!(end(&control, red.id).await.state, OperationState::Failed);
    assert!(house.router.routes().is_empty());
    assert!(control.services().await.unwrap().is_empty());
    assert_eq!(control.delete(&name("shop")).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn six_versions_are_the_most_those_under_way_included() {
    let mut house = House::new();
    let control = house.start().await;
    open(&control, shop(&house, "blue")).await;
    house.host.be(Mood::Hangs);
    for number in 1..=5 {
        let name_of = format!("version-{number}");
        control
            .change_endpoint(&name("shop"), more(&house, &name_of, Stake::default()))
            .await
            .unwrap();
    }
    let seventh = more(&house, "version-6", Stake::default());
    let error = control
        .change_endpoint(&name("shop"), seventh)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("at most 6 versions"), "{error}");
    house.host.be(Mood::Well);
}

#[tokio::test(start_paused = true)]
async fn names_are_shared_with_services() {
    let mut house = House::new();
    let control = house.start().await;
    create(&control, house.request("shop", "one")).await;
    let error = control
        .create_endpoint(shop(&house, "blue"))
        .await
        .unwrap_err();
    assert!(matches!(error, ControlError::OtherKind { .. }), "{error}");
    control.delete(&name("shop")).await.unwrap();
    let opened = loop {
        match control.create_endpoint(shop(&house, "blue")).await {
            Err(ControlError::Busy { operation, .. }) => drop(end(&control, operation).await),
            other => break other.unwrap(),
        }
    };
    end(&control, opened.id).await;
    let mut request = house.request("shop", "one");
    request.overwrite = true;
    let error = control.create(request).await.unwrap_err();
    assert!(matches!(error, ControlError::OtherKind { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn everything_comes_back_after_a_restart() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    control
        .regenerate_key(&name("shop"), KeyKind::Primary, None)
        .await
        .unwrap();
    let keys = control.keys(&name("shop")).await.unwrap().unwrap();
    assert_eq!(
        house.router.route("shop/green").unwrap().access().keys,
        keys
    );
    // A version that was on its way when the process died.
    house.host.be(Mood::Hangs);
    let red = control
        .change_endpoint(&name("shop"), more(&house, "red", share(50.0)))
        .await
        .unwrap();
    house.host.be(Mood::Well);
    house.records = Arc::new(house.records.copy());
    let control = house.start().await;
    assert_eq!(
        answers(&house, 100).await,
        counted(&[("blue", 80), ("green", 20)])
    );
    for route in ["shop/blue", "shop/green"] {
        assert_eq!(house.router.route(route).unwrap().access().keys, keys);
    }
    let ended = control.operation(red.id).await.unwrap().unwrap();
    assert_eq!(ended.state, OperationState::Failed);
    let seen = view(&control).await;
    let states: Vec<_> = seen
        .versions
        .iter()
        .map(|it| (it.name.as_str(), it.service.state, it.share))
        .collect();
    assert_eq!(
        states[1],
        (
            "green",
            ServiceState::Healthy,
            Some(Share::try_from(20.0).unwrap())
        )
    );
    assert_eq!(states[2], ("red", ServiceState::Failed, None));
}

#[tokio::test(start_paused = true)]
async fn a_mirrored_version_has_no_live_share() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 20.0).await;
    let mirror = |to: &str| ChangeEndpoint {
        mirror: Some(Some(Mirror::new(version(to), Share::HALF).unwrap())),
        ..ChangeEndpoint::default()
    };
    let error = control
        .change_endpoint(&name("shop"), mirror("green"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("answers 20 percent"), "{error}");
    let give = |percent| staked("green", share(percent));
    change(&control, give(0.0)).await;
    change(&control, mirror("green")).await;
    assert!(versions(&house).endpoint().mirror().is_some());
    let live = change(&control, give(10.0)).await;
    assert!(
        live.events
            .iter()
            .any(|event| event.outcome == StepOutcome::Warning
                && event.text.contains("mirroring to `green` ends"))
    );
    assert!(view(&control).await.record.mirror.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_aborted_version_loses_its_share_and_its_guard_and_says_why() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 30.0).await;
    let guard: Guard = "error_rate>1%".parse().unwrap();
    let armed = |of: &str| ChangeEndpoint {
        guards: BTreeMap::from([(version(of), Some(guard))]),
        ..ChangeEndpoint::default()
    };
    let error = control
        .change_endpoint(&name("shop"), armed("blue"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("nothing to roll back to"),
        "{error}"
    );
    change(&control, armed("green")).await;
    let aborted = control
        .abort(&name("shop"), &version("green"), "too bad")
        .await
        .unwrap();
    let texts: Vec<_> = aborted
        .events
        .iter()
        .map(|event| event.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "version `green`: too bad",
            "blue 100 % (default), green 0 %"
        ]
    );
    assert_eq!(answers(&house, 10).await, counted(&[("blue", 10)]));
    let record = view(&control).await.record;
    assert!(record.guards.is_empty());
    assert_eq!(record.rolled_back.unwrap().reason, "too bad");
    // The next step of a ramp does not undo it unseen, nor does a promotion.
    let more_share = staked("green", share(1.0));
    let shop = name("shop");
    for refused in [
        control.change_endpoint(&shop, more_share.clone()).await,
        control.promote(&shop, &version("green")).await,
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("was rolled back (too bad)"), "{error}");
    }
    // A new revision is another version, under the same guard.
    let again = ChangeEndpoint {
        stakes: more_share.stakes.clone(),
        ..newer(&house)
    };
    let again = change(&control, again).await;
    assert_eq!(again.state, OperationState::Succeeded, "{again:?}");
    let record = view(&control).await.record;
    assert_eq!(record.rolled_back, None);
    assert_eq!(record.guards, BTreeMap::from([(version("green"), guard)]));
    // Or its user says what holds now.
    control
        .abort(&shop, &version("green"), "still bad")
        .await
        .unwrap();
    let without = ChangeEndpoint {
        guards: BTreeMap::from([(version("green"), None)]),
        ..more_share
    };
    change(&control, without).await;
    let record = view(&control).await.record;
    assert_eq!((record.rolled_back, record.guards.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn auth_of_the_endpoint_holds_for_all_versions_at_once() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 30.0).await;
    let open = ChangeEndpoint {
        auth_enabled: Some(false),
        ..ChangeEndpoint::default()
    };
    change(&control, open).await;
    for route in ["shop/blue", "shop/green"] {
        assert_eq!(
            house.router.route(route).unwrap().access().mode,
            AuthMode::None
        );
    }
    // A new revision of a version has it too.
    change(&control, newer(&house)).await;
    assert_eq!(
        house.router.route("shop/green").unwrap().access().mode,
        AuthMode::None
    );
    assert_eq!(
        answers(&house, 10).await,
        counted(&[("blue", 7), ("green", 3)])
    );
    let stored = house
        .records
        .endpoint(&name("shop"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.auth, AuthMode::None);
}

#[tokio::test(start_paused = true)]
async fn an_abort_keeps_the_rules_of_mirrors_and_guards() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 0.0).await;
    let guard: Guard = "error_rate>1%".parse().unwrap();
    // Green answers everything; blue, the control, gets copies.
    let default = Stake {
        is_default: Some(true),
        ..Stake::default()
    };
    let is_control = Stake {
        is_control: Some(true),
        ..Stake::default()
    };
    change(
        &control,
        ChangeEndpoint {
            stakes: BTreeMap::from([(version("green"), default), (version("blue"), is_control)]),
            guards: BTreeMap::from([(version("green"), Some(guard))]),
            mirror: Some(Some(Mirror::new(version("blue"), Share::HALF).unwrap())),
            ..ChangeEndpoint::default()
        },
    )
    .await;
    let aborted = control
        .abort(&name("shop"), &version("green"), "too bad")
        .await;
    aborted.unwrap();
    assert_eq!(answers(&house, 10).await, counted(&[("blue", 10)]));
    assert_eq!(view(&control).await.record.mirror, None);
    let again = control
        .abort(&name("shop"), &version("green"), "too bad")
        .await;
    assert!(again.unwrap_err().to_string().contains("no guard any more"));
}

#[tokio::test(start_paused = true)]
async fn an_abort_of_what_only_gets_copies_ends_the_copies() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 0.0).await;
    change(
        &control,
        ChangeEndpoint {
            guards: BTreeMap::from([(version("green"), "p99>1s".parse().ok())]),
            mirror: Some(Some(Mirror::new(version("green"), Share::HALF).unwrap())),
            ..ChangeEndpoint::default()
        },
    )
    .await;
    let aborted = control
        .abort(&name("shop"), &version("green"), "too slow")
        .await;
    aborted.unwrap();
    let record = view(&control).await.record;
    assert_eq!(record.mirror, None);
    assert_eq!(record.rolled_back.unwrap().version, version("green"));
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_gone_leaves_role_and_guard() {
    let mut house = House::new();
    let control = house.start().await;
    open(&control, shop(&house, "blue")).await;
    house.host.be(Mood::Hangs);
    let mut pink = more(&house, "pink", share(60.0));
    pink.stakes.get_mut(&version("pink")).unwrap().is_control = Some(true);
    pink.guards
        .insert(version("pink"), "error_rate>2%".parse().ok());
    let shop = name("shop");
    let red = control.change_endpoint(&shop, more(&house, "red", share(60.0)));
    let red = red.await.unwrap();
    let pink = control.change_endpoint(&shop, pink).await.unwrap();
    house.host.be(Mood::Well);
    let ended = [end(&control, red.id).await, end(&control, pink.id).await];
    let warned: Vec<_> = ended
        .iter()
        .flat_map(|it| &it.events)
        .filter(|event| event.outcome == StepOutcome::Warning)
        .collect();
    assert_eq!(warned.len(), 1, "{ended:?}");
    assert!(warned[0].text.contains("120 percent"), "{warned:?}");
    let record = view(&control).await.record;
    let table = record.traffic.unwrap();
    assert_eq!(table.control(), Some(&version("pink")));
    assert!(record.guards.contains_key(&version("pink")));
}

#[tokio::test(start_paused = true)]
async fn an_overwrite_changes_nothing_before_its_version_is_healthy() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 30.0).await;
    let overwrite = |text: &str| {
        let mut request = shop(&house, "green");
        let first = request.version.as_mut().unwrap();
        first.service = house.request("shop", text);
        request.overwrite = true;
        request.description = Some(text.to_owned());
        request
    };
    let mut opened = overwrite("bad");
    opened.auth = AuthMode::None;
    let error = control.create_endpoint(opened).await.unwrap_err();
    assert!(error.to_string().contains("authEnabled"), "{error}");
    house.host.be(Mood::Fails);
    let failed = open(&control, overwrite("bad")).await;
    assert_eq!(failed.state, OperationState::Failed);
    assert_eq!(view(&control).await.record.description, None);
    assert_eq!(
        answers(&house, 10).await,
        counted(&[("blue", 7), ("green", 3)])
    );
    house.host.be(Mood::Well);
    let done = open(&control, overwrite("green")).await;
    assert_eq!(done.state, OperationState::Succeeded, "{done:?}");
    let description = view(&control).await.record.description;
    assert_eq!(description.as_deref(), Some("green"));
}

#[tokio::test(start_paused = true)]
async fn the_control_is_not_rolled_back_to_itself() {
    let mut house = House::new();
    let control = house.start().await;
    blue_and_green(&house, &control, 30.0).await;
    control
        .promote(&name("shop"), &version("green"))
        .await
        .unwrap();
    let error = control
        .roll_back(&name("shop"), Some(&version("green")))
        .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("is the control itself")
    );
}
