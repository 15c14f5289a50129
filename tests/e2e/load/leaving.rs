//! Callers who go away before their answer.

use super::{
    books::{Books, Rest},
    crowd::Crowd,
    process::MIB,
};
use crate::{
    http::Connection,
    lusk::{Lusk, until},
};

/// Takes its time when asked to.
const SLEEPS: &str = "
import time

def init():
    pass

def run(raw_data):
    if raw_data == 'sleep':
        time.sleep(60)
    return 1
";

/// Those who leave: some of them while they are served, the others from the queue.
const LEAVING: u64 = 60;

const REPLICAS: &str = "2";

#[test]
fn callers_who_leave_take_nothing_with_them() {
    let lusk = Lusk::start("leaving");
    for (service, runtime) in [("sandbox", "python"), ("native", "process")] {
        lusk.deploy(service)
            .python(SLEEPS)
            .args(&[
                "--rt", runtime, "--nr", REPLICAS, "--cc", "0.1", "--gb", "0.2",
            ])
            .args(&["--mr", "60000"])
            .done();
        lusk.score(service, "x").expect(200);
        let rest = Rest::of(&lusk);
        let before = Books::read(&lusk);
        let request = lusk.score_request(service, "sleep").bytes();
        let callers: Vec<_> = (0..LEAVING)
            .map(|_| {
                let mut connection = Connection::open(lusk.scoring).expect("a connection");
                connection.write(&request).expect("a request");
                connection
            })
            .collect();
        until("all of them run or wait", || {
            let books = Books::read(&lusk);
            books.sum("lusk_slots_busy") + books.sum("lusk_queue_depth") == LEAVING
        });
        drop(callers);
        until("nobody is waited for", || {
            Books::read(&lusk).of(service, "lusk_requests_abandoned_total") == LEAVING
        });
        until("both replicas are there", || {
            lusk.metric("lusk_replicas_ready", service) == 2.0
        });
        // Nobody waits for the minute of those who left.
        let seen = Crowd::of(&lusk, service, 4)
            .rounds(10)
            .ask(|_| "x".to_owned(), |_, reply| assert_eq!(reply.text(), "1"));
        seen.only(&[200]);
        rest.returns(&lusk, 32 * MIB);
        Books::read(&lusk).add_up_but(&before, service, &seen, LEAVING);
    }
}
