use lusk_contract::conformance;

use super::*;

#[test]
fn keeps_the_promises_of_logs() {
    let folder = tempfile::tempdir().unwrap();
    conformance::logs::suite(&LogFolder::new(folder.path()));
}
