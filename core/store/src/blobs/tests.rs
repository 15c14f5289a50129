use lusk_contract::conformance;
use tempfile::TempDir;

use super::*;
use crate::Store;

#[tokio::test]
async fn keeps_the_promises_of_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let placed = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    conformance::blobs::suite(&store.blobs(), placed.path()).await;
    assert_eq!(files_in(&folder.path().join("tmp")), 0);
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn open(folder: &TempDir) -> LocalBlobs {
    Store::open(folder.path()).unwrap().blobs()
}

#[tokio::test]
async fn a_placed_file_shares_the_storage_of_the_blob() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let blobs = open(&folder);
    let stored = conformance::blobs::store(&blobs, b"shared").await;
    let path = folder.path().join("placed");
    blobs.place(stored.digest, &path).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
    // The same content again must not part the two.
    conformance::blobs::store(&blobs, b"shared").await;
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
}

#[tokio::test]
async fn a_file_on_another_device_is_a_copy() {
    let other = Path::new("/dev/shm");
    let folder = tempfile::tempdir().unwrap();
    let Ok(placed) = tempfile::tempdir_in(other) else {
        println!("skipped: no other device to place a file on");
        return;
    };
    let blobs = open(&folder);
    conformance::blobs::suite(&blobs, placed.path()).await;
}

#[tokio::test]
async fn a_damaged_blob_of_another_size_is_stored_anew() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = open(&folder);
    let stored = conformance::blobs::store(&blobs, b"whole").await;
    let path = blobs.folder.path(stored.digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"who").unwrap();
    conformance::blobs::store(&blobs, b"whole").await;
    assert_eq!(
        conformance::blobs::fetch(&blobs, stored.digest).await,
        b"whole"
    );
}

#[tokio::test]
async fn a_sink_that_failed_stays_failed() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = open(&folder);
    let mut sink = LocalSink {
        folder: Arc::clone(&blobs.folder),
        staged: None,
        gathered: Vec::new(),
        gathered_bytes: 0,
    };
    let refused = sink.write(Bytes::from(vec![0; WRITE_BYTES])).await;
    assert!(matches!(refused, Err(BlobError::Storage(_))));
    let refused = Box::new(sink).finish(None).await;
    assert!(matches!(refused, Err(BlobError::Storage(_))));
}

#[tokio::test]
async fn a_full_disk_ends_an_upload_and_leaves_room_for_records() {
    let Some(disk) = crate::space::SmallDisk::mount(48 << 20) else {
        return;
    };
    let store = Store::open(disk.folder()).unwrap();
    let blobs = store.blobs();
    let mut sink = blobs.create().await.unwrap();
    let part = Bytes::from(vec![1; 1 << 20]);
    let mut taken = 0;
    let refused = loop {
        match sink.write(part.clone()).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, BlobError::DiskFull), "{refused:?}");
    assert!((10..=24).contains(&taken), "{taken} of 48 MiB were taken");
    assert_eq!(
        files_in(&disk.folder().join("tmp")),
        0,
        "the partial file stayed"
    );
    let small = conformance::records::draft(&blobs, "small", b"small").await;
    lusk_contract::Records::register_model(&store, small)
        .await
        .unwrap();
}
