//! Replicas that somebody else runs: a service in front of servers from elsewhere.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::{
    http::Reply,
    lusk::{Lusk, Setup, skip, test_folder, until},
};

/// Speaks as the original's scoring server does, with what Python brings along.
const SERVER: &str = r#"
import http.server, json, sys

class Scoring(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def answer(self, status, value, **headers):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-From", sys.argv[1])
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/":
            self.answer(200, "Healthy")
        elif self.path == "/swagger.json":
            shape = {"type": "object", "properties": {"data": {"type": "array"}}}
            self.answer(200, {"swagger": "2.0", "definitions": {"ServiceInput": shape}})
        else:
            self.answer(200, {"path": self.path})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        if body == "raise":
            self.answer(500, {"message": "it raised"}, x_ms_run_function_failed="True")
        else:
            seen = {name.lower(): text for name, text in self.headers.items()}
            self.answer(200, {"body": body, "headers": seen, "path": self.path},
                        x_ms_run_fn_exec_ms="12.345")

port = int(sys.argv[2])
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Scoring)
if len(sys.argv) > 3:
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

struct Outside {
    process: Child,
    url: String,
}

impl Outside {
    fn start(name: &str) -> Self {
        Self::start_at(name, "0", &[])
    }

    /// On this port, with TLS where a certificate and its key are given.
    fn start_at(name: &str, port: &str, certificate: &[&str]) -> Self {
        Self::run(SERVER, name, port, certificate)
    }

    fn run(server: &str, name: &str, port: &str, certificate: &[&str]) -> Self {
        let mut process = Command::new("python3")
            .args(["-c", server, name, port])
            .args(certificate)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let scheme = if certificate.is_empty() {
            "http"
        } else {
            "https"
        };
        let url = format!("{scheme}://127.0.0.1:{}", line.trim());
        Self { process, url }
    }

    fn port(&self) -> &str {
        self.url.rsplit(':').next().unwrap()
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.kill();
    }
}

fn from(reply: &Reply) -> Option<String> {
    reply.header("x-from").map(str::to_owned)
}

#[test]
fn a_service_stands_in_front_of_a_server_that_runs_elsewhere() {
    let lusk = Lusk::start("remote");
    let server = Outside::start("away");
    let service = lusk.deploy("away").args(&["--remote", &server.url]).done();
    assert_eq!(service["runtime"], "remote");
    assert_eq!(service["remoteReplicas"], json!([server.url]));
    assert_eq!(service["deploymentStatus"]["availableReplicas"], 1);
    assert_eq!(service["containerResourceRequirements"]["cpu"], 0.0);

    lusk.score_without_key("away").expect(401);
    let reply = lusk
        .score_request("away", "[1, 2]")
        .header("X-Request-Id", "mine")
        .send(lusk.scoring)
        .expect(200);
    assert_eq!(reply.header("x-ms-run-fn-exec-ms"), Some("12.345"));
    assert_eq!(reply.header("x-ms-run-function-failed"), Some("False"));
    assert_eq!(reply.header("x-request-id"), Some("mine"));
    let seen = reply.json();
    assert_eq!(
        (&seen["body"], &seen["path"]),
        (&json!("[1, 2]"), &json!("/score"))
    );
    assert_eq!(seen["headers"]["x-request-id"], "mine");
    assert_eq!(seen["headers"]["authorization"], Value::Null);

    // A 500 of the server is a 502 of the door, as with scripts.
    let failed = lusk.score("away", "raise").expect(502);
    assert_eq!(failed.header("x-ms-run-function-failed"), Some("True"));
    assert_eq!(failed.message(), "it raised");

    let path = "/api/v1/service/away/swagger.json";
    let document = crate::http::Request::new("GET", path)
        .bearer(&lusk.key("away"))
        .send(lusk.scoring)
        .expect(200)
        .json();
    let input = &document["definitions"]["ServiceInput"];
    assert_eq!(input["properties"]["data"]["type"], "array");
    let shown = lusk.cli(&["service", "show", "-n", "away"]).ok();
    assert!(shown.contains(&server.url), "{shown}");
}

#[test]
fn one_of_two_dies_under_load_and_every_request_has_an_answer() {
    let lusk = Lusk::start("remote-kill");
    let (mut first, second) = (Outside::start("first"), Outside::start("second"));
    lusk.deploy("pair")
        .args(&["--remote", &first.url, "--remote", &second.url, "--nr", "2"])
        .args(&["--max-request-wait-time", "5000"])
        .done();
    let (seen, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let request = lusk.score_request("pair", "1");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let reply = request.try_send(lusk.scoring).map_err(|e| e.to_string());
                    seen.lock().unwrap().push(reply);
                }
            });
        }
        let count = |name: &str| {
            let seen = seen.lock().unwrap();
            let of = |reply: &&Result<Reply, String>| {
                reply
                    .as_ref()
                    .is_ok_and(|reply| from(reply).as_deref() == Some(name))
            };
            seen.iter().filter(of).count()
        };
        until("both answer", || {
            count("first") > 50 && count("second") > 50
        });
        first.kill();
        let before = count("second");
        until("the other one goes on", || count("second") > before + 500);
        is_over.store(true, Ordering::Relaxed);
    });
    let replies = seen.into_inner().unwrap();
    let mut statuses = std::collections::BTreeMap::new();
    for reply in &replies {
        let reply = reply.as_ref().expect("an answer");
        *statuses.entry(reply.status).or_insert(0) += 1;
        if reply.status != 200 {
            assert!(!reply.message().is_empty());
        }
    }
    // What was running on it is lost, one request of each slot at most; the rest is
    // tried on the other one.
    let lost = statuses.remove(&502).unwrap_or(0);
    assert!(lost <= 5, "{lost} of {}: {statuses:?}", replies.len());
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200]);
}

#[test]
fn servers_are_exchanged_without_a_failed_request() {
    let mut lusk = Lusk::start("remote-update");
    let (first, second) = (Outside::start("first"), Outside::start("second"));
    lusk.deploy("swap").args(&["--remote", &first.url]).done();
    let is_over = AtomicBool::new(false);
    let request = lusk.score_request("swap", "1");
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut names = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                names.push(from(&request.send(lusk.scoring).expect(200)));
            }
            names
        });
        let patch = json!([
            {"op": "replace", "path": "/remoteReplicas", "value": [second.url]}]);
        let accepted = lusk.admin("PATCH", "/services/swap", &patch);
        let ended = lusk.finish(&accepted);
        assert_eq!(ended["state"], "Succeeded", "{ended}");
        assert_eq!(
            from(&lusk.score("swap", "1").expect(200)).as_deref(),
            Some("second")
        );
        is_over.store(true, Ordering::Relaxed);
        assert!(!caller.join().unwrap().is_empty());
    });
    lusk.stop();
    lusk.restart();
    assert_eq!(
        from(&lusk.score("swap", "1").expect(200)).as_deref(),
        Some("second")
    );
    assert_eq!(lusk.service("swap")["remoteReplicas"], json!([second.url]));
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let lusk = Lusk::start("remote-refused");
    let server = Outside::start("away");
    let refused = |arguments: &[&str], words: &[&str]| {
        let told = lusk.deploy("away").args(arguments).fails();
        for word in words {
            assert!(told.contains(word), "{word} in {told}");
        }
        told
    };
    let url = server.url.as_str();
    refused(
        &["--remote", url, "--remote", &format!("{url}/")],
        &["given twice"],
    );
    refused(&["--remote", url, "--nr", "3"], &["3 replicas", "1 URLs"]);
    refused(
        &["--remote", url, "--cc", "1"],
        &["nothing can be reserved"],
    );
    let with_key = url.replace("http://", "http://me:secret@");
    let run = lusk.cli(&["model", "deploy", "-n", "away", "--remote", &with_key]);
    let told = run.fails(2);
    assert!(told.contains("password"), "{told}");

    lusk.file(
        "deploymentconfig.json",
        r#"{"computeType": "aks", "remoteReplicas": ["ftp://x", "http://127.0.0.1:9"]}"#,
    );
    refused(
        &["--dc", "deploymentconfig.json"],
        &["line 1", "must begin with http://"],
    );
    let gone = Outside::start("gone").url.clone();
    let told = refused(
        &["--remote", url, "--remote", &gone, "--nr", "2"],
        &[&gone, "not reachable"],
    );
    assert!(told.contains("refused"), "{told}");
}

#[test]
fn a_node_comes_back_though_one_of_two_servers_is_away() {
    let mut lusk = Lusk::start("remote-away");
    let (first, mut second) = (Outside::start("first"), Outside::start("second"));
    lusk.deploy("pair")
        .args(&["--remote", &first.url, "--remote", &second.url, "--nr", "2"])
        .done();
    lusk.stop();
    second.kill();
    lusk.restart();
    let service = lusk.service("pair");
    assert_eq!(service["state"], "Healthy", "{service}");
    assert_eq!(service["deploymentStatus"]["availableReplicas"], 1);
    for _ in 0..10 {
        lusk.score("pair", "1").expect(200);
    }
    let _back = Outside::start_at("back", second.port(), &[]);
    until("the other one is back", || {
        from(&lusk.score("pair", "1").expect(200)).as_deref() == Some("back")
    });
}

#[test]
fn tls_is_spoken_with_servers_that_the_machine_trusts() {
    let folder = test_folder("remote-tls");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (at("certificate.pem"), at("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=outside",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return skip("tls_is_spoken_with_servers", "no openssl here");
    }
    let server = Outside::start_at("safe", "0", &[&certificate, &key]);
    let setup = Setup::default().variable("SSL_CERT_FILE", &certificate);
    let lusk = Lusk::start_with("remote-trusted", setup);
    lusk.deploy("safe").args(&["--remote", &server.url]).done();
    let reply = lusk.score("safe", "1").expect(200);
    assert_eq!(from(&reply).as_deref(), Some("safe"));
    let lusk = Lusk::start("remote-untrusted");
    let told = lusk.deploy("safe").args(&["--remote", &server.url]).fails();
    assert!(told.contains("certificate"), "{told}");
}

/// Answers in parts: events with a gate between them, and what was uploaded counted.
const STREAMS: &str = r#"
import http.server, sys, threading

gate = threading.Event()

class Streams(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def whole(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.path.startswith("/score?open"):
            gate.set()
        self.whole(b"{}")

    def parts(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = int(self.headers["Content-Length"] or 0)
            while left:
                part = self.rfile.read(min(left, 65536))
                left -= len(part)
                yield part
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def event(self, text):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

    def do_POST(self):
        if self.path == "/score?count":
            count = sum(len(part) for part in self.parts())
            return self.whole(b"%d" % count)
        if self.path == "/score?large":
            list(self.parts())
            return self.whole(b"x" * 20_000_000)
        list(self.parts())
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.event(b"data: first\n\n")
        gate.wait()
        self.event(b"data: second\n\n")
        if self.path == "/score?die":
            self.connection.shutdown(2)
            return
        self.event(b"")

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Streams)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// Sends a request on a connection of its own.
fn begin(lusk: &Lusk, query: &str) -> TcpStream {
    let path = format!("/api/v1/service/streams/score{query}");
    let request = crate::http::Request::new("POST", &path)
        .bearer(&lusk.key("streams"))
        .body("1");
    let mut stream = TcpStream::connect(lusk.scoring).unwrap();
    stream.write_all(&request.bytes()).unwrap();
    stream
}

/// Reads on until this has come.
fn read_until(stream: &mut TcpStream, came: &mut Vec<u8>, end: &str) {
    while !String::from_utf8_lossy(came).contains(end) {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "closed: {}", String::from_utf8_lossy(came));
        came.extend_from_slice(&part[..count]);
    }
}

#[test]
fn events_come_one_by_one_and_a_broken_answer_is_seen_to_be_broken() {
    let lusk = Lusk::start("remote-events");
    let server = Outside::run(STREAMS, "streams", "0", &[]);
    lusk.deploy("streams")
        .args(&[
            "--remote",
            &server.url,
            "--replica-max-concurrent-requests",
            "4",
        ])
        .done();
    let ask = |query: &str| {
        let mut stream = begin(&lusk, query);
        let mut came = Vec::new();
        // The server holds the rest back until somebody asks it to go on.
        read_until(&mut stream, &mut came, "data: first\n\n");
        (stream, came)
    };
    let (mut well, mut all) = ask("");
    let (mut ill, mut some) = ask("?die");
    assert!(String::from_utf8_lossy(&all).contains("text/event-stream"));
    let path = "/api/v1/service/streams/score?open";
    crate::http::Request::new("GET", path)
        .bearer(&lusk.key("streams"))
        .send(lusk.scoring)
        .expect(200);
    read_until(&mut well, &mut all, "data: second\n\n\r\n0\r\n\r\n");
    let _ = ill.read_to_end(&mut some);
    let some = String::from_utf8_lossy(&some).into_owned();
    assert!(!some.ends_with("0\r\n\r\n"), "{some}");
}

#[test]
fn bodies_larger_than_what_is_held_in_memory_pass_both_ways() {
    let setup = Setup::default();
    let lusk = Lusk::start_with("remote-large", setup);
    let server = Outside::run(STREAMS, "streams", "0", &[]);
    lusk.deploy("streams")
        .args(&["--remote", &server.url])
        .done();
    let body = vec![b'x'; 30_000_000];
    let ask = |query: &str| {
        let path = format!("/api/v1/service/streams/score{query}");
        crate::http::Request::new("POST", &path)
            .bearer(&lusk.key("streams"))
            .body(&body)
            .send(lusk.scoring)
            .expect(200)
    };
    assert_eq!(ask("?count").text(), "30000000");
    let large = ask("?large");
    assert_eq!(large.header("content-length"), Some("20000000"));
    assert_eq!(large.body.len(), 20_000_000);
}

#[test]
fn two_of_three_are_away_and_every_request_is_answered() {
    let lusk = Lusk::start("remote-two-away");
    let mut servers = ["one", "two", "three"].map(Outside::start);
    let urls = servers.each_ref().map(|server| server.url.clone());
    let remotes: Vec<_> = urls.iter().flat_map(|url| ["--remote", url]).collect();
    lusk.deploy("three")
        .args(&remotes)
        .args(&["--nr", "3"])
        .done();
    for server in &mut servers[..2] {
        server.kill();
    }
    // Each of those away costs one request at most: it is out from then on.
    let request = lusk.score_request("three", "1");
    let statuses: Vec<_> = (0..200)
        .map(|_| request.send(lusk.scoring).status)
        .collect();
    let lost = statuses.iter().filter(|status| **status != 200).count();
    assert!(lost <= 2, "{statuses:?}");
    assert!(
        statuses[20..].iter().all(|status| *status == 200),
        "{statuses:?}"
    );
    let _back = Outside::start_at("back", servers[0].port(), &[]);
    until("one of them is back", || {
        from(&lusk.score("three", "1").expect(200)).as_deref() == Some("back")
    });
}

#[test]
fn a_node_comes_back_though_all_servers_are_away() {
    let mut lusk = Lusk::start("remote-all-away");
    let mut server = Outside::start("first");
    lusk.deploy("away").args(&["--remote", &server.url]).done();
    lusk.stop();
    server.kill();
    lusk.restart();
    lusk.score("away", "1").expect(503);
    let _back = Outside::start_at("back", server.port(), &[]);
    until("it is back", || lusk.score("away", "1").status == 200);
}

#[test]
fn update_names_other_servers() {
    let lusk = Lusk::start("remote-flag");
    let (first, second) = (Outside::start("first"), Outside::start("second"));
    lusk.deploy("swap").args(&["--remote", &first.url]).done();
    lusk.cli(&["service", "update", "-n", "swap", "--remote", &second.url])
        .ok();
    let reply = lusk.score("swap", "1").expect(200);
    assert_eq!(from(&reply).as_deref(), Some("second"));
    assert_eq!(lusk.service("swap")["remoteReplicas"], json!([second.url]));
}
