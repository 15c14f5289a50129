//! Service commands.

use serde_json::{Value, json};

use crate::{
    http::Request,
    lusk::{Lusk, constant, plain_script},
};

#[test]
fn list_show_and_delete() {
    let lusk = Lusk::start("commands");
    lusk.deploy("one")
        .wat(&constant("1"))
        .args(&["--tag", "team=red"])
        .done();
    lusk.deploy("two")
        .wat(&constant("2"))
        .args(&["--description", "second"])
        .done();
    let names = |words: &[&str]| -> Vec<String> {
        let mut line = vec!["service", "list", "-o", "json"];
        line.extend(words);
        let list = lusk.cli(&line).json();
        let names = list.as_array().unwrap().iter();
        names
            .map(|service| service["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&[]), ["one", "two"]);
    assert_eq!(names(&["--tag", "team"]), ["one"]);
    assert_eq!(names(&["-c", "LOCAL"]), [""; 0]);
    let shown = lusk
        .cli(&["service", "show", "-n", "two", "-o", "json"])
        .json();
    assert_eq!(shown["description"], "second");
    for key in [
        "name",
        "tags",
        "properties",
        "state",
        "createdTime",
        "scoringUri",
        "autoScaler",
        "numReplicas",
        "deploymentStatus",
        "modelDetails",
        "environmentDetails",
        "versionType",
    ] {
        assert!(shown.get(key).is_some(), "{key}");
    }
    let table = lusk.cli(&["service", "list"]).ok();
    assert!(
        table.contains("one") && table.contains("Healthy"),
        "{table}"
    );

    lusk.cli(&["service", "delete", "-n", "one"]).ok();
    assert_eq!(names(&[]), ["two"]);
    lusk.cli(&["service", "show", "-n", "one"]).fails(1);
    lusk.score("two", "").expect(200);
}

#[test]
fn keys_are_shown_and_replaced_one_by_one() {
    let lusk = Lusk::start("keys");
    lusk.deploy("keys")
        .wat(&constant("1"))
        .args(&["--kp", "given-one", "--ks", "given-two"])
        .done();
    let keys = || {
        lusk.cli(&["service", "get-keys", "-n", "keys", "-o", "json"])
            .json()
    };
    assert_eq!(
        keys(),
        json!({"primaryKey": "given-one", "secondaryKey": "given-two"})
    );
    let call = |key: &str| {
        let request = Request::new("POST", "/api/v1/service/keys/score")
            .bearer(key)
            .body("x");
        request.send(lusk.scoring).status
    };
    lusk.cli(&["service", "regen-key", "-n", "keys", "-k", "primary"])
        .ok();
    let fresh = keys()["primaryKey"].as_str().unwrap().to_owned();
    assert_eq!(fresh.len(), 32);
    assert_eq!(
        (call("given-one"), call(&fresh), call("given-two")),
        (401, 200, 200)
    );
    lusk.cli(&[
        "service",
        "regen-key",
        "-n",
        "keys",
        "-k",
        "Secondary",
        "-s",
        "mine",
    ])
    .ok();
    assert_eq!((call("given-two"), call("mine")), (401, 200));
    lusk.cli(&["service", "regen-key", "-n", "keys", "-k", "third"]);
    assert_eq!(call("mine"), 200);
}

#[test]
fn update_changes_what_is_named_and_nothing_else() {
    let lusk = Lusk::start("update");
    lusk.deploy("svc")
        .wat(&constant("1"))
        .args(&["--tag", "a=1", "--tag", "b=2", "--property", "p=1"])
        .done();
    let key = lusk.key("svc");
    lusk.cli(&[
        "service",
        "update",
        "-n",
        "svc",
        "--add-tag",
        "c=3",
        "--remove-tag",
        "a",
        "--add-property",
        "q=2",
        "--nr",
        "2",
        "--tm",
        "1234",
    ])
    .ok();
    let service = lusk.service("svc");
    assert_eq!(service["kvTags"], json!({"b": "2", "c": "3"}));
    assert_eq!(service["properties"]["p"], "1");
    assert_eq!(service["properties"]["q"], "2");
    assert_eq!(service["numReplicas"], 2);
    assert_eq!(service["deploymentStatus"]["availableReplicas"], 2);
    assert_eq!(service["scoringTimeoutMs"], 1234);
    assert_eq!(lusk.key("svc"), key);

    lusk.file("svc/new.wat", constant("2"));
    lusk.cli(&["service", "update", "-n", "svc", "--es", "svc/new.wat"])
        .ok();
    assert_eq!(lusk.score("svc", "").text(), "2");

    let refused = lusk.cli(&["service", "update", "-n", "svc"]).fails(2);
    assert!(refused.contains("nothing to change"), "{refused}");
    let refused = lusk
        .cli(&["service", "update", "-n", "svc", "--add-property", "p=2"])
        .fails(1);
    assert!(refused.contains('p'), "{refused}");
}

#[test]
fn an_update_loses_no_request() {
    let lusk = Lusk::start("no-loss");
    lusk.deploy("busy")
        .wat(&constant("1"))
        .args(&["--mr", "60000"])
        .done();
    let key = lusk.key("busy");
    let done = std::sync::atomic::AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let request = Request::new("POST", "/api/v1/service/busy/score")
                        .bearer(&key)
                        .body("x");
                    let mut seen = [0_u32; 3];
                    while !done.load(std::sync::atomic::Ordering::SeqCst) {
                        let reply = request.send(lusk.scoring).expect(200);
                        seen[reply.text().parse::<usize>().unwrap()] += 1;
                    }
                    seen
                })
            })
            .collect();
        for round in 0..4 {
            let answer = if round % 2 == 0 { "2" } else { "1" };
            lusk.deploy("busy")
                .wat(&constant(answer))
                .args(&["--overwrite", "--mr", "60000"])
                .done();
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .fold([0, 0], |sum, seen| [sum[0] + seen[1], sum[1] + seen[2]])
    });
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
}

#[test]
fn run_and_logs() {
    let lusk = Lusk::start("run");
    lusk.deploy("echo").python(&plain_script()).done();
    let run = lusk.cli(&["service", "run", "-n", "echo", "-d", "hello"]);
    assert_eq!(run.ok().trim(), "\"hello\"");
    lusk.file("body.json", "from a file");
    let run = lusk.cli(&["service", "run", "-n", "echo", "-d", "@body.json"]);
    assert_eq!(run.ok().trim(), "\"from a file\"");
    let logs = lusk.cli(&["service", "get-logs", "-n", "echo"]).ok();
    assert!(
        logs.contains("init ran") && logs.contains("run ran"),
        "{logs}"
    );
    let last = lusk
        .cli(&["service", "get-logs", "-n", "echo", "-l", "1"])
        .ok();
    assert_eq!(last.trim_end().lines().count(), 1, "{last}");
    lusk.cli(&["service", "get-logs", "-n", "absent"]).fails(1);
    lusk.cli(&["service", "run", "-n", "absent", "-d", "x"])
        .fails(1);
}

#[test]
fn a_failed_request_is_a_failed_command() {
    let lusk = Lusk::start("run-fails");
    lusk.deploy("raise")
        .python("def init():\n    pass\n\ndef run(raw_data):\n    raise ValueError(raw_data)\n")
        .done();
    let run = lusk.cli(&["service", "run", "-n", "raise", "-d", "x"]);
    assert!(run.fails(1).contains("502"), "{}", run.stderr());
}

#[test]
fn data_goes_to_stdout_and_talk_to_stderr_in_every_format() {
    let lusk = Lusk::start("formats");
    lusk.deploy("one").wat(&constant("1")).done();
    for format in ["json", "jsonc", "yaml", "yamlc", "tsv", "table"] {
        let run = lusk.cli(&["service", "show", "-n", "one", "-o", format]);
        assert!(run.ok().contains("one"), "{format}");
        assert_eq!(run.stderr(), "", "{format}");
    }
    assert_eq!(lusk.cli(&["service", "list", "-o", "none"]).ok(), "");
    let empty = lusk
        .admin("GET", "/services?tags=none", &Value::Null)
        .expect(200)
        .json();
    assert_eq!(empty["value"], json!([]));
}
