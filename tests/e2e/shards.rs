//! The router's own size follows the load.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
};

use crate::{
    http::{Connection, Request},
    lusk::{Lusk, Setup, constant, until},
};

/// The metrics page.
fn metrics(lusk: &Lusk) -> String {
    let page = Request::new("GET", "/metrics").bearer(&lusk.token());
    page.send(lusk.admin).expect(200).text()
}

/// The value of a line of it.
fn value(page: &str, start: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(start));
    let line = line.unwrap_or_else(|| panic!("no {start} in\n{page}"));
    line.trim().parse().expect("a number")
}

/// Asks on one connection, or on a new one each time, until told to stop; counts the
/// answers.
fn ask(to: SocketAddr, request: &[u8], renew: bool, stop: &AtomicBool, answers: &AtomicUsize) {
    let mut connection = Connection::open(to).expect("a connection");
    while !stop.load(SeqCst) {
        connection.write(request).expect("a caller who is let in");
        let reply = connection.reply("POST").expect("an answer");
        assert_eq!(reply.expect(200).text(), "7");
        answers.fetch_add(1, SeqCst);
        if renew {
            connection = Connection::open(to).expect("a connection");
        }
    }
}

#[test]
fn a_production_router_grows_with_its_load_answers_all_and_ends_well() {
    // No routing is that quick: every second with enough requests asks for a shard.
    let flags = [
        "--cluster-purpose",
        "FastProd",
        "--max-shards",
        "3",
        "--shard-threshold-ms",
        "0.001",
    ];
    let mut lusk = Lusk::start_with("shards", Setup::default().flags(&flags));
    lusk.deploy("seven").wat(&constant("7")).done();
    assert!(value(&metrics(&lusk), "lusk_router_shards ") >= 1.0);
    let request = lusk.score_request("seven", "{}").bytes();
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for caller in 0..8 {
            let (to, request) = (lusk.scoring, &request);
            let (stop, answers) = (&stop, &answers);
            scope.spawn(move || ask(to, request, caller % 2 == 0, stop, answers));
        }
        until("there are three shards", || {
            value(&metrics(&lusk), "lusk_router_shards ") >= 3.0
        });
        stop.store(true, SeqCst);
    });
    let page = metrics(&lusk);
    let added = value(&page, "lusk_router_scaling_total{decision=\"add\"} ");
    assert!((2.0..3.0).contains(&added), "{page}");
    let counted = value(&page, "lusk_routing_seconds_count ");
    assert_eq!(counted, answers.load(SeqCst) as f64, "{page}");
    let log = lusk.log();
    assert!(log.contains("1 -> 2 shards: routing takes longer"), "{log}");
    assert!(log.contains("2 -> 3 shards: routing takes longer"), "{log}");
    lusk.stop();
}

#[test]
fn a_router_that_is_told_to_stop_finishes_what_its_shards_run() {
    let flags = ["--cluster-purpose", "DenseProd", "--max-shards", "2"];
    let mut lusk = Lusk::start_with("shards-stop", Setup::default().flags(&flags));
    let gate = "import os, time\ndef init(): pass\ndef run(path):\n    open(path + '.begun', 'w').close()\n    while not os.path.exists(path): time.sleep(0.01)\n    return 7\n";
    lusk.deploy("gated")
        .python(gate)
        .args(&["--rt", "process"])
        .done();
    let path = lusk.folder().join("open");
    let request = lusk.score_request("gated", path.to_str().expect("a path"));
    let mut connection = Connection::open(lusk.scoring).expect("a connection");
    connection.write(&request.bytes()).expect("sent");
    until("the script runs", || path.with_extension("begun").exists());
    thread::scope(|scope| {
        let waits = scope.spawn(move || connection.reply("POST").expect("an answer").expect(200));
        let scoring = lusk.scoring;
        let stops = scope.spawn(|| lusk.stop());
        until("nobody is let in any more", || {
            std::net::TcpStream::connect(scoring).is_err()
        });
        std::fs::write(&path, "").expect("a file");
        assert_eq!(waits.join().expect("no panic").text(), "7");
        stops.join().expect("it ends well");
    });
}

#[test]
fn the_router_of_a_test_cluster_keeps_its_size() {
    let lusk = Lusk::start("no-shards");
    lusk.deploy("seven").wat(&constant("7")).done();
    lusk.score("seven", "{}").expect(200);
    let page = metrics(&lusk);
    assert!(!page.contains("lusk_router_shards"), "{page}");
    let error = lusk.cli(&["up", "--max-shards", "2"]).fails(1);
    assert!(error.contains("add --cluster-purpose FastProd"), "{error}");
}
