use std::{io::Write as _, os::unix::fs::PermissionsExt as _, time::Duration};

use bytes::Bytes;
use lusk_contract::MirroredAnswer;

use super::*;

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn answer(version: &str, body: impl Into<Bytes>) -> MirroredAnswer {
    MirroredAnswer {
        version: version.parse().unwrap(),
        status: Some(200),
        error: None,
        took: Duration::from_millis(2),
        body: body.into(),
    }
}

fn pair(request: &str, live: impl Into<Bytes>, copy: impl Into<Bytes>) -> MirroredPair {
    MirroredPair {
        at: Timestamp::now(),
        endpoint: name("digits"),
        request: request.to_owned(),
        live: answer("blue", live),
        copy: answer("green", copy),
    }
}

fn requests(pairs: &[Value]) -> Vec<&str> {
    let mut requests = Vec::new();
    for pair in pairs {
        requests.push(pair["requestId"].as_str().unwrap());
    }
    requests
}

#[tokio::test]
async fn pairs_come_back_in_order_and_tell_whether_they_agree() {
    let folder = tempfile::tempdir().unwrap();
    let log = MirrorFolder::start(&folder.path().join("mirror")).unwrap();
    assert_eq!(
        log.tail(&name("digits"), 5).await.unwrap(),
        Vec::<Value>::new()
    );
    log.keep(pair("one", "[1]", "[1]"));
    log.keep(pair("two", "[1]", "[2]"));
    let all = log.tail(&name("digits"), 5).await.unwrap();
    assert_eq!(requests(&all), ["one", "two"]);
    assert_eq!(all[0]["equal"], true);
    assert_eq!(all[1]["equal"], false);
    assert_eq!(all[1]["mirror"]["version"], "green");
    assert_eq!(all[1]["mirror"]["body"], "[2]");
    let last = log.tail(&name("digits"), 1).await.unwrap();
    assert_eq!(requests(&last), ["two"]);
    assert_eq!(
        log.tail(&name("letters"), 5).await.unwrap(),
        Vec::<Value>::new()
    );
    let mode = folder.path().join("mirror/digits/pairs.jsonl").metadata();
    assert_eq!(mode.unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_torn_line_is_skipped_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mirror");
    let log = MirrorFolder::start(&root).unwrap();
    log.keep(pair("one", "a", "a"));
    log.tail(&name("digits"), 1).await.unwrap();
    drop(log);
    let mut file = std::fs::File::options();
    let mut file = file
        .append(true)
        .open(root.join("digits/pairs.jsonl"))
        .unwrap();
    file.write_all(b"{\"time\":\"2026-01-0").unwrap();
    let log = MirrorFolder::start(&root).unwrap();
    let all = log.tail(&name("digits"), 5).await.unwrap();
    assert_eq!(requests(&all), ["one"]);
    log.keep(pair("two", "a", "a"));
    let all = log.tail(&name("digits"), 5).await.unwrap();
    assert_eq!(requests(&all), ["one", "two"]);
}

#[tokio::test]
async fn old_pairs_go_before_an_endpoint_holds_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mirror");
    let log = MirrorFolder::start(&root).unwrap();
    let body = Bytes::from("b".repeat(64 << 10));
    let size = |file: &str| {
        root.join("digits")
            .join(file)
            .metadata()
            .map_or(0, |m| m.len())
    };
    // 128 KiB and a little each.
    for number in 0..700 {
        log.keep(pair(&number.to_string(), body.clone(), body.clone()));
        if number % 100 == 0 {
            log.tail(&name("digits"), 1).await.unwrap();
        }
    }
    let all = log.tail(&name("digits"), 300).await.unwrap();
    assert!(size("pairs.1.jsonl") > 0, "nothing was rotated");
    assert!(size("pairs.jsonl") + size("pairs.1.jsonl") <= 64 << 20);
    // A tail goes over both files, newest first, up to 16 MiB.
    let found = requests(&all);
    assert!(found.len() > 100, "{}", found.len());
    let first = 700 - found.len();
    let wanted: Vec<String> = (first..700).map(|number| number.to_string()).collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn what_cannot_be_written_is_counted_and_nothing_else_happens() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mirror");
    // A file where the folder should be.
    std::fs::write(&root, "").unwrap();
    let log = MirrorFolder::start(&root).unwrap();
    for _ in 0..3 {
        log.keep(pair("lost", "a", "a"));
    }
    // An error, or nothing: but an answer, and after it the three were tried.
    drop(log.tail(&name("digits"), 1).await);
    assert_eq!(log.dropped(&name("digits")), 3);
    std::fs::remove_file(&root).unwrap();
    log.keep(pair("kept", "a", "a"));
    let all = log.tail(&name("digits"), 5).await.unwrap();
    assert_eq!(requests(&all), ["kept"]);
    assert_eq!(log.dropped(&name("digits")), 3);
}

#[test]
fn the_queue_is_bounded_by_pairs_and_by_bytes() {
    // No thread takes from it.
    let (tasks, _queue) = mpsc::channel();
    let counts = Arc::<Counts>::default();
    let log = MirrorFolder { tasks, counts };
    for _ in 0..QUEUE_PAIRS + 5 {
        log.keep(pair("x", "", ""));
    }
    assert_eq!(log.dropped(&name("digits")), 5);
    assert_eq!(log.counts.pairs.load(Ordering::Relaxed), QUEUE_PAIRS);

    let (tasks, _queue) = mpsc::channel();
    let counts = Arc::<Counts>::default();
    let log = MirrorFolder { tasks, counts };
    let large = Bytes::from(vec![0; QUEUE_BYTES / 4]);
    for _ in 0..7 {
        log.keep(pair("x", large.clone(), large.clone()));
    }
    assert_eq!(log.dropped(&name("digits")), 5);
    assert_eq!(log.counts.bytes.load(Ordering::Relaxed), QUEUE_BYTES);
}

#[tokio::test]
async fn a_removed_endpoint_is_forgotten_and_late_pairs_do_not_bring_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mirror");
    let log = MirrorFolder::start(&root).unwrap();
    let late = pair("late", "a", "a");
    log.keep(pair("old", "a", "a"));
    log.remove(&name("digits"));
    log.keep(late);
    assert_eq!(
        log.tail(&name("digits"), 5).await.unwrap(),
        Vec::<Value>::new()
    );
    assert!(!root.join("digits").exists());
    log.keep(MirroredPair {
        at: Timestamp::now() + jiff::SignedDuration::from_secs(1),
        ..pair("new", "a", "a")
    });
    let all = log.tail(&name("digits"), 5).await.unwrap();
    assert_eq!(requests(&all), ["new"]);
}

#[tokio::test]
async fn the_log_of_an_endpoint_takes_its_answers_with_it() {
    use lusk_contract::{LogStream, ServiceLogs as _};
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MirrorFolder::start(&folder.path().join("mirror")).unwrap());
    let logs = crate::LogFolder::new(folder.path()).beside(log.clone());
    let version = ServiceName::of_version(&name("digits"), &"blue".parse().unwrap());
    logs.open(&version).line(0, LogStream::Out, "hello");
    assert!(logs.open(&version).tail(1).contains("hello"));
    log.keep(pair("one", "a", "a"));
    logs.remove(&version);
    assert_eq!(log.tail(&name("digits"), 5).await.unwrap().len(), 1);
    logs.remove(&name("digits"));
    assert_eq!(log.tail(&name("digits"), 5).await.unwrap().len(), 0);
}
