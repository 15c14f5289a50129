//! Services that come and go.

use serde_json::{Value, json};

use super::{
    books::Rest,
    process::{self, MIB},
};
use crate::{
    lusk::{Lusk, constant, tell},
    tar::{Entry, archive},
};

/// Services that come before memory is compared with what it was then.
const WARM_UP: u32 = 20;

/// Services after that, or `LUSK_TEST_CYCLES`; `tests/load/faults` makes a thousand.
const CYCLES: u32 = 150;

/// What so many services may leave behind. One that kept its compiled code would
/// leave more than that a hundred times over.
const SLACK: u64 = 12 * MIB;

/// A service comes, answers and goes.
fn cycle(lusk: &Lusk, script: &[u8], number: u32) {
    let snapshot = lusk.upload(script);
    let body = json!({"name": "guest", "computeType": "AKS", "numReplicas": 1, "authEnabled": false,
        "description": number.to_string(),
        "environmentImageRequest": {"driverProgram": "score.wat", "modelIds": [],
            "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{snapshot}")}]}});
    let came = lusk.finish(&lusk.admin("POST", "/services", &body));
    assert_eq!(came["state"], "Succeeded", "{came:#}");
    assert_eq!(lusk.score("guest", "x").expect(200).text(), "7");
    let went = lusk.finish(&lusk.admin("DELETE", "/services/guest", &Value::Null));
    assert_eq!(went["state"], "Succeeded", "{went:#}");
}

#[test]
fn services_that_come_and_go_leave_nothing() {
    let lusk = Lusk::start("cycles");
    let script = constant("7");
    let script = archive(&[Entry::File("score.wat", script.as_bytes())]);
    for number in 0..WARM_UP {
        cycle(&lusk, &script, number);
    }
    let rest = Rest::of(&lusk);
    let asked = std::env::var("LUSK_TEST_CYCLES").ok();
    let cycles = asked.and_then(|text| text.parse().ok()).unwrap_or(CYCLES);
    for number in 0..cycles {
        cycle(&lusk, &script, number);
    }
    let grown = process::rss(&lusk).saturating_sub(rest.rss);
    tell(&format!(
        "cycles: {grown} bytes more after {cycles} services"
    ));
    rest.returns(&lusk, SLACK);
    let left = std::fs::read_dir(lusk.data().join("tmp"))
        .expect("tmp")
        .count();
    assert_eq!(left, 0, "a service that is gone needs nothing in tmp/");
}
