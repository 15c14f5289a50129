use lusk_contract::conformance;

use super::*;
use crate::Store;

#[tokio::test]
async fn keeps_the_promises_of_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let placed = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    conformance::blobs::suite(&store.blobs(), placed.path()).await;
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}
