//! Kills: a copy of this test program writes, is killed, and is looked after.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{Place, get};
use crate::db::Purpose;

/// Folder in which a copy of this test program writes until it is killed.
const CRASH_FOLDER: &str = "LUSK_STORE_CRASH_FOLDER";
/// Kills of the crash test, if not the few of a quick run.
const CRASH_CYCLES: &str = "LUSK_STORE_CRASH_CYCLES";

/// The text of round `stamp`: from a few bytes to 150 KiB.
fn text_of(stamp: u64) -> String {
    let length = [3, 40, 900, 5_000, 150_000][(stamp % 5) as usize];
    format!("{stamp}:{}", "y".repeat(length))
}

/// Writes three records with one stamp, over and over, and says so.
#[test]
#[ignore = "the other half of a_kill_leaves_the_state_before_or_after"]
fn writes_until_killed() {
    let Some(folder) = std::env::var_os(CRASH_FOLDER) else {
        return;
    };
    println!("opening");
    let db = Place::below(Path::new(&folder)).open();
    let last = get(&db, "left").map_or(0, |text| stamp_of(&text));
    for stamp in last + 1.. {
        println!("begin {stamp}");
        db.write(Purpose::Grow, |_, change| {
            for key in ["left", "middle", "right"] {
                change.put(key.into(), &text_of(stamp))?;
            }
            if stamp.is_multiple_of(3) {
                change.remove(b"odd".to_vec());
            } else {
                change.put(b"odd".to_vec(), &stamp)?;
            }
            Ok(())
        })
        .unwrap();
        println!("done {stamp}");
    }
}

fn stamp_of(text: &str) -> u64 {
    text.split(':').next().unwrap().parse().unwrap()
}

/// Runs the writer and kills it after `lines` lines and `moment` more.
/// Returns the last stamps that it began and that it was told are written.
fn run_and_kill(folder: &Path, lines: u64, moment: Duration) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "db::tests::crash::writes_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(CRASH_FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut begun, mut done) = (0, 0);
    let mut note = |line: &str| {
        match line.split_once(' ') {
            Some(("begin", stamp)) => begun = stamp.parse().unwrap(),
            Some(("done", stamp)) => done = stamp.parse().unwrap(),
            _ => {}
        };
    };
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    // The harness prints a few lines of its own.
    let opening = output.by_ref().any(|line| line.ends_with("opening"));
    assert!(opening, "the writer did not start");
    output
        .by_ref()
        .take(lines as usize)
        .for_each(|line| note(&line));
    let until = Instant::now() + moment;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    output.for_each(|line| note(&line));
    child.wait().unwrap();
    (begun, done)
}

#[test]
fn a_kill_leaves_the_state_before_or_after() {
    let cycles = std::env::var(CRASH_CYCLES).map_or(12, |text| text.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut begun) = (0, 0);
    for cycle in 0..cycles {
        // Every third kill hits the opening.
        let lines = if cycle % 3 == 0 {
            0
        } else {
            (cycle * 7919) % 60
        };
        let moment = Duration::from_micros((cycle * 104_729) % 20_000);
        let (last_begun, last_done) = run_and_kill(root.path(), lines, moment);
        (begun, acknowledged) = (begun.max(last_begun), acknowledged.max(last_done));
        let db = Place::below(root.path()).open();
        let found = get(&db, "left").map_or(0, |text| stamp_of(&text));
        assert!(
            (acknowledged..=begun).contains(&found),
            "cycle {cycle}: {acknowledged} acknowledged, {begun} begun, {found} found"
        );
        if found > 0 {
            for key in ["left", "middle", "right"] {
                assert!(
                    get(&db, key) == Some(text_of(found)),
                    "cycle {cycle}: {key} is of another round"
                );
            }
            let odd = db.read(|table| table.get::<u64>(b"odd")).unwrap();
            assert_eq!(
                odd,
                (!found.is_multiple_of(3)).then_some(found),
                "cycle {cycle}"
            );
        }
        begun = found;
        acknowledged = found;
    }
    println!("{cycles} kills, {acknowledged} rounds kept");
}
