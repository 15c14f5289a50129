//! Few and many connections.

use super::{
    books::{Books, Rest},
    crowd::Crowd,
    process::MIB,
};
use crate::lusk::{Lusk, constant};

/// Requests of each crowd, at least one for each connection.
const REQUESTS: usize = 2048;

/// Every so many of them one asks that its connection be closed.
const CLOSING: usize = 7;

/// 1,024 connections with their buffers, of an unoptimised binary.
const MORE_MEMORY: u64 = 64 * MIB;

#[test]
fn one_or_a_thousand_connections_are_all_answered() {
    let lusk = Lusk::start("connections");
    lusk.deploy("one")
        .wat(&constant("1"))
        .args(&["--mr", "60000"])
        .done();
    lusk.score("one", "x").expect(200);
    let rest = Rest::of(&lusk);
    for connections in [1, 64, 1024] {
        let before = Books::read(&lusk);
        let crowd = Crowd::of(&lusk, "one", connections)
            .rounds(REQUESTS / connections)
            .closing_each(CLOSING);
        let seen = crowd.ask(
            |number| number.to_string(),
            |_, reply| assert_eq!(reply.text(), "1"),
        );
        seen.only(&[200]);
        rest.returns(&lusk, MORE_MEMORY);
        Books::read(&lusk).add_up(&before, "one", &seen);
    }
}
