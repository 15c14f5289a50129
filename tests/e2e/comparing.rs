//! Versions under trial by commands: their comparison, and the guard that rolls one back.

use serde_json::{Value, json};

use crate::{
    http::Request,
    lusk::{Lusk, Run, constant, running, until},
};

/// A command about the endpoint.
fn realtime(lusk: &Lusk, verb: &str, words: &[&str]) -> Run {
    let mut line = vec!["endpoint", "realtime", verb, "-n", "shop"];
    line.extend(words);
    lusk.cli(&line)
}

/// An endpoint whose default and control is `blue`, which answers well.
fn with_blue(name: &str) -> Lusk {
    let lusk = Lusk::start(name);
    let config = json!({"computeType": "aksendpoint", "versionName": "blue",
        "numReplicas": 1});
    lusk.file("dc.json", config.to_string());
    lusk.file("blue.wat", constant("\"blue\""));
    let words = ["model", "deploy", "-n", "shop", "--es", "blue.wat"];
    lusk.cli(&[&words[..], &["--dc", "dc.json"]].concat()).ok();
    realtime(&lusk, "update-version", &["--vn", "blue", "--cvt"]).ok();
    lusk
}

fn create(lusk: &Lusk, version: &str, script: String, words: &[&str]) {
    let file = format!("{version}.wat");
    lusk.file(&file, script);
    let line = ["--vn", version, "--es", &file, "--nr", "1"];
    realtime(lusk, "create-version", &[&line[..], words].concat()).ok();
}

/// Sends requests to one version, or as the traffic is split; says how many failed.
fn send(lusk: &Lusk, version: Option<&str>, requests: usize) -> usize {
    let key = lusk.key("shop");
    let failed = (0..requests).filter(|_| {
        let request = Request::new("POST", "/api/v1/endpoint/shop/score").bearer(&key);
        let request = match version {
            Some(version) => request.header("azureml-model-deployment", version),
            None => request,
        };
        request.body("{}").send(lusk.scoring).status >= 500
    });
    failed.count()
}

/// The row of one version and measure.
fn row<'a>(compared: &'a Value, version: &str, measure: &str) -> &'a Value {
    let rows = compared["differences"].as_array().expect("differences");
    let is_it = |row: &&Value| row["version"] == version && row["measure"] == measure;
    rows.iter().find(is_it).expect("a row")
}

#[test]
fn versions_are_compared_with_the_control() {
    let lusk = with_blue("comparing");
    create(&lusk, "green", constant("\"green\""), &["--tp", "20"]);
    create(&lusk, "red", running("unreachable"), &["--tp", "0"]);
    for (version, failures) in [("blue", 0), ("green", 0), ("red", 40)] {
        assert_eq!(send(&lusk, Some(version), 40), failures, "{version}");
    }

    let compared = realtime(&lusk, "compare", &["-o", "json"]).json();
    assert_eq!(compared["baseline"], "blue", "{compared:#}");
    let seen: Vec<_> = compared["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .collect();
    let seen: Vec<_> = seen
        .iter()
        .map(|one| json!([one["name"], one["role"], one["requests"], one["failures"]]))
        .collect();
    assert_eq!(
        json!(seen),
        json!([
            ["blue", "control", 40, 0],
            ["green", "treatment", 40, 0],
            ["red", "treatment", 40, 40],
        ])
    );
    assert_eq!(
        row(&compared, "green", "errorRate")["verdict"],
        "noDifferenceSeen"
    );
    let red = row(&compared, "red", "errorRate");
    assert_eq!(
        (&red["verdict"], &red["difference"]),
        (&json!("worse"), &json!(1.0))
    );
    assert_eq!(
        row(&compared, "green", "p99Ms")["verdict"],
        "tooFewRequests"
    );

    let table = realtime(&lusk, "compare", &[]).ok();
    for words in [
        "Error rate",
        "95 % interval",
        "no difference seen",
        "worse",
        "(40 of 368)",
    ] {
        assert!(table.contains(words), "{words}\n{table}");
    }
    // New shares, new comparison.
    realtime(&lusk, "update", &["--traffic", "blue=70 green=30"]).ok();
    let anew = realtime(&lusk, "compare", &["-o", "json"]).json();
    assert_eq!(anew["versions"][0]["requests"], 0, "{anew:#}");
}

#[test]
fn a_version_that_breaks_its_rule_is_rolled_back_and_the_log_says_why() {
    let lusk = with_blue("guarded");
    let words = ["--tp", "50", "--abort-if", "error_rate>1%"];
    create(&lusk, "red", running("unreachable"), &words);
    // Half of them, unless the guard is quicker.
    assert!(send(&lusk, None, 40) >= 10);
    let show = || realtime(&lusk, "show", &["-o", "json"]).json();
    until("the rollback", || !show()["rolledBack"].is_null());
    assert_eq!(send(&lusk, None, 20), 0, "all go to blue");
    let rolled = &show()["rolledBack"];
    assert_eq!(rolled["version"], "red", "{rolled:#}");
    let reason = rolled["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("rolled back by `error_rate>1%`: ")
            && reason.contains(" failed in the last "),
        "{reason}"
    );
    let id = rolled["operation"].as_str().expect("an operation");
    let path = format!("/operations/{id}/log");
    let log = lusk.admin("GET", &path, &Value::Null).expect(200).text();
    assert!(log.contains(reason), "{log}");
}
