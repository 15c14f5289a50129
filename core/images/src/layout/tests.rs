use super::*;

fn layout() -> (tempfile::TempDir, Arc<Layout>) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::open(&folder.path().join("images"), &folder.path().join("tmp")).unwrap();
    (folder, Arc::new(layout))
}

fn blobs(layout: &Layout) -> usize {
    fs::read_dir(layout.root.join("blobs/sha256"))
        .unwrap()
        .count()
}

#[test]
fn what_was_added_for_nothing_goes_with_its_draft() {
    let (_folder, layout) = layout();
    let (first, second) = (layout.draft(), layout.draft());
    let blob = first.put("text/plain", b"content").unwrap();
    assert!(second.has(&blob));
    drop(first);
    assert!(layout.has(&blob), "the other draft holds it");
    drop(second);
    let third = layout.draft();
    third.put("text/plain", b"more").unwrap();
    drop(third);
    layout.sweep(|_| false, |_| Ok(())).unwrap();
    assert_eq!(blobs(&layout), 0);
}

#[test]
fn what_the_index_names_stays() {
    let (_folder, layout) = layout();
    let draft = layout.draft();
    let config = draft.put("config", b"{}").unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: "manifest".to_owned(),
        config,
        layers: vec![draft.put("layer", b"layer").unwrap()],
        annotations: Annotations::new(),
    };
    let image = draft.put_document("manifest", &manifest).unwrap();
    layout
        .change_index(|index| index.manifests.push(image.clone()))
        .unwrap();
    drop(draft);
    assert_eq!(layout.sweep(|_| false, |_| Ok(())).unwrap().0, 0);
    assert_eq!(blobs(&layout), 3);

    let holder = layout.draft();
    let picked = holder.pick(|_| true).unwrap().unwrap();
    assert_eq!(picked.descriptor, image);
    assert_eq!(picked.manifest.unwrap().layers.len(), 1);
    layout.sweep(|_| true, |_| Ok(())).unwrap();
    assert_eq!(blobs(&layout), 3, "held");
    drop(holder);
    layout
        .sweep(
            |_| true,
            |live| {
                assert!(live.is_empty());
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(blobs(&layout), 0);
    assert!(layout.index().unwrap().manifests.is_empty());
}

#[test]
fn a_blob_is_checked_while_it_is_read() {
    let (_folder, layout) = layout();
    let draft = layout.draft();
    let blob = draft.put("text/plain", b"content").unwrap();
    assert_eq!(layout.bytes(&blob).unwrap(), b"content");
    for wrong in [&b"contenT"[..], b"conten", b"content!", b""] {
        fs::write(layout.blob(blob.digest), wrong).unwrap();
        let mut reader = layout.read(&blob).unwrap();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(matches!(verdict("x", &error), ImageError::Refused(_)));
        assert!(reader.finish().is_err(), "the verdict stays");
    }
}

#[test]
fn a_document_that_claims_to_be_large_is_not_read() {
    let (_folder, layout) = layout();
    let mut blob = layout.draft().put("text/plain", b"x").unwrap();
    blob.size = MAX_DOCUMENT + 1;
    assert!(matches!(layout.bytes(&blob), Err(ImageError::Refused(_))));
}

#[test]
fn a_full_disk_is_told_apart() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert!(matches!(
        failed(Path::new("x"), &full),
        ImageError::DiskFull
    ));
    let wrapped = io::Error::new(io::ErrorKind::StorageFull, full);
    assert!(matches!(verdict("x", &wrapped), ImageError::DiskFull));
    // The kernel's own full disk.
    let Ok(mut device) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let error = device.write_all(b"x").unwrap_err();
    assert!(matches!(
        failed(Path::new("x"), &error),
        ImageError::DiskFull
    ));
}
