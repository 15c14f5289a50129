use proptest::prelude::*;

use super::*;

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_size_alone_waits_five_milliseconds() {
    let settings = BatchSettings::from_tags(&tags(&[("maxBatchSize", "32"), ("a", "b")]));
    let expected = BatchSettings {
        max_rows: 32,
        max_delay: Duration::from_millis(5),
    };
    assert_eq!(settings, Ok(Some(expected)));
    assert_eq!(BatchSettings::from_tags(&tags(&[("a", "b")])), Ok(None));
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() {
    for (tag, value, range) in [
        ("maxBatchSize", "1", "from 2 to 1024"),
        ("maxBatchSize", "1025", "from 2 to 1024"),
        (
            "maxBatchSize",
            "many",
            "1024; without the tag calls are not joined",
        ),
        ("maxBatchSize", "+8", "from 2 to 1024"),
        ("maxBatchSize", " 8", "from 2 to 1024"),
        ("maxBatchSize", "", "from 2 to 1024"),
        (
            "maxBatchDelayMs",
            "1001",
            "1000; without the tag calls wait for 5 ms",
        ),
        ("maxBatchDelayMs", "-1", "from 0 to 1000"),
    ] {
        let tags = tags(&[("maxBatchSize", "8"), (tag, value)]);
        let text = BatchSettings::from_tags(&tags).unwrap_err().to_string();
        assert!(text.contains(tag) && text.contains(value), "{text}");
        assert!(text.contains(range), "{text}");
    }
    let text = BatchSettings::from_tags(&tags(&[("maxBatchDelayMs", "7")])).unwrap_err();
    assert!(text.to_string().contains("set both"), "{text}");
}

#[test]
fn a_call_waits_for_half_of_what_its_request_may_take() {
    let asked = open(8).settings;
    for (limit, waits) in [(1, 0), (5, 2), (9, 4), (10, 5), (60_000, 5)] {
        let within = asked.within(limit * MS);
        assert_eq!((within.max_rows, within.max_delay), (8, waits * MS));
    }
}

const MS: Duration = Duration::from_millis(1);

fn open(max_rows: u32) -> OpenBatch<u8, u32> {
    OpenBatch::new(BatchSettings {
        max_rows,
        max_delay: 5 * MS,
    })
}

#[test]
fn when_the_oldest_leaves_the_next_one_counts() {
    let mut open = open(8);
    let first = open.join(MS, 0, 3, 1);
    open.join(3 * MS, 0, 2, 2);
    assert_eq!(open.due(), Some(6 * MS));
    assert_eq!(open.leave(first.ticket), Some(1));
    assert_eq!(open.leave(first.ticket), None);
    assert_eq!(open.due(), Some(8 * MS));
    let batch = open.close(Closed::Delay).unwrap();
    assert_eq!((batch.rows, batch.calls), (2, vec![(2, 3 * MS)]));
    assert_eq!(open.due(), None);
}

#[test]
fn a_call_that_does_not_fit_begins_the_next_batch() {
    let mut open = open(4);
    assert!(open.join(MS, 0, 3, 1).opened);
    let joined = open.join(MS, 0, 2, 2);
    assert_eq!(
        (joined.closed[0].rows, joined.closed[0].closed),
        (3, Closed::Full)
    );
    assert!(joined.opened);
    let joined = open.join(MS, 1, 4, 3);
    let why: Vec<_> = joined.closed.iter().map(|batch| batch.closed).collect();
    assert_eq!(why, [Closed::Shape, Closed::Full]);
    assert!(!joined.opened && open.is_empty());
}

#[derive(Debug, Clone)]
enum Act {
    Join { key: u8, rows: usize },
    Leave { nth: usize },
    Wait { ms: u64 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..2_u8, 1..=9_usize).prop_map(|(key, rows)| Act::Join { key, rows }),
        1 => (0..40_usize).prop_map(|nth| Act::Leave { nth }),
        2 => (0..9_u64).prop_map(|ms| Act::Wait { ms }),
    ];
    proptest::collection::vec(act, 0..80)
}

/// What a driver does: it closes what is due before anything else happens.
fn close_due(open: &mut OpenBatch<u8, u32>, now: Duration, done: &mut Vec<Batch<u32>>) {
    if let Some(due) = open.due().filter(|due| *due <= now) {
        let mut batch = open.close(Closed::Delay).unwrap();
        // It would have closed when it was due.
        for (_, since) in &mut batch.calls {
            assert!(due - *since <= 5 * MS);
        }
        done.push(batch);
    }
}

proptest! {
    #[test]
    fn every_call_that_stays_is_in_one_batch_in_order(acts in acts(), max_rows in 2..=9_u32) {
        let mut open = open(max_rows);
        let (mut now, mut done) = (Duration::ZERO, Vec::new());
        let mut calls: Vec<(u64, u8, usize)> = Vec::new();
        let mut stays = Vec::new();
        for act in acts {
            match act {
                Act::Wait { ms } => now += Duration::from_millis(ms),
                Act::Leave { nth } => {
                    if let Some((ticket, ..)) = calls.get(nth)
                        && let Some(left) = open.leave(*ticket)
                    {
                        stays.retain(|call| *call != left);
                    }
                }
                Act::Join { rows, .. } if !open.settings.takes(rows) => {
                    prop_assert!(rows > max_rows as usize);
                }
                Act::Join { key, rows } => {
                    let call = calls.len() as u32;
                    let joined = open.join(now, key, rows, call);
                    prop_assert_eq!(open.is_empty(), joined.closed.last().is_some_and(
                        |batch| batch.calls.iter().any(|(it, _)| *it == call)));
                    calls.push((joined.ticket, key, rows));
                    stays.push(call);
                    done.extend(joined.closed);
                }
            }
            close_due(&mut open, now, &mut done);
        }
        done.extend(open.close(Closed::Idle));
        for batch in &done {
            let of = |call: &u32| calls[*call as usize];
            let rows: usize = batch.calls.iter().map(|(call, _)| of(call).2).sum();
            prop_assert_eq!(rows, batch.rows);
            prop_assert!((1..=max_rows as usize).contains(&rows));
            let key = of(&batch.calls[0].0).1;
            prop_assert!(batch.calls.iter().all(|(call, _)| of(call).1 == key));
        }
        let order: Vec<u32> = done.into_iter().flat_map(|batch| batch.calls).map(|it| it.0).collect();
        prop_assert_eq!(order, stays);
    }
}
