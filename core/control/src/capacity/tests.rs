use proptest::prelude::*;

use super::*;

fn settings(cpu: f64, memory_in_gb: f64) -> Settings {
    let mut settings = Settings::default();
    settings.resources.cpu = cpu;
    settings.resources.memory_in_gb = memory_in_gb;
    settings
}

fn node() -> Arc<Ledger> {
    ledger(2.0, 4_000_000_000)
}

fn ledger(cores: f64, bytes: u64) -> Arc<Ledger> {
    Arc::new(Ledger::new(Capacity { cores, bytes }))
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

#[test]
fn reserves_until_the_node_is_full_and_names_what_is_missing() {
    let ledger = node();
    let one = ledger.hold(&name("one"), &settings(0.5, 1.0), 3).unwrap();
    let missing = ledger
        .hold(&name("two"), &settings(0.6, 0.7), 2)
        .unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no room for 2 replicas: 1.2 cores (0.5 of 2 are free) and 1.4 GB of memory (1 GB of 4 GB are free) to reserve; the room is held by `one` (1.5 cores, 3 GB): delete one, give it less, or ask for less"
    );
    let alone = node().hold(&name("two"), &settings(3.0, 0.1), 1);
    assert!(
        alone
            .unwrap_err()
            .to_string()
            .ends_with("the whole node has less, ask for less")
    );
    drop(one);
    ledger.hold(&name("two"), &settings(0.6, 0.7), 2).unwrap();
}

#[test]
fn the_largest_holders_are_named() {
    let ledger = ledger(8.0, 8_000_000_000);
    let small = |index: u32| {
        let own = settings(f64::from(index) * 0.1, 0.1);
        ledger.hold(&name(&format!("s-{index}")), &own, 1).unwrap()
    };
    let _held: Vec<_> = (1..8).map(small).collect();
    let missing = ledger.hold(&name("new"), &settings(8.0, 0.1), 1);
    let missing = missing.unwrap_err().to_string();
    assert!(
        missing.contains("held by `s-7` (0.7 cores, 0.1 GB), `s-6` ("),
        "{missing}"
    );
    assert!(missing.contains("`s-3` (0.3 cores, 0.1 GB) and 2 other services:"));
}

#[test]
fn those_who_hold_what_is_missing_come_first() {
    let ledger = ledger(8.0, 4_000_000_000);
    let _busy = ledger.hold(&name("busy"), &settings(4.0, 0.1), 1).unwrap();
    let _large = ledger.hold(&name("large"), &settings(0.1, 3.0), 1).unwrap();
    let first = |wish| {
        let missing = ledger.hold(&name("new"), &wish, 1).unwrap_err();
        let text = missing.to_string();
        let (_, holders) = text.split_once("held by `").expect("holders");
        holders[..holders.find('`').expect("a name")].to_owned()
    };
    assert_eq!(first(settings(0.1, 2.0)), "large");
    assert_eq!(first(settings(5.0, 0.1)), "busy");
}

#[test]
fn who_asks_for_more_than_the_node_is_not_sent_to_others() {
    let ledger = node();
    let _one = ledger.hold(&name("one"), &settings(0.5, 1.0), 1).unwrap();
    let missing = ledger.hold(&name("two"), &settings(9.0, 0.1), 1);
    assert!(!missing.unwrap_err().to_string().contains("`one`"));
}

#[test]
fn tenths_fill_a_core() {
    let ledger = node();
    let tenth = |index: u32| ledger.hold(&name(&format!("s-{index}")), &settings(0.1, 0.1), 1);
    let _held: Vec<_> = (0..20).map(|index| tenth(index).unwrap()).collect();
    tenth(20).unwrap_err();
}

#[test]
fn an_update_counts_the_cores_once_and_the_memory_twice() {
    let ledger = node();
    let old = ledger.hold(&name("one"), &settings(1.5, 1.0), 1).unwrap();
    let new = ledger.hold(&name("one"), &settings(2.0, 0.5), 1).unwrap();
    assert_eq!(ledger.held().cores, 2.0);
    assert_eq!(ledger.held().bytes, 1_500_000_000);
    ledger
        .hold(&name("two"), &settings(0.0, 2.6), 1)
        .unwrap_err();
    drop(old);
    let two = ledger.hold(&name("two"), &settings(0.0, 3.5), 1).unwrap();
    drop((new, two));
    assert_eq!(ledger.held(), NOTHING);
}

#[test]
fn two_revisions_that_never_fit_are_told_apart_from_those_that_wait() {
    let ledger = node();
    let small = settings(0.1, 1.0);
    let one = ledger.hold(&name("one"), &small, 2).unwrap();
    assert_eq!(ledger.never_both(&one, &small, 2), None);
    let never = ledger.never_both(&one, &settings(0.1, 2.1), 1).unwrap();
    assert_eq!(
        never.to_string(),
        "service `one` has no room for two revisions: the one that serves holds 2 GB of memory until the new one has taken over, which needs 2.1 GB; together 4.1 GB, of which 4 GB of 4 GB are there; ask for less memory or fewer replicas, or delete the service and deploy it anew"
    );
    let other = ledger.hold(&name("two"), &settings(0.1, 0.5), 1).unwrap();
    let never = ledger.never_both(&one, &small, 2).unwrap().to_string();
    assert!(
        never.contains("3.5 GB of 4 GB are free beside other services; delete another service,"),
        "{never}"
    );
    drop(other);
    // Another service that is updated will give one of its shares back.
    let _old = ledger.hold(&name("two"), &settings(0.1, 1.0), 1).unwrap();
    let _new = ledger.hold(&name("two"), &settings(0.1, 0.2), 1).unwrap();
    assert_eq!(ledger.never_both(&one, &settings(0.1, 1.8), 1), None);
    ledger
        .hold(&name("one"), &settings(0.1, 1.8), 1)
        .unwrap_err();
}

#[test]
fn own_replicas_that_still_run_are_named_as_such() {
    let ledger = node();
    let _old = ledger.hold(&name("one"), &settings(0.1, 2.5), 1).unwrap();
    let missing = ledger.hold(&name("one"), &settings(0.1, 2.5), 1);
    let missing = missing.unwrap_err().to_string();
    assert!(
        missing.contains("`one` (its own replicas that still run: 0.1 cores, 2.5 GB)"),
        "{missing}"
    );
}

#[test]
fn a_service_grows_as_far_as_the_others_leave_room() {
    let ledger = node();
    let one = ledger.hold(&name("one"), &settings(0.5, 0.5), 1).unwrap();
    let two = ledger.hold(&name("two"), &settings(0.7, 0.1), 1).unwrap();
    assert_eq!(one.room(), 1);
    assert_eq!(one.add(5), 1);
    drop(two);
    assert_eq!(one.add(1), 1);
    assert_eq!(one.replicas(), 3);
    one.leave();
    assert_eq!((one.replicas(), one.room()), (2, 1));
    one.left();
    assert_eq!(one.room(), 2);
    let free = ledger.hold(&name("two"), &settings(0.0, 0.0), 1).unwrap();
    assert_eq!(free.room(), u32::MAX);
}

#[test]
fn who_waits_hears_of_everything_that_is_given_back() {
    let ledger = node();
    let one = ledger.hold(&name("one"), &settings(0.1, 0.1), 3).unwrap();
    let mut freed = ledger.freed();
    let mut hears = |told: &str| {
        assert!(freed.has_changed().unwrap(), "{told}");
        freed.mark_unchanged();
    };
    one.release();
    hears("released");
    one.leave();
    one.left();
    hears("left");
    drop(one);
    hears("dropped");
}

/// What may happen to one of three services.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A revision begins.
    Hold { tenths: u32, replicas: u32 },
    /// The autoscaler adds.
    Add(u32),
    /// A start failed.
    Release,
    /// The autoscaler gives one up.
    Leave,
    /// It is gone.
    Left,
    /// The newer revision is ready: the older one goes. Or it failed: it goes.
    End { newest: bool },
}

fn event() -> impl Strategy<Value = (usize, Event)> {
    let event = prop_oneof![
        (0..30_u32, 0..4_u32).prop_map(|(tenths, replicas)| Event::Hold { tenths, replicas }),
        (0..5_u32).prop_map(Event::Add),
        Just(Event::Release),
        Just(Event::Leave),
        Just(Event::Left),
        any::<bool>().prop_map(|newest| Event::End { newest }),
    ];
    (0..3_usize, event)
}

/// A revision as the test itself counts it.
struct Counted {
    reservation: Arc<Reservation>,
    tenths: u32,
    replicas: u32,
    leaving: u32,
}

impl Counted {
    fn tenths(&self) -> u32 {
        self.tenths * (self.replicas + self.leaving)
    }
}

proptest! {
    #[test]
    fn the_ledger_is_the_sum_of_what_lives(events in prop::collection::vec(event(), 1..80)) {
        const TOTAL: u32 = 100;
        let ledger = ledger(f64::from(TOTAL) / 10.0, u64::from(TOTAL) * 100_000_000);
        let mut services: [Vec<Counted>; 3] = Default::default();
        for (index, event) in events {
            let service = name(&format!("s-{index}"));
            let memory: u32 = services.iter().flatten().map(Counted::tenths).sum();
            let cores = |all: &[Counted]| all.iter().map(Counted::tenths).max().unwrap_or(0);
            let others: u32 = (0..3).filter(|it| *it != index).map(|it| cores(&services[it])).sum();
            let own = &mut services[index];
            match event {
                Event::Hold { tenths, replicas } => {
                    let each = settings(f64::from(tenths) / 10.0, f64::from(tenths) / 10.0);
                    let fits = tenths * replicas + memory.max(others) <= TOTAL;
                    match ledger.hold(&service, &each, replicas) {
                        Ok(reservation) => {
                            prop_assert!(fits);
                            own.push(Counted { reservation, tenths, replicas, leaving: 0 });
                        }
                        Err(_) => prop_assert!(!fits),
                    }
                }
                Event::Add(wanted) => if let Some(last) = own.last_mut() {
                    let room = TOTAL - memory.max(others + last.tenths());
                    let most = room.checked_div(last.tenths).unwrap_or(u32::MAX);
                    let granted = last.reservation.add(wanted);
                    prop_assert_eq!(granted, wanted.min(most));
                    last.replicas += granted;
                },
                Event::Release => if let Some(last) = own.last_mut() {
                    last.reservation.release();
                    last.replicas = last.replicas.saturating_sub(1);
                },
                Event::Leave => if let Some(last) = own.last_mut().filter(|it| it.replicas > 0) {
                    last.reservation.leave();
                    last.replicas -= 1;
                    last.leaving += 1;
                },
                Event::Left => if let Some(last) = own.last_mut().filter(|it| it.leaving > 0) {
                    last.reservation.left();
                    last.leaving -= 1;
                },
                Event::End { newest } => if !own.is_empty() {
                    let at = if newest { own.len() - 1 } else { 0 };
                    own.remove(at);
                },
            }
            let lives = services.iter().flatten().map(Counted::tenths).sum::<u32>();
            prop_assert_eq!(ledger.held().bytes, u64::from(lives) * 100_000_000);
            let busy: u32 = services.iter().map(|own| cores(own)).sum();
            prop_assert!((ledger.held().cores - f64::from(busy) / 10.0).abs() < 1e-6);
            prop_assert!(ledger.held().bytes <= ledger.total.bytes);
        }
        drop(services);
        prop_assert_eq!(ledger.held(), NOTHING);
    }
}
