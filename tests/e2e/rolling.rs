//! Updates under load: nobody notices, and nothing of the old revision stays.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use crate::{
    http::Connection,
    lusk::{Lusk, constant, machine_memory, skip, until},
};

const UPDATES: usize = 10;
const CALLERS: usize = 6;

/// Answers seen on one connection, until it is told to stop.
fn call(lusk: &Lusk, stop: &AtomicBool) -> (usize, BTreeSet<String>) {
    let request = lusk.score_request("digits", "{}").bytes();
    let mut connection = Connection::open(lusk.scoring).expect("a connection");
    let (mut count, mut seen) = (0, BTreeSet::new());
    while !stop.load(Ordering::Relaxed) {
        connection.write(&request).expect("a connection that stays");
        let reply = connection.reply("POST").expect("an answer");
        seen.insert(reply.expect(200).text());
        count += 1;
    }
    (count, seen)
}

/// Files of compiled scripts that the node holds in its memory; none where the
/// system does not tell.
fn mapped(lusk: &Lusk) -> Option<BTreeSet<String>> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", lusk.pid())).ok()?;
    let files = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5));
    let compiled = files.filter(|file| file.contains("/aot/"));
    Some(compiled.map(str::to_owned).collect())
}

#[test]
fn ten_updates_of_one_replica_under_load_cost_no_request() {
    let lusk = Lusk::start("rolling");
    lusk.deploy("digits").wat(&constant("\"r0\"")).done();
    let before = mapped(&lusk);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| scope.spawn(|| call(&lusk, &stop)))
            .collect();
        for update in 1..=UPDATES {
            let answer = format!("\"r{update}\"");
            lusk.file("digits/score.wat", constant(&answer));
            lusk.cli(&[
                "service",
                "update",
                "-n",
                "digits",
                "--es",
                "digits/score.wat",
            ])
            .ok();
            let new = lusk.score("digits", "{}").expect(200).text();
            assert_eq!(new, answer, "the update has ended");
        }
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            let (count, seen) = caller.join().expect("every answer is 200");
            assert!(count > UPDATES, "{count} requests");
            assert!(seen.contains(&format!("\"r{UPDATES}\"")), "{seen:?}");
        }
    });
    assert_eq!(lusk.metric("lusk_replicas_ready", "digits"), 1.0);
    let folders = fs::read_dir(lusk.data().join("tmp")).expect("the folder");
    let folders = folders
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    let folders: Vec<_> = folders
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with("digits-"))
        .collect();
    assert_eq!(folders, [format!("digits-{}", UPDATES + 1)]);
    let Some(before) = before else {
        skip("rolling", "the node's maps cannot be read");
        return;
    };
    until("the code of the old revisions is unmapped", || {
        mapped(&lusk).is_some_and(|now| now.len() <= before.len())
    });
}

#[test]
fn an_update_that_can_never_fit_beside_what_serves_is_refused_at_once() {
    let lusk = Lusk::start("rolling-memory");
    let gigabytes = machine_memory() * 0.6 / 1e9;
    let config = json!({
        "computeType": "aks",
        "numReplicas": 1,
        "containerResourceRequirements": {"cpu": 0.1, "memoryInGB": gigabytes},
    });
    lusk.file("deploymentconfig.json", config.to_string());
    lusk.deploy("large")
        .wat(&constant("1"))
        .args(&["--dc", "deploymentconfig.json"])
        .done();
    lusk.file("large/score.wat", constant("2"));
    let refused = lusk
        .cli(&[
            "service",
            "update",
            "-n",
            "large",
            "--es",
            "large/score.wat",
        ])
        .fails(1);
    for part in [
        "no room for two revisions",
        "holds",
        "needs",
        "ask for less memory",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    let service = lusk.service("large");
    assert_eq!(service["state"], "Healthy");
    assert_eq!(lusk.score("large", "{}").expect(200).text(), "1");
    let body = json!([{"op": "replace", "path": "/numReplicas", "value": 1}]);
    let reply = lusk.admin("PATCH", "/services/large", &body).expect(400);
    assert!(reply.text().contains("Unschedulable"), "{}", reply.text());
    // What is small enough beside it goes.
    lusk.cli(&["service", "update", "-n", "large", "--gb", "0.1"])
        .ok();
    lusk.cli(&[
        "service",
        "update",
        "-n",
        "large",
        "--es",
        "large/score.wat",
    ])
    .ok();
    assert_eq!(lusk.score("large", "{}").expect(200).text(), "2");
}
