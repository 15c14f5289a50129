use proptest::prelude::*;

use super::*;

fn name(text: &str) -> VersionName {
    text.parse().unwrap()
}

fn percent(percent: f64) -> Share {
    Share::try_from(percent).unwrap()
}

fn share(of: f64) -> Stake {
    Stake {
        share: Some(percent(of)),
        ..Stake::default()
    }
}

fn got(table: &TrafficTable) -> Vec<(&str, f64)> {
    let names = table.shares.keys();
    names
        .map(|name| (name.as_str(), table.effective(name).percent()))
        .collect()
}

/// Blue is default and control with 20, green has 10.
fn two() -> TrafficTable {
    TrafficTable::new(name("blue"), percent(20.0), true)
        .with_added(&name("green"), share(10.0))
        .unwrap()
}

#[test]
fn the_examples_of_the_original_hold() {
    let one = TrafficTable::new(name("aaa"), percent(20.0), false);
    assert_eq!(got(&one), [("aaa", 100.0)]);
    let two = one.with_added(&name("bbb"), share(10.0)).unwrap();
    assert_eq!(got(&two), [("aaa", 90.0), ("bbb", 10.0)]);
    let moved = Stake {
        is_default: Some(true),
        ..share(40.0)
    };
    let moved = two.with_stake(&name("bbb"), moved).unwrap();
    assert_eq!(got(&moved), [("aaa", 20.0), ("bbb", 80.0)]);
}

#[test]
fn more_than_everything_is_refused_with_the_arithmetic() {
    let error = two().with_stake(&name("green"), share(80.01)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the versions would claim 100.01 percent of traffic (blue 20 + green 80.01), at most 100 \
         exist: lower another version's share first"
    );
    assert!(two().with_stake(&name("green"), share(80.0)).is_ok());
    let shares = BTreeMap::from([
        (name("blue"), percent(60.0)),
        (name("green"), percent(41.0)),
    ]);
    assert!(two().with_shares(&shares).is_err());
}

#[test]
fn the_default_stays_while_there_are_others() {
    let table = two();
    let error = table.without(&name("blue")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("make another one the default first (`green`)")
    );
    let one = table.without(&name("green")).unwrap();
    assert_eq!(
        one.without(&name("blue")),
        Err(TrafficError::LastStays(name("blue")))
    );
    assert!(matches!(
        one.without(&name("green")),
        Err(TrafficError::Unknown { .. })
    ));
}

#[test]
fn a_control_that_goes_leaves_none() {
    let stake = Stake {
        is_control: Some(true),
        ..Stake::default()
    };
    let table = two().with_stake(&name("green"), stake).unwrap();
    assert_eq!(table.control(), Some(&name("green")));
    assert_eq!(table.without(&name("green")).unwrap().control(), None);
}

#[test]
fn false_takes_no_default_away_but_a_control() {
    let stake = Stake {
        is_default: Some(false),
        is_control: Some(false),
        share: None,
    };
    let table = two().with_stake(&name("blue"), stake).unwrap();
    assert_eq!(table.default(), &name("blue"));
    assert_eq!(table.control(), None);
    let other = two().with_stake(&name("green"), stake).unwrap();
    assert_eq!(other, two());
}

#[test]
fn a_seventh_version_and_a_second_of_one_name_are_refused() {
    let mut table = TrafficTable::new(name("one"), Share::NONE, false);
    for other in ["two", "three", "four", "five", "six"] {
        table = table.with_added(&name(other), Stake::default()).unwrap();
    }
    let error = table.with_added(&name("seven"), Stake::default());
    assert!(matches!(error, Err(TrafficError::TooMany { .. })));
    let error = table.with_added(&name("six"), Stake::default());
    assert_eq!(error, Err(TrafficError::Exists(name("six"))));
}

#[test]
fn a_promoted_version_takes_over_and_a_rolled_back_one_gets_nothing() {
    let promoted = two().promoted(&name("green")).unwrap();
    assert_eq!(got(&promoted), [("blue", 0.0), ("green", 100.0)]);
    assert_eq!(promoted.default(), &name("green"));
    assert_eq!(promoted.control(), Some(&name("green")));

    let back = two().rolled_back(None).unwrap();
    assert_eq!(got(&back), [("blue", 100.0), ("green", 0.0)]);
    let as_default = Stake {
        is_default: Some(true),
        ..Stake::default()
    };
    let moved = two().with_stake(&name("green"), as_default).unwrap();
    let back = moved.rolled_back(Some(&name("green"))).unwrap();
    assert_eq!(got(&back), [("blue", 100.0), ("green", 0.0)]);

    let no_control = TrafficTable::new(name("blue"), Share::NONE, false);
    assert_eq!(no_control.rolled_back(None), Err(TrafficError::NoControl));
}

#[test]
fn a_stored_table_that_breaks_a_rule_is_refused() {
    let json = serde_json::to_string(&two()).unwrap();
    assert_eq!(serde_json::from_str::<TrafficTable>(&json).unwrap(), two());
    for broken in [
        r#"{"shares":{},"default":"blue"}"#,
        r#"{"shares":{"blue":60.0,"green":60.0},"default":"blue"}"#,
        r#"{"shares":{"blue":60.0},"default":"green"}"#,
        r#"{"shares":{"blue":60.0},"default":"blue","control":"green"}"#,
        r#"{"shares":{"blue":60.001},"default":"blue"}"#,
    ] {
        assert!(
            serde_json::from_str::<TrafficTable>(broken).is_err(),
            "{broken}"
        );
    }
}

#[derive(Debug, Clone)]
enum Change {
    Add(usize, Stake),
    Stake(usize, Stake),
    Remove(usize),
    Promote(usize),
    RollBack(Option<usize>),
}

fn a_stake() -> impl Strategy<Value = Stake> {
    let share =
        proptest::option::of((0..=6_000_u32).prop_map(|it| Share::from_hundredths(it).unwrap()));
    let flag = proptest::option::of(any::<bool>());
    (share, flag.clone(), flag).prop_map(|(share, is_default, is_control)| Stake {
        share,
        is_default,
        is_control,
    })
}

fn a_change() -> impl Strategy<Value = Change> {
    let which = 0..8_usize;
    prop_oneof![
        (which.clone(), a_stake()).prop_map(|(of, stake)| Change::Add(of, stake)),
        (which.clone(), a_stake()).prop_map(|(of, stake)| Change::Stake(of, stake)),
        which.clone().prop_map(Change::Remove),
        which.clone().prop_map(Change::Promote),
        proptest::option::of(which).prop_map(Change::RollBack),
    ]
}

proptest! {
    #[test]
    fn no_order_of_changes_breaks_a_table(changes in proptest::collection::vec(a_change(), 0..40)) {
        let version = |of: usize| name(&format!("version-{of}"));
        let mut table = TrafficTable::new(version(0), percent(30.0), true);
        for change in changes {
            let next = match change {
                Change::Add(of, stake) => table.with_added(&version(of), stake),
                Change::Stake(of, stake) => table.with_stake(&version(of), stake),
                Change::Remove(of) => table.without(&version(of)),
                Change::Promote(of) => table.promoted(&version(of)),
                Change::RollBack(of) => table.rolled_back(of.map(version).as_ref()),
            };
            table = next.unwrap_or(table);
            prop_assert!((1..=MAX_VERSIONS).contains(&table.shares.len()));
            prop_assert!(table.shares.contains_key(&table.default));
            prop_assert!(table.control.as_ref().is_none_or(|it| table.shares.contains_key(it)));
            let sum: u32 = table.shares.keys().map(|it| table.effective(it)).sum();
            prop_assert_eq!(sum, 10_000);
            for (name, own) in table.shares() {
                prop_assert!(table.effective(name) >= own);
            }
        }
    }
}

#[test]
fn several_stakes_change_in_one_step() {
    let stakes = BTreeMap::from([(name("blue"), share(5.0)), (name("green"), share(95.0))]);
    let moved = two().with_stakes(&stakes).unwrap();
    assert_eq!(got(&moved), [("blue", 5.0), ("green", 95.0)]);
    let is_default = Stake {
        is_default: Some(true),
        ..Stake::default()
    };
    let both = BTreeMap::from([(name("blue"), is_default), (name("green"), is_default)]);
    assert_eq!(
        two().with_stakes(&both).unwrap_err().to_string(),
        "`blue` and `green` cannot both be the default"
    );
    // What the original's SDK sends with a new control: everybody else is a treatment.
    let control = |is_control| Stake {
        is_control: Some(is_control),
        ..Stake::default()
    };
    let moved = BTreeMap::from([
        (name("blue"), control(false)),
        (name("green"), control(true)),
    ]);
    let moved = two().with_stakes(&moved).unwrap();
    assert_eq!(moved.control(), Some(&name("green")));
}
