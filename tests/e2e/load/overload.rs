//! Five times what the service can do.

use super::{
    books::{Books, Rest},
    crowd::{Crowd, Seen},
    process::{self, MIB},
};
use crate::lusk::Lusk;

/// A request that takes a fifth of what one may wait: with 25 callers one waits for
/// five times as long as that.
const SLEEPS: &str = "
import time

def init():
    pass

def run(raw_data):
    time.sleep(0.01)
    return 1
";

const CALLERS: usize = 25;

/// Of each caller in each third of the test.
const ROUNDS: usize = 40;

/// What the last third may take more than the first: nothing grows with the number of
/// requests, but an allocator is not exact.
const SLACK: u64 = 8 * MIB;

#[test]
fn overload_is_refused_with_a_sentence_and_costs_no_memory() {
    let lusk = Lusk::start("overload");
    lusk.deploy("slow")
        .python(SLEEPS)
        .args(&["--mr", "50"])
        .done();
    lusk.score("slow", "x").expect(200);
    let rest = Rest::of(&lusk);
    let before = Books::read(&lusk);
    let mut seen = Seen::default();
    let mut memory = Vec::new();
    for _ in 0..3 {
        seen.merge(Crowd::of(&lusk, "slow", CALLERS).rounds(ROUNDS).ask(
            |number| number.to_string(),
            |_, reply| match reply.status {
                200 => assert_eq!(reply.text(), "1"),
                _ => assert!(
                    reply.message().contains("maxQueueWaitMs is 50"),
                    "{reply:?}"
                ),
            },
        ));
        memory.push(process::rss(&lusk));
    }
    seen.only(&[200, 503]);
    assert!(seen.count(200) > 0 && seen.count(503) > 0, "{seen:?}");
    assert!(memory[2] <= memory[0] + SLACK, "{memory:?} bytes");
    rest.returns(&lusk, 64 * MIB);
    let after = Books::read(&lusk);
    after.add_up(&before, "slow", &seen);
    let overloaded = "lusk_requests_overloaded_total";
    assert_eq!(after.of("slow", overloaded), seen.count(503));
    // Calm again, and at once.
    lusk.score("slow", "x").expect(200);
}
