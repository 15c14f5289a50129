//! A wall clock that jumps by days, under load.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    books::{Books, Rest},
    crowd::{Crowd, Seen},
    process::MIB,
};
use crate::lusk::{Lusk, Setup, constant, plain_script, skip};

/// Debian's libfaketime (`apt-get install faketime`), for any architecture.
fn libfaketime() -> Option<String> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let files = folders.filter_map(|folder| {
        let file = folder.ok()?.path().join("faketime/libfaketimeMT.so.1");
        file.exists().then(|| file.to_string_lossy().into_owned())
    });
    files.into_iter().next()
}

/// Lets the node's clock differ from the machine's by this, e.g. `-1d`.
fn set(clock: &Path, offset: &str) {
    // Renamed into place, so that nobody reads half of it.
    let new = clock.with_extension("new");
    fs::write(&new, format!("{offset}\n")).expect("an offset");
    fs::rename(new, clock).expect("the clock");
}

#[test]
fn a_clock_that_jumps_disturbs_nobody() {
    let Some(library) = libfaketime() else {
        return skip("load::clock", "no libfaketime (apt-get install faketime)");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let clock = folder.path().join("clock");
    set(&clock, "+0");
    let setup = Setup::default()
        .variable("LD_PRELOAD", library)
        .variable("FAKETIME_TIMESTAMP_FILE", clock.to_string_lossy())
        .variable("FAKETIME_NO_CACHE", "1")
        // Only the wall clock jumps; the kernel never sets the other one.
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .variable("DONT_FAKE_MONOTONIC", "1");
    let mut lusk = Lusk::start_with("clock", setup);
    let patient = ["--mr", "60000", "--tm", "60000", "--cc", "0.1"];
    lusk.deploy("one").wat(&constant("1")).args(&patient).done();
    lusk.deploy("echo")
        .python(&plain_script())
        .args(&patient)
        .done();
    for service in ["one", "echo"] {
        lusk.score(service, "1").expect(200);
    }
    let rest = Rest::of(&lusk);
    let before = Books::read(&lusk);
    let mut seen = [Seen::default(), Seen::default()];
    let mut times = Vec::new();
    for offset in ["+400d", "-400d", "+1d", "-1d", "+3600", "+0"] {
        set(&clock, offset);
        for (service, seen) in ["one", "echo"].iter().zip(&mut seen) {
            let crowd = Crowd::of(&lusk, service, 8).rounds(10);
            let more = crowd.ask(|_| "1".to_owned(), |_, _| {});
            more.only(&[200]);
            seen.merge(more);
        }
        // A change of the node at that time.
        let service = lusk
            .deploy("new")
            .wat(&constant("2"))
            .args(&["--cc", "0.1"])
            .done();
        times.push(service["createdTime"].as_str().expect("a time")[..4].to_owned());
        lusk.score("new", "1").expect(200);
        let gone = lusk.finish(&lusk.admin("DELETE", "/services/new", &Value::Null));
        assert_eq!(gone["state"], "Succeeded", "{gone:#}");
    }
    assert_ne!(times[0], times[1], "the clock did not jump");
    rest.returns(&lusk, 64 * MIB);
    let after = Books::read(&lusk);
    for (service, seen) in ["one", "echo"].iter().zip(&seen) {
        after.add_up(&before, service, seen);
    }
    // A start at a time before anything was made.
    set(&clock, "-800d");
    lusk.stop();
    lusk.restart();
    for service in ["one", "echo"] {
        lusk.score(service, "1").expect(200);
    }
}
