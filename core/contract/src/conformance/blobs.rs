//! Promises of [`Blobs`](crate::Blobs).

use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use lusk_domain::Digest;

use crate::{BlobError, Blobs, StoredBlob};

/// Runs every check against `blobs`, which is empty; `folder` is an existing
/// empty folder for placed files.
pub async fn suite(blobs: &dyn Blobs, folder: &Path) {
    content_comes_back_whole(blobs).await;
    empty_content_is_content(blobs).await;
    same_content_is_stored_once(blobs).await;
    a_promised_digest_is_checked(blobs).await;
    a_dropped_sink_leaves_nothing(blobs).await;
    missing_content_is_told(blobs, folder).await;
    a_placed_file_is_read_only_content(blobs, folder).await;
    sinks_do_not_mix(blobs).await;
}

/// Stores `content` in parts of at most 64 KiB.
pub async fn store(blobs: &dyn Blobs, content: &[u8]) -> StoredBlob {
    let mut sink = blobs.create().await.expect("a sink opens");
    for part in content.chunks(64 * 1024) {
        let part = Bytes::copy_from_slice(part);
        sink.write(part).await.expect("a part is taken");
    }
    sink.finish(None).await.expect("the blob is kept")
}

/// Reads a blob whole.
pub async fn fetch(blobs: &dyn Blobs, digest: Digest) -> Vec<u8> {
    let parts: Vec<Bytes> = blobs
        .read(digest)
        .await
        .expect("the blob is there")
        .try_collect()
        .await
        .expect("every part is read");
    parts.concat()
}

/// Bytes that do not repeat with a power of two.
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let byte = |i: usize| (i as u64).wrapping_mul(seed.wrapping_add(31)) % 251;
    (0..length).map(|i| byte(i) as u8).collect()
}

async fn content_comes_back_whole(blobs: &dyn Blobs) {
    for length in [1, 4_096, 1 << 20, (3 << 20) + 17] {
        let content = pattern(length, 1);
        let stored = store(blobs, &content).await;
        assert_eq!(stored.digest, Digest::of(&content));
        assert_eq!(stored.size, length as u64);
        let size = blobs.size(stored.digest).await.expect("size is told");
        assert_eq!(size, Some(length as u64));
        assert!(
            fetch(blobs, stored.digest).await == content,
            "{length} bytes differ"
        );
    }
}

async fn empty_content_is_content(blobs: &dyn Blobs) {
    let stored = store(blobs, b"").await;
    assert_eq!(stored.size, 0);
    assert_eq!(
        blobs.size(stored.digest).await.expect("size is told"),
        Some(0)
    );
    assert!(fetch(blobs, stored.digest).await.is_empty());
}

async fn same_content_is_stored_once(blobs: &dyn Blobs) {
    let content = pattern(10_000, 2);
    let first = store(blobs, &content).await;
    assert_eq!(store(blobs, &content).await, first);
    assert!(fetch(blobs, first.digest).await == content);
}

async fn a_promised_digest_is_checked(blobs: &dyn Blobs) {
    let expected = Digest::of(b"promised");
    let mut sink = blobs.create().await.expect("a sink opens");
    sink.write(Bytes::from_static(b"delivered"))
        .await
        .expect("a part is taken");
    let refused = sink.finish(Some(expected)).await;
    let actual = Digest::of(b"delivered");
    assert!(
        matches!(refused, Err(BlobError::DigestMismatch { expected: e, actual: a }) if e == expected && a == actual),
        "{refused:?}"
    );
    for digest in [expected, actual] {
        assert_eq!(blobs.size(digest).await.expect("size is told"), None);
    }

    let mut sink = blobs.create().await.expect("a sink opens");
    sink.write(Bytes::from_static(b"promised"))
        .await
        .expect("a part is taken");
    let kept = sink
        .finish(Some(expected))
        .await
        .expect("the digest is right");
    assert_eq!(kept.digest, expected);
}

async fn a_dropped_sink_leaves_nothing(blobs: &dyn Blobs) {
    let content = pattern(2 << 20, 3);
    let mut sink = blobs.create().await.expect("a sink opens");
    sink.write(Bytes::from(content.clone()))
        .await
        .expect("a part is taken");
    drop(sink);
    let size = blobs
        .size(Digest::of(&content))
        .await
        .expect("size is told");
    assert_eq!(size, None);
}

async fn missing_content_is_told(blobs: &dyn Blobs, folder: &Path) {
    let missing = Digest::of(b"never stored");
    assert_eq!(blobs.size(missing).await.expect("size is told"), None);
    let read = blobs.read(missing).await.err();
    assert!(
        matches!(read, Some(BlobError::Missing(digest)) if digest == missing),
        "{read:?}"
    );
    let place = blobs.place(missing, &folder.join("missing")).await;
    assert!(
        matches!(place, Err(BlobError::Missing(digest)) if digest == missing),
        "{place:?}"
    );
    assert!(!folder.join("missing").exists());
}

async fn a_placed_file_is_read_only_content(blobs: &dyn Blobs, folder: &Path) {
    let content = pattern(70_000, 4);
    let stored = store(blobs, &content).await;
    for name in ["first", "second"] {
        let path = folder.join(name);
        blobs
            .place(stored.digest, &path)
            .await
            .expect("the file appears");
        assert!(std::fs::read(&path).expect("the file is read") == content);
        let metadata = std::fs::symlink_metadata(&path).expect("the file is there");
        assert!(metadata.is_file(), "{path:?} is no plain file");
        assert!(metadata.permissions().readonly(), "{path:?} can be written");
    }
    let again = blobs.place(stored.digest, &folder.join("first")).await;
    assert!(again.is_err(), "a file was replaced");
    std::fs::remove_file(folder.join("first")).expect("a placed file can go");
    assert!(
        fetch(blobs, stored.digest).await == content,
        "removing a placed file hurt the blob"
    );
}

async fn sinks_do_not_mix(blobs: &dyn Blobs) {
    let contents: Vec<Vec<u8>> = (0..8).map(|seed| pattern(300_000, 100 + seed)).collect();
    let stored = futures::future::join_all(contents.iter().map(|content| store(blobs, content)));
    for (blob, content) in stored.await.iter().zip(&contents) {
        assert!(fetch(blobs, blob.digest).await == *content);
    }
}
