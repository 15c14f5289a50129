use std::{fs, sync::atomic::Ordering};

use lusk_contract::{ImageSource, StoredImage};
use lusk_domain::RuntimeKind;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    document::{CONFIG_TYPE, Config, INDEX_TYPE, LAYER_TYPE, MANIFEST_TYPE, Manifest, REF_NAME},
    testing::{Heard, Node, environment, names, wish},
};

fn key(packages: &[&str]) -> ImageKey {
    ImageKey::of(&environment(packages))
}

fn rules(unused_for: u64, keep: &[&ImageKey]) -> PruneRules {
    PruneRules {
        keep: keep.iter().map(|key| (*key).clone()).collect(),
        unused_for: std::time::Duration::from_secs(unused_for),
    }
}

#[tokio::test]
async fn a_built_image_is_found_after_a_restart() {
    let node = Node::new();
    let heard = Heard::default();
    let built = node.images().ensure(&wish(&["a=1", "b"]), &heard).await;
    let built = built.unwrap();
    assert_eq!(built.source, ImageSource::Built);
    assert_eq!(built.record.runtime, RuntimeKind::Python);
    assert_eq!(heard.warnings(), ["a remark"]);
    let found = node.ensure(&["b", "a=1"]).await;
    assert_eq!((found.source, found.moved_bytes), (ImageSource::Local, 0));
    assert_eq!(found.record, built.record);
    assert_eq!(node.built(), 1);
    let site = found.files.packages.clone().unwrap();
    let module = fs::read_to_string(site.join("a/__init__.py")).unwrap();
    assert_eq!(module, "version = '1'\n");
    assert_eq!(names(&site.join("a")), ["__init__.py", "noise.bin"]);
    assert_eq!(found.files.interpreter, None);
    node.assert_clean();
}

#[tokio::test]
async fn native_code_makes_a_process_of_it() {
    let node = Node::new();
    let built = node.ensure(&["native-x=2", "a"]).await;
    assert_eq!(built.record.runtime, RuntimeKind::Process);
    assert_eq!(built.record.native, ["native-x"]);
    assert!(built.files.interpreter.is_some());
    assert_eq!(
        node.ensure(&["native-x=2", "a"]).await.source,
        ImageSource::Local
    );
}

#[tokio::test]
async fn an_image_without_packages_has_no_folder() {
    let node = Node::new();
    let built = node.ensure(&[]).await;
    assert_eq!(built.files.packages, None);
    assert!(built.record.bytes > 0);
}

#[tokio::test]
async fn the_layout_is_the_one_of_the_specification() {
    let node = Node::new();
    let built = node.ensure(&["a=1"]).await;
    let marker = fs::read_to_string(node.layout().join("oci-layout")).unwrap();
    assert_eq!(marker, r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = node.index();
    assert_eq!(index.media_type, INDEX_TYPE);
    let descriptor = &index.manifests[0];
    assert_eq!(descriptor.digest.to_string(), built.record.manifest);
    assert_eq!(descriptor.media_type, MANIFEST_TYPE);
    let name = format!("azureml/azureml_{}:python3.14-wasm", built.record.key);
    assert_eq!(descriptor.annotations[REF_NAME], name);

    let layout = node.images().inner.layout.clone();
    let manifest: Manifest = layout.document(descriptor).unwrap();
    assert_eq!(manifest.config.media_type, CONFIG_TYPE);
    let config: Config = layout.document(&manifest.config).unwrap();
    assert_eq!(config.rootfs.diff_ids.len(), manifest.layers.len());
    for (layer, diff_id) in manifest.layers.iter().zip(config.rootfs.diff_ids) {
        assert_eq!(layer.media_type, LAYER_TYPE);
        let layer = zstd::decode_all(layout.read(layer).unwrap()).unwrap();
        assert_eq!(Digest::of(&layer), diff_id);
    }
}

#[tokio::test]
async fn environments_that_share_a_package_store_it_once() {
    let node = Node::new();
    let first = node.ensure(&["a=1", "b=1"]).await;
    let before = node.blobs().len();
    node.ensure(&["a=1", "c=1"]).await;
    // Its own: the description, `c`, the configuration, the manifest.
    assert_eq!(node.blobs().len(), before + 4);
    let shown = node.images().show(&first.record.key).await.unwrap();
    let layers = &shown[0].layers;
    let sharing: Vec<_> = layers
        .iter()
        .map(|layer| (layer.package.as_deref(), layer.images))
        .collect();
    assert_eq!(sharing, [(None, 1), (Some("a 1"), 2), (Some("b 1"), 1)]);
    assert_eq!(shown[0].lock, "a==1\nb==1\n");
    assert_eq!(shown[0].ingredients["python"]["conda"][0], "a=1");
    let unpacked = names(&node.layout().join("unpacked/layers"));
    assert_eq!(unpacked.len(), 3);
}

#[tokio::test]
async fn the_same_environment_makes_the_same_layers_anywhere() {
    let (here, there) = (Node::new(), Node::new());
    let layers = async |node: &Node| {
        let built = node.ensure(&["a=1", "native-b=2"]).await;
        let shown = node.images().show(&built.record.key).await.unwrap();
        shown[0].layers.clone()
    };
    assert_eq!(layers(&here).await, layers(&there).await);
}

#[tokio::test]
async fn fifty_callers_build_once() {
    let mut node = Node::new();
    let gate = Arc::new(Semaphore::new(0));
    node.builds = Arc::new(crate::testing::FakeBuilds {
        gate: Some(Arc::clone(&gate)),
        ..Default::default()
    });
    let images = node.images();
    let call = || {
        let images = images.clone();
        tokio::spawn(async move {
            let ready = images.ensure(&wish(&["a"]), &Heard::default()).await;
            ready.unwrap().record.manifest
        })
    };
    let leader = call();
    let callers: Vec<_> = (0..50).map(|_| call()).collect();
    leader.abort();
    gate.add_permits(100);
    let mut manifests = Vec::new();
    for caller in callers {
        manifests.push(caller.await.unwrap());
    }
    manifests.dedup();
    assert_eq!(manifests.len(), 1);
    assert_eq!(node.built(), 1);
}

#[tokio::test]
async fn rebuild_builds_though_it_is_there() {
    let node = Node::new();
    node.ensure(&["a"]).await;
    let again = ImageWish {
        rebuild: true,
        ..wish(&["a"])
    };
    let built = node.images().ensure(&again, &Heard::default()).await;
    assert_eq!(built.unwrap().source, ImageSource::Built);
    assert_eq!(node.built(), 2);
    assert_eq!(node.index().manifests.len(), 1);
}

#[tokio::test]
async fn a_failed_build_leaves_nothing_and_can_be_tried_again() {
    let node = Node::new();
    node.builds.fails.store(true, Ordering::SeqCst);
    let failed = node.images().ensure(&wish(&["a"]), &Heard::default()).await;
    assert!(matches!(failed, Err(ImageError::Unsupported(_))));
    assert_eq!(node.blobs(), Vec::<String>::new());
    node.assert_clean();
    node.builds.fails.store(false, Ordering::SeqCst);
    assert_eq!(node.ensure(&["a"]).await.source, ImageSource::Built);
}

#[tokio::test]
async fn a_python_that_an_image_lacks_is_named_rather_than_what_builds() {
    let node = Node::new();
    node.ensure(&["native-c"]).await;
    node.builds.pythonless.store(true, Ordering::SeqCst);
    for (packages, expected) in [
        (&["native-c"], "no Python 3.11 here"),
        (&["native-d"], "install uv"),
    ] {
        let (wish, heard) = (wish(packages), Heard::default());
        let failed = node.images().ensure(&wish, &heard).await;
        let said = failed.unwrap_err().to_string();
        assert!(said.ends_with(expected), "{said}");
    }
}

/// Names of what an image of the node is made of, the manifest last.
fn parts(node: &Node) -> Vec<String> {
    let named = node.index().manifests[0].clone();
    let manifest: Manifest = node.images().inner.layout.document(&named).unwrap();
    let all = manifest.blobs().chain([&named]);
    all.map(|blob| blob.digest.to_hex()).collect()
}

#[tokio::test]
async fn every_damage_is_found_and_mended() {
    let node = Node::new();
    node.ensure(&["a=1"]).await;
    for part in 0..parts(&node).len() {
        for damage in ["cut", "changed", "gone"] {
            let name = &parts(&node)[part];
            let blob = node.layout().join("blobs/sha256").join(name);
            let mut content = fs::read(&blob).unwrap();
            let half = content.len() / 2;
            match damage {
                "cut" => fs::write(&blob, &content[..half]).unwrap(),
                "gone" => fs::remove_file(&blob).unwrap(),
                _ => {
                    content[half] ^= 1;
                    fs::write(&blob, content).unwrap();
                }
            }
            fs::remove_dir_all(node.layout().join("unpacked")).unwrap();
            let heard = Heard::default();
            let images = node.images();
            let mended = images.ensure(&wish(&["a=1"]), &heard).await.unwrap();
            assert_eq!(mended.source, ImageSource::Built, "{part} {damage}");
            let warnings = heard.warnings();
            assert!(
                warnings[0].starts_with("image of this node"),
                "{warnings:?}"
            );
            let found = node.ensure(&["a=1"]).await;
            assert_eq!(found.source, ImageSource::Local);
        }
    }
    let rules = rules(3600, &[]);
    node.images().prune(&rules).await.unwrap();
    assert_eq!(node.blobs().len(), parts(&node).len());
}

#[tokio::test]
async fn a_broken_index_is_an_error_that_says_the_way_out() {
    let node = Node::new();
    let images = node.images();
    fs::write(node.layout().join("index.json"), "[").unwrap();
    let error = images.ensure(&wish(&[]), &Heard::default()).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("images are built again when it is gone"),
        "{error}"
    );
}

#[tokio::test]
async fn images_are_listed_with_what_became_of_them() {
    let node = Node::new();
    let images = node.images();
    let heard = Heard::default();
    images.ensure(&wish(&["a"]), &heard).await.unwrap();
    images.ensure(&wish(&["b"]), &heard).await.unwrap();
    images.ensure(&wish(&["a"]), &heard).await.unwrap();
    let listed = node.images().list().await.unwrap();
    let seen = |it: &StoredImage| (it.record.key.clone(), it.hits, it.misses, it.source);
    let all: Vec<_> = listed.iter().map(seen).collect();
    let built = ImageSource::Built;
    assert_eq!(
        all,
        [(key(&["a"]), 1, 1, built), (key(&["b"]), 0, 1, built)]
    );
    let missing = images.show(&key(&["other"])).await;
    assert!(matches!(missing, Err(ImageError::NotFound(_))));
}

#[tokio::test]
async fn prune_keeps_what_is_wanted_recent_or_in_use() {
    let node = Node::new();
    let images = node.images();
    let heard = Heard::default();
    let used = images.ensure(&wish(&["used", "s"]), &heard).await.unwrap();
    images.ensure(&wish(&["kept", "s"]), &heard).await.unwrap();
    images.ensure(&wish(&["old", "s"]), &heard).await.unwrap();
    let recent = images.prune(&rules(3600, &[])).await.unwrap();
    assert_eq!((recent.images.len(), recent.bytes), (0, 0));

    let kept = key(&["kept", "s"]);
    let pruned = images.prune(&rules(0, &[&kept])).await.unwrap();
    let gone: Vec<_> = pruned.images.iter().map(|it| it.key.clone()).collect();
    assert_eq!(gone, [key(&["old", "s"])]);
    // Its own package, stored and unpacked; the shared one stays.
    let least = 2 * crate::testing::PACKAGE_BYTES as u64;
    assert!(
        (least..least + 20_000).contains(&pruned.bytes),
        "{}",
        pruned.bytes
    );
    assert!(
        used.files
            .packages
            .as_ref()
            .unwrap()
            .join("used/noise.bin")
            .exists()
    );
    assert_eq!(node.index().manifests.len(), 2);
    assert_eq!(node.ensure(&["used", "s"]).await.source, ImageSource::Local);

    drop(used);
    let pruned = images.prune(&rules(0, &[])).await.unwrap();
    assert_eq!(pruned.images.len(), 2);
    assert_eq!(node.blobs(), Vec::<String>::new());
    for folder in ["layers", "images"] {
        assert!(names(&node.layout().join("unpacked").join(folder)).is_empty());
    }
    assert!(images.list().await.unwrap().is_empty());
    node.assert_clean();
}

#[tokio::test]
async fn prune_removes_what_a_crash_has_left() {
    let node = Node::new();
    let built = node.ensure(&["a"]).await;
    let blobs = node.layout().join("blobs/sha256");
    fs::write(blobs.join("0".repeat(64)), "left").unwrap();
    let half = node.layout().join("unpacked/images").join("1".repeat(64));
    fs::create_dir_all(half.join("site-packages")).unwrap();
    fs::write(half.join("site-packages/x.py"), "left").unwrap();
    let pruned = node.images().prune(&rules(3600, &[])).await.unwrap();
    assert_eq!((pruned.images.len(), pruned.bytes), (0, 8));
    assert!(!half.exists());
    assert_eq!(node.ensure(&["a"]).await.record, built.record);
}

#[tokio::test]
async fn pruning_and_using_at_the_same_time_loses_nothing() {
    let node = Node::new();
    let images = node.images();
    let user = tokio::spawn({
        let images = images.clone();
        async move {
            for round in 0..60 {
                let name = format!("p{}", round % 3);
                let ready = images.ensure(&wish(&[&name, "s"]), &Heard::default()).await;
                let files = ready.unwrap().files;
                let site = files.packages.clone().unwrap();
                for package in [name.as_str(), "s"] {
                    assert!(site.join(package).join("noise.bin").exists());
                }
            }
        }
    });
    while !user.is_finished() {
        images.prune(&rules(0, &[])).await.unwrap();
    }
    user.await.unwrap();
    node.assert_clean();
}

#[tokio::test]
async fn the_bill_of_materials_names_the_packages() {
    let node = Node::new();
    let built = node.ensure(&["a=1.5"]).await;
    let sbom = node.images().sbom(&built.record.key).await.unwrap();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    assert_eq!(sbom["components"][0]["name"], "a");
    assert_eq!(sbom["components"][0]["version"], "1.5");
}
