//! `kill -9` at random moments.
//!
//! One cycle: the node is given work until it is killed, started again, and
//! compared with what it had acknowledged. What was under way at the moment of
//! the kill may have happened or not; nothing else may.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    http::{Reply, Request},
    lusk::{Lusk, constant, tell, until},
    tar::{Entry, archive},
};

/// How often the node is killed.
const CYCLES: u32 = 50;

/// Longest time from the first request of a cycle to the kill.
const LONGEST_CYCLE: Duration = Duration::from_millis(700);

/// Services that the work is about.
const SERVICES: [&str; 3] = ["alpha", "beta", "gamma"];

/// Numbers from a seed that is printed, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("LUSK_CRASH_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .expect("a clock");
                now.as_nanos() as u64 | 1
            });
        tell(&format!("crash: LUSK_CRASH_SEED={seed}"));
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What may be known of a service.
#[derive(Debug, Clone, Default, PartialEq)]
struct Service {
    /// Answers that it may give; more than one while a change is under way.
    answers: BTreeSet<String>,
    /// Its key, once it was told.
    key: Option<String>,
    /// Whether it may be missing.
    may_be_absent: bool,
    /// Whether it may be there without having become healthy.
    may_be_unready: bool,
}

/// What the node has acknowledged.
#[derive(Debug, Clone, Default)]
struct Ledger {
    models: BTreeSet<String>,
    /// Models whose registration or deletion was under way.
    doubtful: BTreeSet<String>,
    services: BTreeMap<String, Service>,
    /// Operations that were seen to end, by id.
    ended: BTreeMap<String, String>,
    acknowledged: u32,
}

/// The node as the worker sees it: it may be gone at any moment.
struct Worker {
    admin: std::net::SocketAddr,
    token: String,
    ledger: Ledger,
    dice: Dice,
    number: u64,
}

/// The node was killed in the middle.
struct Gone;

impl Worker {
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Reply, Gone> {
        let mut request =
            Request::new(method, &format!("/workspaces/local{path}")).bearer(&self.token);
        if !body.is_null() {
            request = request.json(body);
        }
        request.try_send(self.admin).map_err(|_| Gone)
    }

    fn upload(&self, content: &[u8]) -> Result<String, Gone> {
        let request = Request::new("POST", "/workspaces/local/blobs").bearer(&self.token);
        let reply = request
            .body(content)
            .try_send(self.admin)
            .map_err(|_| Gone)?;
        Ok(reply.expect(201).json()["digest"]
            .as_str()
            .expect("a digest")
            .to_owned())
    }

    /// Waits for the end of an operation; true when it succeeded.
    fn finish(&mut self, accepted: &Reply) -> Result<bool, Gone> {
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        let id = accepted.json()["id"].as_str().expect("an id").to_owned();
        let mut seen = 0;
        loop {
            let path = format!("/operations/{id}?wait=true&seen={seen}");
            let operation = self.ask("GET", &path, &Value::Null)?.expect(200).json();
            if !operation["endTime"].is_null() {
                let state = operation["state"].as_str().expect("a state").to_owned();
                self.ledger.ended.insert(id, state.clone());
                return Ok(state == "Succeeded");
            }
            seen = operation["events"].as_array().expect("events").len();
        }
    }

    /// Works until the node is gone.
    fn work(mut self) -> (Ledger, Dice, u64) {
        while self.step().is_ok() {
            self.ledger.acknowledged += 1;
        }
        (self.ledger, self.dice, self.number)
    }

    fn step(&mut self) -> Result<(), Gone> {
        let name = SERVICES[self.dice.below(3) as usize];
        match self.dice.below(10) {
            0..=2 => self.register(),
            3 => self.delete_model(),
            4..=6 => self.deploy(name),
            7 | 8 => self.label(name),
            _ => self.delete(name),
        }
    }

    fn register(&mut self) -> Result<(), Gone> {
        self.number += 1;
        let content = format!("weights {}", self.number);
        let digest = self.upload(content.as_bytes())?;
        let name = format!("m{}", self.number);
        let draft = json!({"name": name, "files": [{"path": "m.bin", "digest": digest, "size": content.len()}]});
        let id = format!("{name}:1");
        self.ledger.doubtful.insert(id.clone());
        self.ask("POST", "/models", &draft)?.expect(201);
        self.ledger.doubtful.remove(&id);
        self.ledger.models.insert(id);
        Ok(())
    }

    fn delete_model(&mut self) -> Result<(), Gone> {
        let Some(id) = self.ledger.models.pop_first() else {
            return Ok(());
        };
        self.ledger.doubtful.insert(id.clone());
        match self
            .ask("DELETE", &format!("/models/{id}"), &Value::Null)?
            .status
        {
            200 => {}
            412 => {
                self.ledger.models.insert(id.clone());
            }
            other => panic!("deleting {id} gave {other}"),
        }
        self.ledger.doubtful.remove(&id);
        Ok(())
    }

    fn deploy(&mut self, name: &str) -> Result<(), Gone> {
        self.number += 1;
        let answer = self.number.to_string();
        let script = constant(&answer);
        let snapshot = self.upload(&archive(&[Entry::File("score.wat", script.as_bytes())]))?;
        let models: Vec<_> = self.ledger.models.iter().take(2).collect();
        let body = json!({"name": name, "computeType": "AKS", "numReplicas": 1, "overwrite": true,
            "environmentImageRequest": {"driverProgram": "score.wat", "modelIds": models,
                "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{snapshot}")}]}});
        let is_new = !self.ledger.services.contains_key(name);
        let service = self.ledger.services.entry(name.to_owned()).or_default();
        service.answers.insert(answer.clone());
        service.may_be_absent |= is_new;
        service.may_be_unready |= is_new;
        let accepted = self.ask("POST", "/services", &body)?;
        if let Some(service) = self.ledger.services.get_mut(name) {
            service.may_be_absent = false;
        }
        let succeeded = self.finish(&accepted)?;
        assert!(succeeded, "{}", accepted.text());
        let keys = self.ask("POST", &format!("/services/{name}/listkeys"), &Value::Null);
        let service = self.ledger.services.get_mut(name).expect("a service");
        service.answers = BTreeSet::from([answer]);
        service.may_be_unready = false;
        let key = keys?.expect(200).json()["primaryKey"]
            .as_str()
            .expect("a key")
            .to_owned();
        match &service.key {
            Some(known) => assert_eq!(*known, key, "the key of {name}"),
            None => service.key = Some(key),
        }
        Ok(())
    }

    fn label(&mut self, name: &str) -> Result<(), Gone> {
        if !self.ledger.services.contains_key(name) {
            return Ok(());
        }
        let patch =
            json!([{"op": "replace", "path": "/description", "value": self.number.to_string()}]);
        let accepted = self.ask("PATCH", &format!("/services/{name}"), &patch)?;
        let succeeded = self.finish(&accepted)?;
        assert!(succeeded, "{}", accepted.text());
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), Gone> {
        let Some(service) = self.ledger.services.get_mut(name) else {
            return Ok(());
        };
        service.may_be_absent = true;
        service.may_be_unready = true;
        let accepted = self.ask("DELETE", &format!("/services/{name}"), &Value::Null)?;
        self.finish(&accepted)?;
        self.ledger.services.remove(name);
        Ok(())
    }
}

/// Ids on all pages of the list.
fn all_models(lusk: &Lusk) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut target = "/workspaces/local/models".to_owned();
    loop {
        let request = Request::new("GET", &target).bearer(&lusk.token());
        let page = request.send(lusk.admin).expect(200).json();
        let value = page["value"].as_array().expect("a list").iter();
        ids.extend(value.map(|model| model["id"].as_str().expect("an id").to_owned()));
        match page["nextLink"].as_str() {
            Some(link) => target = link[link.find("/workspaces").expect("a path")..].to_owned(),
            None => return ids,
        }
    }
}

/// Compares the node with the ledger, and makes the ledger certain again.
fn check(lusk: &Lusk, ledger: &mut Ledger) {
    let listed = all_models(lusk);
    for id in &ledger.models {
        assert!(
            listed.contains(id),
            "model {id} was acknowledged and is lost"
        );
    }
    for id in &listed {
        assert!(
            ledger.models.contains(id) || ledger.doubtful.contains(id),
            "model {id} was never asked for or was deleted"
        );
    }
    ledger.models = listed;
    ledger.doubtful.clear();
    for (id, state) in &ledger.ended {
        let operation = lusk.admin("GET", &format!("/operations/{id}"), &Value::Null);
        // Only the newest operations of a service are kept.
        if operation.status == 200 {
            assert_eq!(operation.json()["state"], *state, "operation {id}");
        }
    }
    ledger.ended.clear();
    let names: Vec<_> = ledger.services.keys().cloned().collect();
    for name in names {
        check_service(lusk, ledger, &name);
    }
    let shown = lusk
        .admin("GET", "/services", &Value::Null)
        .expect(200)
        .json();
    for service in shown["value"].as_array().expect("a list") {
        let name = service["name"].as_str().expect("a name");
        assert!(
            ledger.services.contains_key(name),
            "service {name} was deleted"
        );
    }
}

fn check_service(lusk: &Lusk, ledger: &mut Ledger, name: &str) {
    let service = ledger.services.get_mut(name).expect("a service");
    let reply = lusk.admin("GET", &format!("/services/{name}"), &Value::Null);
    if reply.status == 404 {
        assert!(
            service.may_be_absent,
            "service {name} was acknowledged and is lost"
        );
        ledger.services.remove(name);
        return;
    }
    let shown = reply.expect(200).json();
    let key = lusk.key(name);
    if let Some(known) = &service.key {
        assert_eq!(*known, key, "the key of {name}");
    }
    let reply = lusk.score(name, "x");
    if reply.status != 200 && service.may_be_unready {
        // A first deployment that was cut short: it says so, and goes.
        assert_ne!(shown["state"], "Healthy", "{shown:#}");
        let gone = lusk.finish(&lusk.admin("DELETE", &format!("/services/{name}"), &Value::Null));
        assert_eq!(gone["state"], "Succeeded", "{gone:#}");
        ledger.services.remove(name);
        return;
    }
    let answer = reply.expect(200).text();
    assert!(
        service.answers.contains(&answer),
        "{name} answers {answer}, expected {:?}",
        service.answers
    );
    assert_eq!(shown["state"], "Healthy", "{shown:#}");
    *service = Service {
        answers: BTreeSet::from([answer]),
        key: Some(key),
        may_be_absent: false,
        may_be_unready: false,
    };
}

/// No unfinished file is left anywhere: `tmp/` holds the folders that services
/// and their instances run in, and every blob is called after its content.
fn check_folder(lusk: &Lusk, ledger: &Ledger) {
    for entry in fs::read_dir(lusk.data().join("tmp")).expect("tmp") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        let is_in_use = name.starts_with("instance-")
            || ledger
                .services
                .keys()
                .any(|service| name.starts_with(service.as_str()));
        assert!(entry.path().is_dir() && is_in_use, "tmp/{name} is left");
    }
    check_blobs(&lusk.data().join("blobs"));
}

fn check_blobs(folder: &Path) {
    for entry in fs::read_dir(folder).expect("blobs") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            check_blobs(&path);
            continue;
        }
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let is_digest = name.len() >= 60 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_digest, "blob {} is unfinished", path.display());
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let mut lusk = Lusk::start("crash");
    let mut dice = Dice::new();
    let mut ledger = Ledger::default();
    let mut number = 0;
    let mut acknowledged = 0;
    for cycle in 1..=CYCLES {
        let moment = Duration::from_micros(dice.below(LONGEST_CYCLE.as_micros() as u64));
        let worker = Worker {
            admin: lusk.admin,
            token: lusk.token(),
            ledger,
            dice,
            number,
        };
        let (told, end) = mpsc::channel();
        let thread = thread::spawn(move || {
            let _ = told.send(worker.work());
        });
        // Nothing arrives before the kill unless the worker panics.
        let early = end.recv_timeout(moment);
        assert!(
            early.is_err(),
            "the node went away by itself in cycle {cycle}"
        );
        lusk.kill();
        thread.join().expect("the worker");
        (ledger, dice, number) = end.recv().expect("what the worker knows");
        lusk.restart();
        check(&lusk, &mut ledger);
        check_folder(&lusk, &ledger);
        acknowledged += std::mem::take(&mut ledger.acknowledged);
    }
    lusk.stop();
    let left = fs::read_dir(lusk.data().join("tmp")).expect("tmp").count();
    assert_eq!(left, 0, "a stopped node needs nothing in tmp/");
    tell(&format!(
        "crash: {CYCLES} cycles, {acknowledged} acknowledged steps, nothing lost"
    ));
    assert!(
        acknowledged > CYCLES,
        "the node was hardly working when it was killed"
    );
}

#[test]
fn an_operation_that_was_cut_short_is_told_as_failed() {
    let mut lusk = Lusk::start("cut-short");
    let endless =
        "def init():\n    while True:\n        pass\n\ndef run(raw_data):\n    return 1\n";
    lusk.deploy("cut")
        .python(endless)
        .args(&["--no-wait"])
        .run()
        .ok();
    let operations = |lusk: &Lusk| lusk.service("cut")["state"].clone();
    until("the deployment is under way", || {
        operations(&lusk) == "Transitioning"
    });
    lusk.kill();
    lusk.restart();
    assert_eq!(operations(&lusk), "Failed");
    lusk.deploy("cut")
        .wat(&constant("1"))
        .args(&["--overwrite"])
        .done();
    assert_eq!(lusk.score("cut", "").expect(200).text(), "1");
}
