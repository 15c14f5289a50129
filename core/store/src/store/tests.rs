use lusk_contract::conformance;

use super::*;

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(folder.path()).unwrap()
}

#[tokio::test]
async fn keeps_the_promises_of_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    conformance::records::suite(&store, &store.blobs()).await;
}
