use std::fs;

use lusk_contract::Images as _;

use super::*;
use crate::{
    document::{INDEX_TYPE, MANIFEST_TYPE},
    testing::{Node, environment, wish},
};

async fn exported(node: &Node, packages: &[&str]) -> Vec<u8> {
    let key = ImageKey::of(&environment(packages));
    let mut archive = node.images().export(&key).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = archive.next().await {
        bytes.extend_from_slice(&part.unwrap());
    }
    bytes
}

fn stream_of(archive: &[u8]) -> ByteStream {
    let parts: Vec<_> = archive
        .chunks(10_000)
        .map(|part| Ok(Bytes::copy_from_slice(part)))
        .collect();
    futures::stream::iter(parts).boxed()
}

async fn import(node: &Node, archive: &[u8]) -> Result<Vec<StoredImage>, ImageError> {
    node.images().import(stream_of(archive)).await
}

/// Name and content of each entry.
fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

fn archive_of(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, &content[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let (here, there) = (Node::new(), Node::new());
    let built = here.ensure(&["a=1", "b=1"]).await;
    let process = lusk_contract::ImageWish {
        runtime: Some(lusk_domain::RuntimeKind::Process),
        ..wish(&["a=1", "b=1", "native-c"])
    };
    here.images()
        .ensure(&process, &crate::testing::Heard::default())
        .await
        .unwrap();
    let archive = exported(&here, &["a=1", "b=1"]).await;
    let names: Vec<_> = entries(&archive)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names[..2], ["oci-layout", "index.json"]);
    assert_eq!(names.len(), 2 + 5, "the other image is not in it");

    let imported = import(&there, &archive).await.unwrap();
    assert_eq!(imported.len(), 1);
    assert_eq!(imported[0].source, ImageSource::Imported);
    assert_eq!(imported[0].record, built.record);
    let found = there.ensure(&["a=1", "b=1"]).await;
    assert_eq!((found.source, there.built()), (ImageSource::Local, 0));
    assert!(
        found
            .files
            .packages
            .as_ref()
            .unwrap()
            .join("b/noise.bin")
            .exists()
    );
    there.assert_clean();
    // Again changes nothing.
    import(&there, &archive).await.unwrap();
    assert_eq!(there.index().manifests.len(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_not_exported() {
    let node = Node::new();
    let key = ImageKey::of(&environment(&["a"]));
    let missing = node.images().export(&key).await;
    assert!(matches!(missing, Err(ImageError::NotFound(_))));
}

#[tokio::test]
async fn damage_is_told_to_who_reads_the_archive() {
    let node = Node::new();
    node.ensure(&["a"]).await;
    for name in node.blobs() {
        let path = node.layout().join("blobs/sha256").join(&name);
        let content = fs::read(&path).unwrap();
        if content.len() > 50_000 {
            let mut other = content;
            other[40_000] ^= 1;
            fs::write(path, other).unwrap();
        }
    }
    let key = ImageKey::of(&environment(&["a"]));
    let archive = node.images().export(&key).await.unwrap();
    let parts: Vec<_> = archive.collect().await;
    assert!(parts.last().unwrap().is_err());
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_export() {
    let node = Node::new();
    node.ensure(&["a", "b", "c", "d", "e", "f", "g", "h"]).await;
    let key = ImageKey::of(&environment(&["a", "b", "c", "d", "e", "f", "g", "h"]));
    let images = node.images();
    let mut archive = images.export(&key).await.unwrap();
    archive.next().await.unwrap().unwrap();
    drop(archive);
    let rules = lusk_contract::PruneRules::default();
    // Nothing holds the image once the writer has seen it.
    while images.prune(&rules).await.unwrap().images.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_bad_archive_is_refused_and_leaves_nothing() {
    let here = Node::new();
    here.ensure(&["a=1"]).await;
    let good = entries(&exported(&here, &["a=1"]).await);
    let index = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut entries = good.clone();
        let mut index = serde_json::from_slice(&entries[1].1).unwrap();
        change(&mut index);
        entries[1].1 = serde_json::to_vec(&index).unwrap();
        entries
    };
    let with = |name: &str, content: &[u8]| {
        let mut entries = good.clone();
        entries.push((name.to_owned(), content.to_vec()));
        entries
    };
    let mut changed = good.clone();
    changed[3].1[0] ^= 1;
    let mut twice = good.clone();
    twice.push(good[2].clone());
    let empty = serde_json::json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [],
    });
    let other = Digest::of(b"{}").to_string();
    let not_a_manifest = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": MANIFEST_TYPE, "digest": other, "size": 2}],
    });
    let mut foreign = with(
        &format!("blobs/sha256/{}", Digest::of(b"{}").to_hex()),
        b"{}",
    );
    foreign[1].1 = not_a_manifest.to_string().into_bytes();
    let mut without_index = good.clone();
    without_index.remove(1);
    for (what, entries) in [
        ("another name", with("etc/passwd", b"x")),
        ("out of it", with("../x", b"x")),
        ("absolute", with("/x", b"x")),
        ("no digest", with("blobs/sha256/xyz", b"x")),
        ("a changed blob", changed),
        ("a blob twice", twice),
        ("two indexes", with("index.json", &good[1].1)),
        ("no index", without_index),
        ("an empty index", {
            let mut entries = good.clone();
            entries[1].1 = empty.to_string().into_bytes();
            entries
        }),
        ("not an index", {
            let mut entries = good.clone();
            entries[1].1 = b"[".to_vec();
            entries
        }),
        ("an image of others", foreign),
        (
            "another size",
            index(&|index| index["manifests"][0]["size"] = 7.into()),
        ),
    ] {
        let node = Node::new();
        let refused = import(&node, &archive_of(&entries)).await;
        assert!(
            matches!(refused, Err(ImageError::Refused(_))),
            "{what}: {refused:?}"
        );
        assert_eq!(node.blobs(), Vec::<String>::new(), "{what}");
        assert!(node.index().manifests.is_empty(), "{what}");
        node.assert_clean();
    }
    for missing in 2..good.len() {
        let mut entries = good.clone();
        entries.remove(missing);
        let node = Node::new();
        let refused = import(&node, &archive_of(&entries)).await;
        assert!(matches!(refused, Err(ImageError::Refused(_))), "{missing}");
        assert_eq!(node.blobs(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_archive_that_breaks_off_leaves_nothing() {
    let here = Node::new();
    here.ensure(&["a=1"]).await;
    let archive = exported(&here, &["a=1"]).await;
    for count in [0, 100, 1_000, archive.len() / 2, archive.len() - 1_100] {
        let node = Node::new();
        let refused = import(&node, &archive[..count]).await;
        assert!(refused.is_err(), "{count}");
        assert_eq!(node.blobs(), Vec::<String>::new());
        node.assert_clean();
    }
    let node = Node::new();
    let gone = ImageError::Storage("the sender went away".to_owned());
    let first = Bytes::copy_from_slice(&archive[..5_000]);
    let broken = futures::stream::iter([Ok(first), Err(gone)]).boxed();
    let refused = node.images().import(broken).await.unwrap_err();
    assert!(refused.to_string().contains("went away"), "{refused}");
    node.assert_clean();
}

#[test]
fn archives_that_do_not_come_leave_threads_to_others() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(AT_ONCE + 1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let node = Node::new();
        let images = node.images();
        for _ in 0..2 * AT_ONCE {
            let images = images.clone();
            let nothing = futures::stream::pending().boxed();
            tokio::spawn(async move { images.import(nothing).await });
        }
        // As many as may have begun.
        while images.inner.archives.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(images.list().await.unwrap(), []);
    });
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_said_to_be_none() {
    let node = Node::new();
    let noise: Vec<u8> = (0..4_096_u32)
        .map(|at| (at * 7 % 251) as u8 | 0x80)
        .collect();
    for foreign in [&noise[..], b"short", &[0; 1_024]] {
        let error = import(&node, foreign).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "image refused: archive of images: not a file that `lusk image export` wrote"
        );
    }
}
