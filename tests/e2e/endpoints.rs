//! Controlled rollout by commands: the chapter of the guide, and what it left open.
//!
//! Each version answers with its own name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    http::Request,
    lusk::{Lusk, Run, constant},
};

const HEADER: &str = "azureml-model-deployment";

/// The first version, by a deployment config.
fn first(lusk: &Lusk, version: &str, share: f64) -> String {
    let config = json!({"computeType": "aksendpoint", "versionName": version,
        "trafficPercentile": share, "numReplicas": 1});
    lusk.file("deploymentconfig.json", config.to_string());
    let script = script(lusk, version);
    let dc = "deploymentconfig.json";
    lusk.cli(&["model", "deploy", "-n", "shop", "--es", &script, "--dc", dc])
        .ok()
}

/// A script that answers with the version's name.
fn script(lusk: &Lusk, version: &str) -> String {
    let file = format!("{version}/score.wat");
    lusk.file(&file, constant(&format!("\"{version}\"")));
    file
}

/// A command about the endpoint.
fn realtime(lusk: &Lusk, verb: &str, words: &[&str]) -> Run {
    let mut line = vec!["endpoint", "realtime", verb, "-n", "shop"];
    line.extend(words);
    lusk.cli(&line)
}

fn create(lusk: &Lusk, version: &str, words: &[&str]) -> String {
    let script = script(lusk, version);
    let mut line = vec!["--vn", version, "--es", &script, "--nr", "1"];
    line.extend(words);
    realtime(lusk, "create-version", &line).ok()
}

/// Who answered how many of `requests`; the header and the body name the same one.
fn answers(lusk: &Lusk, requests: usize) -> BTreeMap<String, usize> {
    let key = lusk.key("shop");
    let mut seen = BTreeMap::new();
    for _ in 0..requests {
        let request = Request::new("POST", "/api/v1/endpoint/shop/score").bearer(&key);
        let reply = request.body("{}").send(lusk.scoring).expect(200);
        let named = reply.header(HEADER).expect("a version").to_owned();
        assert_eq!(reply.text(), format!("\"{named}\""));
        *seen.entry(named).or_default() += 1;
    }
    seen
}

/// What each version really gets, in percent.
fn gets(lusk: &Lusk) -> Value {
    let shown = realtime(lusk, "show", &["-o", "json"]).json();
    let versions = shown["versions"].as_object().expect("versions").iter();
    versions
        .map(|(name, version)| (name.clone(), version["effectiveTrafficPercentile"].clone()))
        .collect()
}

#[test]
fn the_chapter_of_the_guide_works_as_written() {
    let lusk = Lusk::start("chapter");
    let said = first(&lusk, "version-a", 20.0);
    let url = format!("http://{}/api/v1/endpoint/shop/score", lusk.scoring);
    assert!(
        said.starts_with("Healthy after") && said.contains(&url),
        "{said}"
    );
    // The only version gets all, whatever its own share is.
    assert_eq!(gets(&lusk), json!({"version-a": 100.0}));
    assert_eq!(
        answers(&lusk, 20),
        BTreeMap::from([("version-a".to_owned(), 20)])
    );

    let table = create(&lusk, "version-b", &["--tp", "10"]);
    let row = |table: &str, version: &str| {
        let row = table.lines().find(|line| line.starts_with(version));
        let row = row.unwrap_or_else(|| panic!("{version} in {table}"));
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(
        row(&table, "version-a").contains("yes 20 % 90 %"),
        "{table}"
    );
    assert!(row(&table, "version-b").contains("10 % 10 %"), "{table}");
    let seen = answers(&lusk, 200);
    assert!((19..=21).contains(&seen["version-b"]), "{seen:?}");

    let update = ["--vn", "version-b", "--tp", "40", "--is-default", "true"];
    realtime(&lusk, "update-version", &update).ok();
    assert_eq!(gets(&lusk), json!({"version-a": 20.0, "version-b": 80.0}));
    let seen = answers(&lusk, 200);
    assert!((39..=41).contains(&seen["version-a"]), "{seen:?}");

    let left = realtime(&lusk, "delete-version", &["--vn", "version-a"]).ok();
    assert!(!left.contains("version-a"), "{left}");
    assert_eq!(
        answers(&lusk, 20),
        BTreeMap::from([("version-b".to_owned(), 20)])
    );
    realtime(&lusk, "delete", &[]).ok();
    realtime(&lusk, "show", &[]).fails(1);
}

#[test]
fn the_default_stays_while_others_do_and_the_last_takes_its_endpoint_along() {
    let lusk = Lusk::start("default-stays");
    first(&lusk, "blue", 0.0);
    create(&lusk, "green", &[]);
    let said = realtime(&lusk, "delete-version", &["--vn", "blue"]).fails(1);
    assert!(said.contains("blue") && said.contains("default"), "{said}");
    assert_eq!(gets(&lusk), json!({"blue": 100.0, "green": 0.0}));

    // Saying that it is not the default changes nothing, as in the original.
    realtime(
        &lusk,
        "update-version",
        &["--vn", "blue", "--is-default", "false"],
    )
    .ok();
    assert_eq!(gets(&lusk), json!({"blue": 100.0, "green": 0.0}));

    realtime(&lusk, "delete-version", &["--vn", "green"]).ok();
    let last = realtime(&lusk, "delete-version", &["--vn", "blue"]);
    last.ok();
    assert!(
        last.stderr().contains("endpoint `shop` is deleted too"),
        "{}",
        last.stderr()
    );
    let list = lusk
        .cli(&["endpoint", "realtime", "list", "-o", "json"])
        .json();
    assert_eq!(list, json!([]));
}

#[test]
fn a_trial_is_promoted_or_rolled_back() {
    let lusk = Lusk::start("trial");
    first(&lusk, "blue", 0.0);
    realtime(&lusk, "update-version", &["--vn", "blue", "--cvt"]).ok();
    create(&lusk, "green", &["--tp", "30"]);
    assert_eq!(gets(&lusk), json!({"blue": 70.0, "green": 30.0}));
    let table = realtime(&lusk, "rollback", &["--vn", "green"]).ok();
    assert!(table.contains("treatment"), "{table}");
    assert_eq!(gets(&lusk), json!({"blue": 100.0, "green": 0.0}));

    realtime(&lusk, "promote", &["--vn", "green"]).ok();
    assert_eq!(gets(&lusk), json!({"blue": 0.0, "green": 100.0}));
    let shown = realtime(&lusk, "show", &["-o", "json"]).json();
    assert_eq!(shown["versions"]["green"]["versionType"], "Control");
    assert_eq!(shown["versions"]["green"]["isDefault"], true);
}

#[test]
fn all_shares_change_in_one_step_and_too_much_is_refused_with_the_sum() {
    let lusk = Lusk::start("shares");
    first(&lusk, "blue", 50.0);
    create(&lusk, "green", &["--tp", "10"]);
    realtime(&lusk, "update", &["--traffic", "blue=25.5 green=74.5"]).ok();
    assert_eq!(gets(&lusk), json!({"blue": 25.5, "green": 74.5}));
    let over = ["--vn", "green", "--tp", "80"];
    let said = realtime(&lusk, "update-version", &over).fails(1);
    assert!(said.contains("105.5") && said.contains("100"), "{said}");
    assert_eq!(gets(&lusk), json!({"blue": 25.5, "green": 74.5}));
    let said = realtime(&lusk, "update", &["--traffic", "blue=10 pink=5"]).fails(1);
    assert!(said.contains("pink"), "{said}");
}

#[test]
fn callers_stay_copies_are_sent_and_both_end() {
    let lusk = Lusk::start("sticky");
    first(&lusk, "blue", 0.0);
    create(&lusk, "green", &["--tp", "50"]);
    create(&lusk, "dark", &[]);
    let words = [
        "--sticky",
        "header:X-User",
        "--mirror",
        "dark=12.5",
        "--mirror-keep-answers",
    ];
    realtime(&lusk, "update", &words).ok();
    let shown = realtime(&lusk, "show", &[]).ok();
    for text in ["header:x-user", "12.5 % to dark, answers kept"] {
        assert!(shown.contains(text), "{text} in {shown}");
    }
    let key = lusk.key("shop");
    let answered = || {
        let request = Request::new("POST", "/api/v1/endpoint/shop/score").bearer(&key);
        let request = request.header("x-user", "somebody").body("{}");
        request.send(lusk.scoring).expect(200).text()
    };
    let always = answered();
    assert!((0..20).all(|_| answered() == always));

    realtime(&lusk, "update", &["--sticky", "none", "--mirror", "none"]).ok();
    let shown = realtime(&lusk, "show", &["-o", "json"]).json();
    assert_eq!(
        (&shown["sticky"], &shown["mirrorTraffic"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn a_version_is_chosen_by_name_and_has_logs_of_its_own() {
    let lusk = Lusk::start("chosen");
    first(&lusk, "blue", 0.0);
    create(&lusk, "green", &[]);
    let run = realtime(&lusk, "run", &["-d", "{}"]);
    assert_eq!(run.ok(), "\"blue\"");
    assert!(
        run.stderr().contains("version `blue` answered"),
        "{}",
        run.stderr()
    );
    assert_eq!(
        realtime(&lusk, "run", &["-d", "{}", "--vn", "green"]).ok(),
        "\"green\""
    );
    let said = realtime(&lusk, "run", &["-d", "{}", "--vn", "pink"]).fails(1);
    assert!(said.contains("404"), "{said}");
    realtime(&lusk, "get-logs", &["--vn", "green"]).ok();
    realtime(&lusk, "get-logs", &["--vn", "pink"]).fails(1);
    realtime(&lusk, "get-access-token", &[]).fails(1);
}

#[test]
fn a_version_is_changed_and_its_endpoint_keeps_labels_and_keys() {
    let lusk = Lusk::start("changed");
    first(&lusk, "blue", 0.0);
    let key = lusk.key("shop");
    let script = script(&lusk, "second");
    let words = ["--vn", "blue", "--es", &script, "--add-tag", "a=b"];
    realtime(&lusk, "update-version", &words).ok();
    let version = |name: &str| lusk.service("shop")["versions"][name].clone();
    assert_eq!(version("blue")["kvTags"], json!({"a": "b"}));
    assert_eq!(realtime(&lusk, "run", &["-d", "{}"]).ok(), "\"second\"");

    create(&lusk, "green", &["--abort-if", "error_rate>1%"]);
    assert_eq!(version("green")["abortIf"], "error_rate>1%");
    let words = ["--vn", "green", "--abort-if", "p99>250ms"];
    realtime(&lusk, "update-version", &words).ok();
    assert_eq!(version("green")["abortIf"], "p99>250ms");
    realtime(&lusk, "update-version", &["--vn", "green", "--no-abort-if"]).ok();
    assert_eq!(version("green")["abortIf"], Value::Null);

    realtime(&lusk, "update", &["--add-tag", "team=red", "--ae", "false"]).ok();
    let shop = lusk.service("shop");
    assert_eq!(
        (&shop["kvTags"]["team"], &shop["authEnabled"]),
        (&json!("red"), &json!(false))
    );
    lusk.score_without_key("shop").expect(200);
    assert_eq!(lusk.key("shop"), key);
    realtime(&lusk, "regen-key", &["-k", "Primary", "-s", "mine"]).ok();
    let keys = realtime(&lusk, "get-keys", &["-o", "json"]).json();
    assert_eq!(keys["primaryKey"], "mine");
}

#[test]
fn the_service_commands_take_an_endpoint_for_one() {
    let lusk = Lusk::start("as-service");
    first(&lusk, "blue", 0.0);
    let table = lusk.cli(&["service", "list"]).ok();
    assert!(
        table.contains("AKSENDPOINT") && table.contains("1 of 1"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 2, "{table}");
    let shown = lusk.cli(&["service", "show", "-n", "shop"]).ok();
    assert!(shown.contains("blue") && shown.contains("100 %"), "{shown}");
    let reply = lusk.cli(&["service", "run", "-n", "shop", "-d", "{}"]).ok();
    assert_eq!(reply, "\"blue\"");
    let said = lusk
        .cli(&["service", "update", "-n", "shop", "--nr", "2"])
        .fails(2);
    assert!(
        said.contains("endpoint realtime update-version -n shop"),
        "{said}"
    );
    lusk.cli(&["service", "get-logs", "-n", "shop"]).ok();
    lusk.cli(&["service", "delete", "-n", "shop"]).ok();
    assert_eq!(
        lusk.cli(&["service", "list", "-o", "json"]).json(),
        json!([])
    );
}

#[test]
fn what_belongs_to_versions_is_refused_elsewhere() {
    let lusk = Lusk::start("elsewhere");
    let said = lusk
        .deploy("plain")
        .wat(&constant("1"))
        .args(&["--vn", "blue", "--tp", "10"])
        .fails();
    assert!(
        said.contains("--version-name: only endpoints have versions"),
        "{said}"
    );
    assert!(said.contains("--compute-type aksendpoint"), "{said}");
    lusk.deploy("plain").wat(&constant("1")).done();
    let line = ["endpoint", "realtime", "show", "-n", "plain"];
    let said = lusk.cli(&line).fails(1);
    assert!(said.contains("not an endpoint"), "{said}");
    let script = script(&lusk, "green");
    let said = realtime(&lusk, "create-version", &["--vn", "green", "--es", &script]).fails(1);
    assert!(
        said.contains("no endpoint `shop`") && said.contains("model deploy"),
        "{said}"
    );
}
