//! Versions of an endpoint under traffic and under kills, through the admin API.
//!
//! Every version answers with its own name, so that what the header of a reply says can
//! be compared with who really answered.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    http::{Connection, Reply, Request},
    lusk::{Lusk, constant, tell},
    tar::{Entry, archive},
};

const VERSION: &str = "azureml-model-deployment";
const NAMES: [&str; 5] = ["blue", "green", "red", "white", "grey"];
const OPERATIONS: usize = 20;
const CALLERS: usize = 4;

/// Numbers from a seed that is printed, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn new(test: &str) -> Self {
        let given = std::env::var("LUSK_ROLLOUT_SEED").ok();
        let seed = given.and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            let now = std::time::UNIX_EPOCH.elapsed().expect("a clock");
            now.as_nanos() as u64 | 1
        });
        tell(&format!("rollout, {test}: LUSK_ROLLOUT_SEED={seed}"));
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What a version is made of: a script that answers with its name.
fn version(lusk: &Lusk, name: &str) -> Value {
    let script = constant(&format!("\"{name}\""));
    let packed = archive(&[Entry::File("score.wat", script.as_bytes())]);
    let digest = lusk.upload(&packed);
    json!({
        "computeType": "AKS",
        "numReplicas": 1,
        "maxQueueWaitMs": 10_000,
        "environmentImageRequest": {
            "driverProgram": "score.wat",
            "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{digest}"), "files": 1}],
        },
    })
}

fn open(lusk: &Lusk, first: &str) {
    let body = json!({
        "name": "shop",
        "computeType": "AKSENDPOINT",
        "versions": {first: version(lusk, first)},
    });
    let ended = lusk.finish(&lusk.admin("POST", "/services", &body).expect(202));
    assert_eq!(ended["state"], "Succeeded", "{ended}");
}

fn patch(lusk: &Lusk, operations: &Value) -> Reply {
    lusk.admin("PATCH", "/services/shop", operations)
}

fn endpoint(lusk: &Lusk) -> Value {
    lusk.service("shop")
}

/// The rules that hold in every state: one default, at most one control, shares that
/// add up to everything.
fn check(endpoint: &Value) {
    let Some(versions) = endpoint["versions"].as_object() else {
        panic!("{endpoint}")
    };
    let healthy = versions
        .values()
        .filter(|it| it["effectiveTrafficPercentile"].as_f64() > Some(0.0));
    let sum: f64 = healthy
        .filter_map(|it| it["effectiveTrafficPercentile"].as_f64())
        .sum();
    assert!((sum - 100.0).abs() < 0.001, "{endpoint}");
    let count = |key: &str, value: Value| versions.values().filter(|it| it[key] == value).count();
    assert_eq!(count("isDefault", json!(true)), 1, "{endpoint}");
    assert!(count("versionType", json!("Control")) <= 1, "{endpoint}");
}

/// Waits for the end of what was accepted and succeeds.
fn done(lusk: &Lusk, reply: &Reply) {
    let ended = lusk.finish(reply);
    assert_eq!(ended["state"], "Succeeded", "{ended}");
}

/// Waits for the end of what was accepted; a refusal is an answer too.
fn settle(lusk: &Lusk, reply: &Reply) {
    match reply.status {
        202 => drop(lusk.finish(reply)),
        204 | 400 | 404 | 409 => {}
        other => panic!("{other}: {}", reply.text()),
    }
}

/// One operation of those that users have, on a random version.
fn operate(lusk: &Lusk, dice: &mut Dice) {
    let name = NAMES[dice.below(NAMES.len() as u64) as usize];
    let share = dice.below(50) as f64 / 2.0;
    let reply = match dice.below(7) {
        0 | 1 => {
            let mut body = version(lusk, name);
            body["trafficPercentile"] = json!(share);
            body["isDefault"] = json!(dice.below(3) == 0);
            patch(
                lusk,
                &json!([{"op": "add", "path": format!("/versions/{name}"), "value": body}]),
            )
        }
        2 => {
            let image = version(lusk, name)["environmentImageRequest"].clone();
            let path = format!("/versions/{name}/environmentImageRequest");
            patch(
                lusk,
                &json!([{"op": "replace", "path": path, "value": image}]),
            )
        }
        3 => patch(
            lusk,
            &json!([
                {"op": "replace", "path": format!("/versions/{name}/trafficPercentile"), "value": share},
                {"op": "replace", "path": format!("/versions/{name}/type"), "value": "Control"},
            ]),
        ),
        4 => lusk.admin("POST", "/services/shop/promote", &json!({"version": name})),
        5 => lusk.admin("POST", "/services/shop/rollback", &json!({})),
        // The last version would take the endpoint along.
        _ if name == "blue" => return,
        _ => lusk.admin(
            "DELETE",
            &format!("/services/shop/versions/{name}"),
            &json!(null),
        ),
    };
    settle(lusk, &reply);
}

/// Scores on one connection until it is told to stop; panics at the first answer that
/// is no 200 or comes from another version than it says.
fn call(lusk: &Lusk, key: &str, stop: &AtomicBool) -> BTreeMap<String, usize> {
    let request = Request::new("POST", "/api/v1/endpoint/shop/score")
        .bearer(key)
        .body("{}")
        .bytes();
    let mut connection = Connection::open(lusk.scoring).expect("a connection");
    let mut seen = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        connection.write(&request).expect("a connection that stays");
        let reply = connection.reply("POST").expect("an answer").expect(200);
        let said = reply
            .header(VERSION)
            .expect("the version's name")
            .to_owned();
        assert_eq!(reply.text(), format!("\"{said}\""));
        *seen.entry(said).or_default() += 1;
    }
    seen
}

#[test]
fn twenty_operations_at_random_under_traffic_fail_no_request() {
    let lusk = Lusk::start("rollout-random");
    open(&lusk, "blue");
    let key = lusk.key("shop");
    let mut dice = Dice::new("random");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| scope.spawn(|| call(&lusk, &key, &stop)))
            .collect();
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !stop.load(Ordering::Relaxed) {
                check(&endpoint(&lusk));
                looks += 1;
            }
            looks
        });
        let half = |seed: u64| {
            let mut dice = Dice(seed);
            let lusk = &lusk;
            move || (0..OPERATIONS / 2).for_each(|_| operate(lusk, &mut dice))
        };
        let (one, other) = (
            half(dice.below(u64::MAX) | 1),
            half(dice.below(u64::MAX) | 1),
        );
        let both = [scope.spawn(one), scope.spawn(other)];
        for operator in both {
            operator.join().expect("operations are answered");
        }
        stop.store(true, Ordering::Relaxed);
        let mut all = 0;
        for caller in callers {
            let seen = caller
                .join()
                .expect("every answer is 200 and its version's own");
            all += seen.values().sum::<usize>();
        }
        let looks = watcher.join().expect("the rules hold at every look");
        tell(&format!("rollout: {all} requests, {looks} looks"));
        assert!(all > OPERATIONS && looks > 0);
    });
    check(&endpoint(&lusk));
}

#[test]
fn a_share_is_exact_and_changes_in_one_step() {
    let lusk = Lusk::start("rollout-exact");
    open(&lusk, "blue");
    let mut body = version(&lusk, "green");
    body["trafficPercentile"] = json!(20);
    let add = json!([{"op": "add", "path": "/versions/green", "value": body}]);
    done(&lusk, &patch(&lusk, &add));
    let key = lusk.key("shop");
    let request = Request::new("POST", "/api/v1/endpoint/shop/score")
        .bearer(&key)
        .body("{}");
    let count = |requests: usize| {
        let green = (0..requests).filter(|_| {
            let reply = request.send(lusk.scoring).expect(200);
            reply.header(VERSION) == Some("green")
        });
        green.count()
    };
    assert_eq!(count(1_000), 200);
    let halves = json!([{"op": "replace", "path": "/traffic", "value": {"blue": 50, "green": 50}}]);
    done(&lusk, &patch(&lusk, &halves));
    assert_eq!(count(100), 50);
    let own = Request::new("POST", "/api/v1/endpoint/shop/version/green/score").bearer(&key);
    assert_eq!(
        own.body("{}").send(lusk.scoring).expect(200).text(),
        "\"green\""
    );
    let named = Request::new("POST", "/api/v1/service/shop/score")
        .bearer(&key)
        .header(VERSION, "green");
    assert_eq!(
        named.body("{}").send(lusk.scoring).expect(200).text(),
        "\"green\""
    );
}

/// What was acknowledged before each kill holds after it, and a version that was on its
/// way has no traffic.
#[test]
fn kills_in_the_middle_of_operations_lose_no_acknowledged_share() {
    let mut lusk = Lusk::start("rollout-kills");
    open(&lusk, "blue");
    let mut dice = Dice::new("kills");
    let mut body = version(&lusk, "green");
    body["trafficPercentile"] = json!(10);
    let add = json!([{"op": "add", "path": "/versions/green", "value": body}]);
    done(&lusk, &patch(&lusk, &add));
    for round in 0..6 {
        let share = dice.below(40) as f64;
        let path = "/versions/green/trafficPercentile";
        let set = json!([{"op": "replace", "path": path, "value": share}]);
        done(&lusk, &patch(&lusk, &set));
        let promoted = dice.below(2) == 0;
        if promoted {
            let blue = json!({"version": "blue"});
            done(&lusk, &lusk.admin("POST", "/services/shop/promote", &blue));
        }
        // Not waited for: the kill comes while it is deployed.
        let name = format!("late-{round}");
        let mut late = version(&lusk, &name);
        late["trafficPercentile"] = json!(30);
        let add = json!([{"op": "add", "path": format!("/versions/{name}"), "value": late}]);
        patch(&lusk, &add).expect(202);
        lusk.kill();
        lusk.restart();
        let now = endpoint(&lusk);
        check(&now);
        let green = &now["versions"]["green"]["trafficPercentile"];
        assert_eq!(green.as_f64(), Some(share), "{now}");
        let is_default = &now["versions"]["blue"]["isDefault"];
        assert!(is_default == &json!(true), "{now}");
        if promoted {
            assert_eq!(now["versions"]["blue"]["versionType"], "Control", "{now}");
        }
        let key = lusk.key("shop");
        let request = Request::new("POST", "/api/v1/endpoint/shop/score")
            .bearer(&key)
            .body("{}");
        for _ in 0..20 {
            let reply = request.send(lusk.scoring).expect(200);
            let said = reply.header(VERSION).expect("a version").to_owned();
            assert_eq!(reply.text(), format!("\"{said}\""));
        }
        let path = format!("/services/shop/versions/{name}");
        lusk.finish(&lusk.admin("DELETE", &path, &json!(null)).expect(202));
    }
}
