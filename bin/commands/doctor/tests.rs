use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::{Cli, Command};

/// The findings for a machine whose data folder is `data`.
async fn examined(data: &std::path::Path, more: &[&str]) -> Vec<Value> {
    let mut line = vec!["lusk", "doctor", "--data", data.to_str().unwrap()];
    line.extend(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    line.extend(more);
    let cli = Cli::try_parse_from(line).unwrap();
    let Command::Doctor(args) = cli.command else {
        panic!("another command");
    };
    let checks = checks(&args, &cli.global, data.to_owned());
    join_all(checks.into_iter().map(|check| check.made(LIMIT))).await
}

#[tokio::test]
async fn programs_know_the_names_of_all_checks() {
    let place = tempfile::tempdir().unwrap();
    let findings = examined(&place.path().join("data"), &[]).await;
    let names: Vec<_> = findings.iter().map(|it| plain(&it["check"])).collect();
    insta::assert_snapshot!(names.join(" "), @"folder disk fileSystem lock node ports openFiles clock registry globalRegistry outputs pythonTools backends sandbox machine");
    for finding in &findings {
        let mut keys: Vec<_> = finding.as_object().unwrap().keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["check", "milliseconds", "remedy", "state", "text"]);
        assert_eq!(finding["remedy"].is_null(), finding["state"] == "ok");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_check_that_hangs_is_given_up() {
    let check = Check::new("slow", futures::future::pending());
    let finding = check.made(Duration::ZERO).await;
    assert_eq!(
        (&finding["state"], &finding["text"]),
        (&json!("failed"), &json!("no answer within 0 s"))
    );
}

#[test]
fn people_read_one_line_each() {
    let took = Duration::from_millis(3);
    let findings = json!([
        Finding::ok("/data, mode 0700").json("folder", took),
        Finding::warning("64 MiB free", "free some").json("disk", took),
        Finding::failed("not reachable:\n  refused", "check the network").json("registry", took),
    ]);
    let table = render::data_text(Format::Table, &findings, &COLUMNS).unwrap();
    insta::assert_snapshot!(table, @r"
    State    Check     Found                   Remedy
    ok       folder    /data, mode 0700
    warning  disk      64 MiB free             free some
    failed   registry  not reachable: refused  check the network
    ");
    assert_eq!(conclusion(15, 1, 1), "1 failed, 1 warning in 15 checks");
    assert_eq!(
        conclusion(15, 0, 2),
        "nothing failed, 2 warnings in 15 checks"
    );
    assert_eq!(conclusion(15, 0, 0), "all 15 checks are ok");
}
