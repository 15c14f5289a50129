//! `lusk capacity`: the sizing formula, with and without a node.

use serde_json::json;

use crate::lusk::{Lusk, command, constant, test_folder};

#[test]
fn the_guides_example_needs_no_node() {
    let folder = test_folder("capacity");
    let run = command(folder.path())
        .args(["capacity", "--rps", "20", "--latency-ms", "10000"])
        .output()
        .expect("a command");
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(
        text.starts_with("286 replicas for 20 requests per second"),
        "{text}"
    );
    // A line, an empty one, a header and five utilizations.
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(run.status.success());
}

#[test]
fn a_service_is_sized_by_what_it_served() {
    let lusk = Lusk::start("capacity-service");
    lusk.deploy("one")
        .wat(&constant("1"))
        .args(&["--rm", "2", "--cc", "0.2", "--gb", "0.5"])
        .done();
    let words = ["capacity", "--rps", "1000", "-n", "one", "-o", "json"];
    let refused = lusk.cli(&words).fails(1);
    assert!(refused.contains("has served no request"), "{refused}");
    assert!(refused.contains("--latency-ms"), "{refused}");
    for _ in 0..3 {
        lusk.score("one", "").expect(200);
    }
    let sized = lusk.cli(&words).json();
    assert_eq!(
        sized["service"],
        json!({"name": "one", "requestsSeen": 3, "requestsRefused": 0})
    );
    assert!(sized["millisecondsPerRequest"].as_f64().unwrap() > 0.0);
    assert_eq!(sized["maxConcurrentRequestsPerContainer"], 2);
    let answer = &sized["answer"];
    assert_eq!(answer["utilization"], 70);
    let replicas = answer["replicas"].as_f64().unwrap();
    let cores = answer["totalCpu"].as_f64().unwrap();
    assert!((cores - replicas * 0.2).abs() < 1e-6, "{answer}");
    assert_eq!(sized["table"].as_array().unwrap().len(), 5);

    let given = lusk.cli(&[&words[..], &["--latency-ms", "70"]].concat());
    assert_eq!(given.json()["answer"]["replicas"], 50);
    let nobody = lusk.cli(&["capacity", "--rps", "1", "-n", "nobody"]);
    assert!(nobody.fails(1).contains("nobody"));
}
