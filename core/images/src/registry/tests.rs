//! The chain against a registry that misbehaves.

use std::{sync::Arc, time::Duration};

use lusk_contract::{ImageError, ImageSource, Images as _, ReadyImage};
use lusk_domain::{Digest, ImageKey};
use serde_json::{Value, json};

use super::fake::{Door, FakeRegistry, Fault};
use crate::{
    document::PACKAGE,
    testing::{Heard, Node, PACKAGE_BYTES, environment, noise, sandbox, wish},
};

const PACKAGES: [&str; 2] = ["a=1", "b=1"];

/// A registry that a node has sent an image to.
async fn filled() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    Node::with(registry.address()).ensure(&PACKAGES).await;
    registry.forget_asked();
    registry
}

async fn ensure(node: &Node) -> (ReadyImage, Vec<String>) {
    let heard = Heard::default();
    let ready = node.images().ensure(&wish(&PACKAGES), &heard).await;
    (ready.unwrap(), heard.warnings())
}

fn key() -> ImageKey {
    ImageKey::of(&environment(&PACKAGES))
}

#[tokio::test]
async fn a_push_after_a_build_is_told() {
    let registry = FakeRegistry::start().await;
    let (node, heard) = (Node::with(registry.address()), Heard::default());
    let wish = wish(&PACKAGES);
    node.images().ensure(&wish, &heard).await.unwrap();
    let said = heard.text();
    let pushed = said.lines().find(|line| line.starts_with("pushed to "));
    assert!(pushed.unwrap_or_default().ends_with(" MiB sent"), "{said}");
    let error = Node::new().images().push(&key(), &heard).await.unwrap_err();
    assert!(
        error.to_string().contains("`lusk up --registry HOST`"),
        "{error}"
    );
}

#[tokio::test]
async fn what_one_node_has_built_another_fetches() {
    let registry = FakeRegistry::start().await;
    let first = Node::with(registry.address());
    let built = first.ensure(&PACKAGES).await;
    assert_eq!(built.source, ImageSource::Built);
    assert_eq!(registry.tags(), ["latest", "python3.14-wasm"]);
    assert_eq!(registry.uploads(), 0);
    let sent = first.images().list().await.unwrap()[0].moved_bytes;
    assert!(sent > 2 * PACKAGE_BYTES as u64);

    let second = Node::with(registry.address());
    let (found, warnings) = ensure(&second).await;
    assert_eq!(found.source, ImageSource::Workspace);
    assert_eq!(found.record, built.record);
    assert_eq!(found.moved_bytes, sent);
    assert_eq!((second.built(), warnings.len()), (0, 0));
    assert!(
        found
            .files
            .packages
            .as_ref()
            .unwrap()
            .join("a/noise.bin")
            .exists()
    );
    let listed = &second.images().list().await.unwrap()[0];
    assert_eq!((listed.hits, listed.misses), (0, 1));
    assert_eq!(listed.source, ImageSource::Workspace);
    second.assert_clean();
}

#[tokio::test]
async fn only_what_is_missing_moves() {
    let registry = filled().await;
    let node = Node::with(registry.address());
    node.ensure(&["a=1"]).await;
    let blobs = registry.blobs();
    registry.forget_asked();
    let (found, _) = ensure(&node).await;
    // `a` is here already; `b`, the description and the configuration are not.
    assert_eq!(registry.asked("GET /v2/azureml"), 4);
    assert!(found.moved_bytes < 2 * PACKAGE_BYTES as u64);
    registry.forget_asked();
    let pushed = node.images().push(&key(), &Heard::default()).await.unwrap();
    assert_eq!(registry.asked("POST"), 0, "all blobs were there");
    assert_eq!(registry.blobs(), blobs);
    assert!(pushed.moved_bytes < 5_000);
    let host = registry.address().trim_start_matches("http://");
    let name = format!("{host}/azureml/azureml_{}", key());
    let tags = ["latest", "python3.14-wasm"].map(|tag| format!("{name}:{tag}"));
    assert_eq!(pushed.references, tags);
}

#[tokio::test]
async fn the_global_registry_comes_after_the_workspace_one() {
    let (global, workspace) = (filled().await, FakeRegistry::start().await);
    let mut node = Node::with(workspace.address());
    node.global = Some(global.address().parse().unwrap());
    let (found, warnings) = ensure(&node).await;
    assert_eq!(found.source, ImageSource::Global);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(workspace.asked("GET"), 2, "each variant");
    assert_eq!(node.built(), 0);
}

#[tokio::test]
async fn a_registry_that_is_down_is_a_warning() {
    let address = FakeRegistry::start().await.address().to_owned();
    let node = Node::with(&address);
    let (built, warnings) = ensure(&node).await;
    assert_eq!(built.source, ImageSource::Built);
    let host = address.trim_start_matches("http://");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    let start = format!("workspace registry is passed over: registry `{host}`");
    assert!(warnings[0].starts_with(&start), "{warnings:?}");
    assert!(warnings[0].contains("not reachable"), "{warnings:?}");
    assert!(
        warnings[2].starts_with("image is not in the workspace"),
        "{warnings:?}"
    );
    let error = node.images().pull(&key(), &Heard::default()).await;
    assert!(matches!(error, Err(ImageError::Registry { .. })));
}

#[tokio::test]
async fn passwords_and_tokens_open_doors() {
    for door in [Door::Basic, Door::Bearer] {
        let registry = FakeRegistry::start_with(door.clone(), true).await;
        let mut node = Node::with(registry.address());
        let (_, warnings) = ensure(&node).await;
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[0].contains("401"), "{warnings:?}");
        assert!(warnings[0].contains("check the user name"), "{warnings:?}");
        node.variables = vec![
            ("LUSK_REGISTRY_USERNAME".to_owned(), "me".to_owned()),
            ("LUSK_REGISTRY_PASSWORD".to_owned(), "secret".to_owned()),
        ];
        let debug = format!("{:?}", node.images());
        assert!(!debug.contains("secret"), "{debug}");
        node.images().push(&key(), &Heard::default()).await.unwrap();
        let tokens = registry.asked("/token");
        assert_eq!(tokens > 0, door == Door::Bearer);
        let mut other = Node::with(registry.address());
        other.variables = node.variables.clone();
        let (found, warnings) = ensure(&other).await;
        assert_eq!((found.source, warnings.len()), (ImageSource::Workspace, 0));
        if door == Door::Bearer {
            let more = registry.asked("/token") - tokens;
            assert_eq!(more, 1, "a token serves until it ends");
        }
        other.variables[1].1 = "wrong".to_owned();
        let refused = other.images().pull(&key(), &Heard::default()).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("401"), "{refused}");
        assert!(!refused.contains("wrong"), "{refused}");
    }
}

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    for status in [429, 500, 503] {
        let registry = filled().await;
        let soon = || vec![("retry-after", "0".to_owned())];
        registry.fault("GET", Fault::Status(status, soon()));
        registry.fault("/blobs/", Fault::Status(status, Vec::new()));
        let node = Node::with(registry.address());
        let (found, warnings) = ensure(&node).await;
        assert_eq!(found.source, ImageSource::Workspace);
        assert_eq!(warnings, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_registry_that_stays_busy_is_given_up() {
    let registry = filled().await;
    for _ in 0..3 {
        registry.fault("GET", Fault::Status(500, Vec::new()));
    }
    let (built, warnings) = ensure(&Node::with(registry.address())).await;
    assert_eq!(built.source, ImageSource::Built);
    let host = registry.address().trim_start_matches("http://");
    assert_eq!(
        warnings[0],
        format!(
            "workspace registry is passed over: registry `{host}`: fetching the manifest of \
             `python3.14-wasm`: it answered 500 Internal Server Error (as the test wants); try \
             again later, tried 3 times"
        )
    );
    registry.forget_asked();
    let hour = vec![("retry-after", "3600".to_owned())];
    registry.fault("GET", Fault::Status(429, hour));
    let node = Node::with(registry.address());
    let (_, warnings) = ensure(&node).await;
    assert!(warnings[0].contains("asks to wait 3600 s"), "{warnings:?}");
    assert_eq!(registry.asked("GET"), 1, "not asked again");
}

#[tokio::test]
async fn a_blob_that_breaks_off_goes_on_where_it_stopped() {
    for ranges in [true, false] {
        let registry = FakeRegistry::start_with(Door::Open, ranges).await;
        Node::with(registry.address()).ensure(&PACKAGES).await;
        let largest = registry.largest();
        registry.fault(&largest, Fault::Break(70_000));
        registry.fault(&largest, Fault::Break(30_000));
        let node = Node::with(registry.address());
        let (found, warnings) = ensure(&node).await;
        assert_eq!(found.source, ImageSource::Workspace);
        assert_eq!(warnings, Vec::<String>::new());
        let again = found.moved_bytes - found.record.bytes;
        match ranges {
            true => assert_eq!(again, 0, "nothing came twice"),
            false => assert!(again > 0),
        }
        node.assert_clean();
    }
}

#[tokio::test]
async fn a_blob_that_stalls_is_given_up_and_leaves_nothing() {
    let registry = filled().await;
    for _ in 0..3 {
        registry.fault(&registry.largest(), Fault::Stall(10_000));
    }
    let mut node = Node::with_global(registry.address());
    node.patience.stall = Duration::from_millis(300);
    let error = node.images().pull(&key(), &Heard::default()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no answer in time"), "{error}");
    assert_eq!(node.blobs(), Vec::<String>::new());
    node.assert_clean();
    let (built, _) = ensure(&node).await;
    assert_eq!(built.source, ImageSource::Global);
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_leaves_nothing() {
    let registry = filled().await;
    registry.fault(&registry.largest(), Fault::Stall(10_000));
    let node = Node::with_global(registry.address());
    let images = node.images();
    let pull = tokio::spawn({
        let images = images.clone();
        async move { images.pull(&key(), &Heard::default()).await.map(drop) }
    });
    while registry.asked(&registry.largest()) == 0 {
        tokio::task::yield_now().await;
    }
    pull.abort();
    assert!(pull.await.unwrap_err().is_cancelled());
    // A write that was under way ends by itself.
    while !crate::testing::names(&node.tmp()).is_empty() || !node.blobs().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lies_about_content_are_refused() {
    let registry = filled().await;
    for (of, fault) in [
        (registry.largest(), Fault::Lie),
        (registry.largest(), Fault::Endless),
        ("/manifests/".to_owned(), Fault::Lie),
        ("/manifests/".to_owned(), Fault::Endless),
    ] {
        let what = format!("{of} {fault:?}");
        registry.fault(&of, fault);
        let node = Node::with_global(registry.address());
        let (built, warnings) = ensure(&node).await;
        assert_eq!(built.source, ImageSource::Built, "{what}");
        assert_eq!(warnings.len(), 2, "{what} {warnings:?}");
        let start = "global registry is passed over: image refused";
        assert!(warnings[0].starts_with(start), "{what} {warnings:?}");
        node.assert_clean();
    }
}

#[tokio::test]
async fn an_image_must_be_the_one_that_was_asked_for() {
    let other = FakeRegistry::start().await;
    Node::with(other.address()).ensure(&["other"]).await;
    let registry = filled().await;
    let asked = key().to_string();
    let theirs = ImageKey::of(&environment(&["other"])).to_string();
    // What it calls itself is one thing, what it is made of another.
    registry.change_manifests(|manifest| {
        let text = String::from_utf8(manifest.to_vec()).unwrap();
        text.replace(&asked, &theirs).into_bytes()
    });
    let node = Node::with_global(registry.address());
    let (built, warnings) = ensure(&node).await;
    assert_eq!(built.source, ImageSource::Built);
    assert!(warnings[0].contains("when asked for"), "{warnings:?}");

    let layer = tar_of(&[
        ("lusk/environment.json", &br#"{"baseImage":"other"}"#[..]),
        ("lusk/packages.json", b"[]"),
        ("lusk/requirements.lock", b""),
    ]);
    registry.change_manifests(|manifest| {
        let mut manifest: Value = serde_json::from_slice(manifest).unwrap();
        manifest["annotations"]["lusk.image-key"] = json!(asked);
        manifest["layers"][0]["digest"] = json!(Digest::of(&layer).to_string());
        manifest["layers"][0]["size"] = json!(layer.len());
        manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar");
        serde_json::to_vec(&manifest).unwrap()
    });
    registry.add_blob(layer);
    let node = Node::with_global(registry.address());
    let (_, warnings) = ensure(&node).await;
    assert!(warnings[0].contains("its ingredients make"), "{warnings:?}");
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

#[tokio::test]
async fn a_hostile_layer_is_passed_over() {
    let registry = filled().await;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.as_gnu_mut().unwrap().name[..10].copy_from_slice(b"../../evil");
    header.set_cksum();
    archive.append(&header, &b""[..]).unwrap();
    let layer = archive.into_inner().unwrap();
    let size = layer.len();
    let digest = registry.add_blob(layer);
    registry.change_manifests(|manifest| {
        let mut manifest: Value = serde_json::from_slice(manifest).unwrap();
        manifest["layers"][1] = json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest.to_string(),
            "size": size,
            "annotations": { PACKAGE: "a 1" },
        });
        serde_json::to_vec(&manifest).unwrap()
    });
    let node = Node::with_global(registry.address());
    let error = node.images().pull(&key(), &Heard::default()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("leads out of its folder"), "{error}");
    assert_eq!(node.blobs(), Vec::<String>::new());
    node.assert_clean();
    let (built, warnings) = ensure(&node).await;
    assert_eq!(built.source, ImageSource::Built);
    assert!(
        warnings[0].contains("leads out of its folder"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_push_that_breaks_off_is_tried_again() {
    for method in ["POST", "PUT", "HEAD"] {
        let registry = FakeRegistry::start().await;
        for _ in 0..2 {
            registry.fault(method, Fault::Status(502, Vec::new()));
        }
        let (_, warnings) = ensure(&Node::with(registry.address())).await;
        assert_eq!(warnings, ["a remark"], "{method}");
        assert_eq!(registry.tags().len(), 2);
        assert_eq!(registry.uploads(), 0);
    }
}

#[tokio::test]
async fn a_shared_layer_that_cannot_be_taken_over_is_sent() {
    let registry = FakeRegistry::start().await;
    let node = Node::with(registry.address());
    node.ensure(&["a=1"]).await;
    let shared = registry.largest();
    // The fake knows one store for all; here it says that it has not.
    registry.fault(
        &format!("HEAD /v2/azureml/azureml_{}/blobs/{shared}", key()),
        Fault::Status(404, Vec::new()),
    );
    registry.forget_asked();
    let (_, warnings) = ensure(&node).await;
    assert_eq!(warnings, ["a remark"]);
    assert_eq!(registry.asked("DELETE"), 1, "the upload it began instead");
    assert_eq!(registry.uploads(), 0);
}

#[tokio::test]
async fn a_push_that_fails_is_a_warning_and_names_no_image() {
    let registry = FakeRegistry::start().await;
    registry.fault("POST", Fault::Status(403, Vec::new()));
    let node = Node::with(registry.address());
    let (built, warnings) = ensure(&node).await;
    assert_eq!(built.source, ImageSource::Built);
    assert!(warnings[1].starts_with("image is not in the workspace registry"));
    assert!(warnings[1].contains("403"), "{warnings:?}");
    assert_eq!(registry.tags(), Vec::<String>::new());
    node.images().push(&key(), &Heard::default()).await.unwrap();
    assert_eq!(registry.tags().len(), 2);
}

#[tokio::test]
async fn large_blobs_are_sent_in_chunks() {
    let registry = FakeRegistry::start().await;
    let node = Node::with(registry.address());
    let images = node.images();
    let inner = &images.inner;
    let draft = inner.layout.draft();
    let large = noise("large", 9 << 20);
    let blob = draft.put("text/plain", &large).unwrap();
    let image = node.ensure(&PACKAGES).await;
    assert_eq!(image.source, ImageSource::Built);
    let named = node.index().manifests[0].clone();
    let mut image = crate::image::Image::read(&inner.layout, &named).unwrap();
    image.manifest.layers.push(blob.clone());
    registry.forget_asked();
    registry.fault("PATCH", Fault::Status(500, Vec::new()));
    let registry_of_node = inner.workspace.as_ref().unwrap();
    let heard = Heard::default();
    let shared = inner.shared_layers(&image).unwrap();
    let sent = registry_of_node
        .send(&inner.layout, &image, &shared, &heard)
        .await;
    assert!(sent.unwrap().moved_bytes > 9 << 20);
    assert_eq!(registry.asked("PATCH"), 1 + 2);
    assert_eq!(registry.largest(), blob.digest.to_string());
    assert_eq!(registry.uploads(), 0, "the one that failed was called off");
}

#[tokio::test]
async fn pull_takes_what_this_machine_can_run() {
    let registry = FakeRegistry::start().await;
    let first = Node::with(registry.address());
    first.ensure(&["native-x"]).await;
    let native = ImageKey::of(&environment(&["native-x"]));
    let node = Node::with(registry.address());
    let images = node.images();
    let pulled = images.pull(&native, &Heard::default()).await.unwrap();
    assert_eq!(pulled.len(), 1);
    assert_eq!(pulled[0].source, ImageSource::Workspace);
    assert_eq!((pulled[0].hits, pulled[0].misses), (0, 0));
    assert_eq!(node.ensure(&["native-x"]).await.source, ImageSource::Local);
    let missing = images.pull(&key(), &Heard::default()).await;
    assert!(matches!(missing, Err(ImageError::NotFound(_))));
    let alone = Node::new();
    let refused = alone.images().push(&native, &Heard::default()).await;
    assert!(matches!(refused, Err(ImageError::Registry { .. })));
}

#[tokio::test]
async fn many_callers_fetch_once() {
    let registry = filled().await;
    let node = Node::with(registry.address());
    let images = Arc::new(node.images());
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let images = Arc::clone(&images);
            tokio::spawn(async move {
                let ready = images.ensure(&wish(&PACKAGES), &Heard::default()).await;
                ready.unwrap().record
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().variant, sandbox().tag);
    }
    assert_eq!(registry.asked(&registry.largest()), 1);
    assert_eq!(node.built(), 0);
}
