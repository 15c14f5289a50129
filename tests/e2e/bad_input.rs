//! Callers that misbehave.

use std::{
    io::{ErrorKind, Write as _},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    http::{Connection, Request},
    lusk::{Lusk, constant, plain_script, until},
};

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let lusk = Lusk::start("too-large");
    lusk.deploy("big").wat(&constant("1")).done();
    let mut caller = Connection::open(lusk.scoring).unwrap();
    let head = format!(
        "POST /api/v1/service/big/score HTTP/1.1\r\nHost: lusk\r\nAuthorization: Bearer {}\r\nContent-Length: 100000001\r\n\r\n",
        lusk.key("big")
    );
    caller.write(head.as_bytes()).unwrap();
    let reply = caller.reply("POST").unwrap().expect(413);
    assert!(
        reply.message().contains("100000000") || reply.message().contains("100 MB"),
        "{}",
        reply.text()
    );
}

#[test]
fn a_body_of_100_mb_and_one_byte_sent_in_chunks_is_refused_too() {
    let lusk = Lusk::start("chunked");
    lusk.deploy("big").wat(&constant("1")).done();
    let mut caller = Connection::open(lusk.scoring).unwrap();
    let head = format!(
        "POST /api/v1/service/big/score HTTP/1.1\r\nHost: lusk\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        lusk.key("big")
    );
    caller.write(head.as_bytes()).unwrap();
    let mut stream = caller.stream();
    let writer = thread::spawn(move || {
        let chunk = vec![b'x'; 1_000_000];
        for _ in 0..101 {
            // The node may close before everything was sent.
            if stream
                .write_all(b"f4240\r\n")
                .and_then(|()| stream.write_all(&chunk))
                .and_then(|()| stream.write_all(b"\r\n"))
                .is_err()
            {
                return;
            }
        }
        let _ = stream.write_all(b"0\r\n\r\n");
    });
    caller.reply("POST").unwrap().expect(413).message();
    writer.join().unwrap();
    lusk.score("big", "x").expect(200);
}

#[test]
fn headers_of_64_kib_are_refused() {
    let lusk = Lusk::start("headers");
    lusk.deploy("small").wat(&constant("1")).done();
    let long = "h".repeat(64 * 1024);
    for door in [lusk.scoring, lusk.admin] {
        let request = Request::new("GET", "/").header("x-long", &long);
        let mut caller = Connection::open(door).unwrap();
        caller.write(request.head().as_bytes()).unwrap();
        assert_eq!(caller.reply("GET").unwrap().status, 431);
    }
    lusk.score("small", "x").expect(200);
}

#[test]
fn what_is_not_http_is_refused() {
    let lusk = Lusk::start("garbage");
    lusk.deploy("small").wat(&constant("1")).done();
    for door in [lusk.scoring, lusk.admin] {
        for garbage in [
            &b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..],
            b"GET\r\n\r\n",
            b"\0\0\0\0\r\n\r\n",
        ] {
            let mut caller = Connection::open(door).unwrap();
            caller.write(garbage).unwrap();
            if let Ok(reply) = caller.reply("GET") {
                assert_eq!(reply.status, 400);
            }
        }
    }
    lusk.score("small", "x").expect(200);
}

#[test]
fn a_caller_who_sends_one_byte_a_second_is_cut_off() {
    let lusk = Lusk::start("slowloris");
    lusk.deploy("small").wat(&constant("1")).done();
    let callers: Vec<_> = [lusk.scoring, lusk.admin]
        .map(|door| {
            thread::spawn(move || {
                let mut caller = Connection::open(door).unwrap();
                let mut stream = caller.stream();
                stream
                    .set_read_timeout(Some(Duration::from_secs(1)))
                    .unwrap();
                let deadline = Instant::now() + Duration::from_secs(90);
                for byte in b"GET / HTTP/1.1\r\nHost: lusk\r\nx: "
                    .iter()
                    .chain([b'y'; 200].iter())
                {
                    assert!(Instant::now() < deadline, "still open");
                    // Each read waits for a second, unless the door has closed.
                    if stream.write_all(&[*byte]).is_err() || closed(&mut caller) {
                        return;
                    }
                }
                panic!("still open after all bytes");
            })
        })
        .into_iter()
        .collect();
    lusk.score("small", "x").expect(200);
    for caller in callers {
        caller.join().unwrap();
    }
    lusk.score("small", "x").expect(200);
}

/// Waits for a second; true when the other side has closed or answered.
fn closed(caller: &mut Connection) -> bool {
    match caller.stream().peek(&mut [0; 512]) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn a_caller_who_goes_in_the_middle_leaves_nothing_behind() {
    let lusk = Lusk::start("gone");
    lusk.deploy("echo").python(&plain_script()).done();
    let head = lusk.score_request("echo", vec![b'x'; 1000]).head();
    for sent in ["", "half a body"] {
        let mut caller = Connection::open(lusk.scoring).unwrap();
        caller.write(head.as_bytes()).unwrap();
        caller.write(sent.as_bytes()).unwrap();
        caller.stream().shutdown(Shutdown::Both).unwrap();
        drop(caller);
        lusk.score("echo", "x").expect(200);
    }
    until("no slot is busy", || {
        lusk.metric("lusk_slots_busy", "echo") == 0.0
    });
    let logs = lusk.cli(&["service", "get-logs", "-n", "echo"]).ok();
    assert_eq!(
        logs.matches("run ran").count(),
        2,
        "half requests never ran: {logs}"
    );
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing_behind() {
    let lusk = Lusk::start("half-upload");
    let request = lusk
        .admin_request("POST", "/blobs")
        .body(vec![b'x'; 1_000_000]);
    let mut caller = Connection::open(lusk.admin).unwrap();
    caller.write(request.head().as_bytes()).unwrap();
    caller.write(&[b'x'; 500_000]).unwrap();
    let tmp = lusk.data().join("tmp");
    let files = || std::fs::read_dir(&tmp).unwrap().count();
    until("the upload is written", || files() > 0);
    drop(caller);
    until("what was written is gone", || files() == 0);
}

#[test]
fn bodies_that_are_no_json_get_the_error_object() {
    let lusk = Lusk::start("no-json");
    for (method, path) in [
        ("POST", "/services"),
        ("POST", "/models"),
        ("PATCH", "/models/m:1"),
    ] {
        for body in [
            &b"{"[..],
            b"",
            b"\xff\xfe",
            b"[1, 2",
            b"nul",
            b"{\"name\": 1, \"addTags\": 1}",
        ] {
            let reply = lusk
                .admin_request(method, path)
                .body(body)
                .send(lusk.admin)
                .expect(400);
            let error = reply.json();
            assert_eq!(error["code"], "BadRequest");
            assert_eq!(error["statusCode"], 400);
            assert!(error["correlation"]["RequestId"].is_string());
        }
    }
    let deep = "[".repeat(100_000);
    lusk.admin_request("POST", "/services")
        .body(deep)
        .send(lusk.admin)
        .expect(400);
    let long = vec![b' '; 4 * 1024 * 1024 + 1];
    lusk.admin_request("POST", "/services")
        .body(long)
        .send(lusk.admin)
        .expect(413);
    assert_eq!(
        lusk.admin("GET", "/services", &Value::Null)
            .expect(200)
            .json()["nextLink"],
        Value::Null
    );
}

#[test]
fn names_of_models_never_become_paths() {
    let lusk = Lusk::start("paths");
    let digest = lusk.upload(b"content");
    for path in [
        "../m.bin",
        "/etc/m.bin",
        "a/../../m.bin",
        "",
        "a//b",
        "a\\b",
        "a\u{0}b",
    ] {
        let draft = serde_json::json!({"name": "m", "files": [{"path": path, "digest": digest, "size": 7}]});
        lusk.admin("POST", "/models", &draft).expect(400);
    }
    lusk.admin("GET", "/blobs/..%2F..%2Fadmin.token", &Value::Null)
        .expect(400);
}
