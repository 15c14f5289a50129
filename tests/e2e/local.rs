//! Services on a port of their own, for debugging.

use std::net::SocketAddr;

use serde_json::Value;

use crate::{
    http::{Reply, Request},
    lusk::{Lusk, constant},
};

fn answer(word: &str) -> String {
    format!("def init():\n    pass\n\ndef run(raw_data):\n    return '{word}'\n")
}

fn score(service: &Value) -> Reply {
    let address: SocketAddr = service["localAddress"].as_str().unwrap().parse().unwrap();
    Request::new("POST", "/score").body("x").send(address)
}

#[test]
fn a_local_service_has_its_own_door_without_a_key() {
    let lusk = Lusk::start("local");
    let service = lusk
        .deploy("debug")
        .python(&answer("one"))
        .args(&["--cp", "local"])
        .done();
    assert_eq!(service["computeType"], "LOCAL");
    let service = lusk.service("debug");
    assert_eq!(score(&service).expect(200).text(), "\"one\"");
    assert!(service["scoringUri"].as_str().unwrap().ends_with("/score"));
    let uri = service["scoringUri"].as_str().unwrap().to_owned();
    assert!(
        uri.contains(service["localAddress"].as_str().unwrap()),
        "{uri}"
    );
    // Callers of the scoring door do not find it.
    Request::new("POST", "/api/v1/service/debug/score")
        .body("x")
        .send(lusk.scoring)
        .expect(404);
}

#[test]
fn reload_takes_the_new_script_and_keeps_the_port() {
    let lusk = Lusk::start("reload");
    lusk.deploy("debug")
        .python(&answer("one"))
        .args(&["--cp", "local"])
        .done();
    let before = lusk.service("debug");
    lusk.file("debug/score.py", answer("two"));
    lusk.cli(&["service", "reload", "-n", "debug", "--es", "debug/score.py"])
        .ok();
    let after = lusk.service("debug");
    assert_eq!(after["localAddress"], before["localAddress"]);
    assert_eq!(score(&after).expect(200).text(), "\"two\"");

    lusk.file(
        "debug/score.py",
        "def init():\n    raise ValueError('no luck')\n\ndef run(raw_data):\n    return 3\n",
    );
    let refused = lusk
        .cli(&["service", "reload", "-n", "debug", "--es", "debug/score.py"])
        .fails(1);
    assert!(refused.contains("no luck"), "{refused}");
    assert_eq!(score(&lusk.service("debug")).expect(200).text(), "\"two\"");
}

/// A script given again comes with what it came with: its folder and environment.
#[test]
fn a_reload_keeps_folder_and_environment() {
    const SCRIPT: &str = "import os, helper\n\ndef init():\n    pass\n\ndef run(raw_data):\n    return helper.WORD + os.environ['GREETING']\n";
    let lusk = Lusk::start("reload-keeps");
    lusk.file(
        "env/azureml_environment.json",
        r#"{"name": "greeter", "environmentVariables": {"GREETING": " hello"}}"#,
    );
    lusk.file("src/score.py", SCRIPT);
    lusk.file("src/helper.py", "WORD = 'one'\n");
    let deploy = "model deploy -n debug --es score.py --sd src --ed env --cp local";
    lusk.cli(&deploy.split(' ').collect::<Vec<_>>()).ok();
    let answer = || score(&lusk.service("debug")).expect(200).json();
    assert_eq!(answer(), "one hello");

    lusk.file("src/helper.py", "WORD = 'two'\n");
    for script in ["score.py", "src/score.py"] {
        let words = ["service", "reload", "-n", "debug", "--es", script];
        lusk.cli(&words).ok();
        assert_eq!(answer(), "two hello");
    }

    lusk.file("elsewhere/score.py", SCRIPT);
    let words = [
        "service",
        "reload",
        "-n",
        "debug",
        "--es",
        "elsewhere/score.py",
    ];
    let refused = lusk.cli(&words).fails(1);
    assert!(refused.contains("give --source-directory"), "{refused}");
}

#[test]
fn only_local_services_reload() {
    let lusk = Lusk::start("no-reload");
    lusk.deploy("remote").wat(&constant("1")).done();
    let refused = lusk
        .cli(&[
            "service",
            "reload",
            "-n",
            "remote",
            "--es",
            "remote/score.wat",
        ])
        .fails(1);
    assert!(refused.contains("not a local one"), "{refused}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let lusk = Lusk::start("port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = lusk
        .deploy("debug")
        .wat(&constant("1"))
        .args(&["--cp", "local", "--port", &port])
        .fails();
    assert!(refused.contains(&port), "{refused}");
    drop(taken);
    let again = ["--cp", "local", "--port", &port, "--overwrite"];
    lusk.deploy("debug").wat(&constant("1")).args(&again).done();
    let service = lusk.service("debug");
    assert_eq!(service["port"].to_string(), port);
    assert_eq!(score(&service).expect(200).text(), "1");
}

#[test]
fn a_deleted_local_service_closes_its_door() {
    let lusk = Lusk::start("local-gone");
    lusk.deploy("debug")
        .wat(&constant("1"))
        .args(&["--cp", "local"])
        .done();
    let service = lusk.service("debug");
    lusk.cli(&["service", "delete", "-n", "debug"]).ok();
    let address: SocketAddr = service["localAddress"].as_str().unwrap().parse().unwrap();
    assert!(
        Request::new("POST", "/score")
            .body("x")
            .try_send(address)
            .is_err()
    );
}
