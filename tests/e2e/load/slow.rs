//! Callers who send slowly, or half, or never take their answer.

use std::io::Read as _;

use super::{
    books::{Books, Rest, wait_until_idle},
    crowd::{Crowd, Seen},
};
use crate::{
    http::Connection,
    lusk::{Lusk, constant, running, until},
};

/// Callers of each kind.
const EACH: usize = 40;

/// Bytes of a body of which only half come.
const BODY: usize = 200_000;

/// Bytes of an answer that does not fit into the buffers between two sockets.
const ANSWER: usize = 8 << 20;

/// Those who ask for it: what their node must keep is this times [`ANSWER`].
const READERS: usize = 10;

/// How often they come; enough for a leak to be more than what an allocator keeps.
const ROUNDS: usize = 6;

/// Memory for a whole answer of [`ANSWER`] bytes, spaces at 1 MiB: JSON that says nothing.
fn large() -> String {
    let run = format!(
        "(memory.fill (i32.const 1048576) (i32.const 32) (i32.const {ANSWER}))
         (i64.or (i64.shl (i64.const 1048576) (i64.const 32)) (i64.const {ANSWER}))"
    );
    running(&run).replace(
        "(memory (export \"memory\") 17)",
        "(memory (export \"memory\") 160)",
    )
}

fn node(name: &str) -> Lusk {
    let lusk = Lusk::start(name);
    for (service, script) in [("one", constant("1")), ("large", large())] {
        lusk.deploy(service)
            .wat(&script)
            .args(&["--mr", "60000"])
            .done();
        lusk.score(service, "x").expect(200);
    }
    lusk
}

/// Connections that have sent so much of a request.
fn begun(lusk: &Lusk, count: usize, part: &[u8]) -> Vec<Connection> {
    let begin = |_| {
        let mut connection = Connection::open(lusk.scoring).expect("a connection");
        connection.write(part).expect("a part of a request");
        connection
    };
    (0..count).map(begin).collect()
}

/// Half of a head, half of a body, and a whole request for a large answer.
struct Parts {
    head: Vec<u8>,
    rest_of_head: Vec<u8>,
    body: Vec<u8>,
    rest_of_body: Vec<u8>,
    whole: Vec<u8>,
}

impl Parts {
    fn new(lusk: &Lusk) -> Self {
        let whole = lusk.score_request("one", "x").bytes();
        let (head, rest_of_head) = whole.split_at(whole.len() / 2);
        let upload = lusk.score_request("one", "x".repeat(BODY)).bytes();
        let (body, rest_of_body) = upload.split_at(upload.len() - BODY / 2);
        Self {
            head: head.to_vec(),
            rest_of_head: rest_of_head.to_vec(),
            body: body.to_vec(),
            rest_of_body: rest_of_body.to_vec(),
            whole: lusk.score_request("large", "x").bytes(),
        }
    }
}

#[test]
fn slow_callers_keep_nobody_else_waiting() {
    let lusk = node("slow");
    let parts = Parts::new(&lusk);
    slow_callers(&lusk, &parts);
    let rest = Rest::of(&lusk);
    for _ in 0..ROUNDS {
        slow_callers(&lusk, &parts);
    }
    // An allocator may keep what all readers took at a time; the answers of those who
    // went away, were they kept, would be three times that.
    rest.returns(&lusk, (READERS * ANSWER) as u64);
}

fn slow_callers(lusk: &Lusk, parts: &Parts) {
    let before = Books::read(lusk);
    let mut heads = begun(lusk, EACH, &parts.head);
    let mut bodies = begun(lusk, EACH, &parts.body);
    let mut readers = begun(lusk, READERS, &parts.whole);
    until("the halves of all bodies are held", || {
        let held = Books::read(lusk).value("lusk_request_bytes_buffered");
        held >= (EACH * BODY / 2) as u64
    });
    until(
        "all large answers are made and no slot waits for their readers",
        || {
            let books = Books::read(lusk);
            let answered = "lusk_requests_total{service=\"large\",class=\"2xx\"}";
            books.value(answered) - before.value(answered) == READERS as u64
                && books.sum("lusk_slots_busy") == 0
        },
    );
    let mut seen = Crowd::of(lusk, "one", 8)
        .rounds(50)
        .ask(|number| number.to_string(), |_, _| {});
    seen.only(&[200]);

    // Half of them go on after all, and miss nothing.
    for connection in heads.drain(..EACH / 2) {
        seen.note(&drip(connection, &parts.rest_of_head).expect(200));
    }
    for mut connection in bodies.drain(..EACH / 2) {
        connection.write(&parts.rest_of_body).expect("the rest");
        seen.note(&connection.reply("POST").expect("an answer").expect(200));
    }
    for mut connection in readers.drain(..READERS / 2) {
        let reply = connection.reply("POST").expect("an answer").expect(200);
        assert_eq!(reply.body.len(), ANSWER);
        assert!(reply.body.iter().all(|byte| *byte == b' '));
    }
    drop((heads, bodies, readers));
    wait_until_idle(lusk);
    let after = Books::read(lusk);
    after.add_up(&before, "one", &seen);
    after.add_up(&before, "large", &Seen::of(200, READERS as u64));
}

/// Sends a byte at a time.
fn drip(mut connection: Connection, bytes: &[u8]) -> crate::http::Reply {
    for byte in bytes {
        connection.write(&[*byte]).expect("a byte");
    }
    connection.reply("POST").expect("an answer")
}

/// Takes as long as the node's patience, 30 s.
#[test]
fn callers_who_never_go_on_are_told_so_or_cut_off() {
    let lusk = node("never");
    let rest = Rest::of(&lusk);
    let before = Books::read(&lusk);
    let parts = Parts::new(&lusk);

    let heads = begun(&lusk, EACH, &parts.head);
    let bodies = begun(&lusk, EACH, &parts.body);
    let readers = begun(&lusk, READERS, &parts.whole);
    for (kind, connections) in [("head", heads), ("body", bodies)] {
        for mut connection in connections {
            let reply = connection.reply("POST").expect("an answer").expect(408);
            assert!(!reply.message().is_empty(), "{kind}");
            assert_eq!(reply.header("connection"), Some("close"), "{kind}");
        }
    }
    // They still read nothing, and hold nothing any more.
    rest.returns(&lusk, 2 * (READERS * ANSWER) as u64);
    for reader in readers {
        let mut taken = Vec::new();
        // What lay in the buffers comes, and then the end.
        let _ = reader.stream().read_to_end(&mut taken);
        assert!(taken.len() < ANSWER, "{} bytes", taken.len());
    }
    let after = Books::read(&lusk);
    for reason in ["headers_slow", "body_slow"] {
        let name = format!("lusk_refused_requests_total{{code=\"408\",reason=\"{reason}\"}}");
        assert_eq!(
            after.value(&name) - before.value(&name),
            EACH as u64,
            "{reason}"
        );
    }
    after.add_up(&before, "one", &Seen::default());
    after.add_up(&before, "large", &Seen::of(200, READERS as u64));
}
