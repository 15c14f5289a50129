use std::fs;

use lusk_domain::{CondaDependency, CondaSpec, DockerPlatform};
use tempfile::TempDir;

use super::*;
use crate::document::{INDEX_TYPE, Index};

struct Node {
    folder: TempDir,
    tmp: TempDir,
}

impl Node {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            tmp: tempfile::tempdir().unwrap(),
        }
    }

    fn images(&self) -> LocalImages {
        LocalImages::open(self.folder.path(), self.tmp.path(), "0.1.0").unwrap()
    }

    fn index(&self) -> Index {
        let text = fs::read(self.folder.path().join("index.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

fn environment(packages: &[&str]) -> Environment {
    let package = |line: &&str| CondaDependency::Package((*line).to_owned());
    let mut environment = Environment::default();
    environment.python.conda_dependencies = Some(CondaSpec {
        name: None,
        channels: Vec::new(),
        dependencies: packages.iter().map(package).collect(),
    });
    environment
}

#[tokio::test]
async fn a_built_image_is_found_after_a_restart() {
    let node = Node::new();
    let environment = environment(&["python", "numpy"]);
    let key = ImageKey::of(&environment);
    assert_eq!(node.images().find(&key).await.unwrap(), None);
    let (built, remarks) = node.images().build(&environment).await.unwrap();
    assert_eq!(built.key, key);
    assert_eq!(remarks, ["carried by lusk: numpy (a subset), python"]);
    let found = node.images().find(&key).await.unwrap().unwrap();
    assert_eq!(found, built);
    assert_eq!(fs::read_dir(node.tmp.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn names_and_variables_do_not_make_another_image() {
    let node = Node::new();
    let first = environment(&["numpy", "python"]);
    let mut second = environment(&["python", "numpy"]);
    second.name = Some("other".to_owned());
    second
        .environment_variables
        .insert("A".to_owned(), "1".to_owned());
    let images = node.images();
    let (one, _) = images.build(&first).await.unwrap();
    let (two, _) = images.build(&second).await.unwrap();
    assert_eq!(one, two);
    images.build(&environment(&["python"])).await.unwrap();
    assert_eq!(node.index().manifests.len(), 2);
}

#[tokio::test]
async fn the_layout_is_the_one_of_the_specification() {
    let node = Node::new();
    let environment = environment(&["scikit-learn"]);
    let (built, _) = node.images().build(&environment).await.unwrap();
    let marker = fs::read_to_string(node.folder.path().join("oci-layout")).unwrap();
    assert_eq!(marker, r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = node.index();
    assert_eq!(index.media_type, INDEX_TYPE);
    let descriptor = &index.manifests[0];
    assert_eq!(descriptor.digest.to_string(), built.manifest);
    assert_eq!(descriptor.media_type, MANIFEST_TYPE);
    let name = format!("azureml/azureml_{}:latest", built.key);
    assert_eq!(descriptor.annotations[REF_NAME], name);

    let layout = Layout::open(node.folder.path(), node.tmp.path()).unwrap();
    let manifest: Manifest = layout.get_document(descriptor).unwrap();
    assert_eq!(manifest.config.media_type, CONFIG_TYPE);
    let config: Config = layout.get_document(&manifest.config).unwrap();
    assert_eq!(config.rootfs.diff_ids, [manifest.layers[0].digest]);
    let layer = layout.get(&manifest.layers[0]).unwrap();
    let packages = file_of(&layer, PACKAGES).unwrap();
    let packages: serde_json::Value = serde_json::from_slice(&packages).unwrap();
    assert_eq!(packages[0]["name"], "scikit-learn");
    assert_eq!(packages[0]["carried"], false);
}

#[tokio::test]
async fn builds_at_the_same_time_make_one_image() {
    let node = Node::new();
    let images = node.images();
    let environment = environment(&["numpy"]);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (images, environment) = (images.clone(), environment.clone());
            tokio::spawn(async move { images.build(&environment).await.unwrap().0 })
        })
        .collect();
    let mut records = Vec::new();
    for task in tasks {
        records.push(task.await.unwrap());
    }
    records.dedup();
    assert_eq!(records.len(), 1);
    assert_eq!(node.index().manifests.len(), 1);
}

#[tokio::test]
async fn a_damaged_or_outdated_image_is_built_again() {
    let node = Node::new();
    let environment = environment(&["numpy"]);
    let key = ImageKey::of(&environment);
    let (built, _) = node.images().build(&environment).await.unwrap();
    let hex = built.manifest.strip_prefix("sha256:").unwrap();
    let manifest = node.folder.path().join("blobs/sha256").join(hex);
    fs::write(&manifest, "{}").unwrap();
    assert_eq!(node.images().find(&key).await.unwrap(), None);
    node.images().build(&environment).await.unwrap();
    assert!(node.images().find(&key).await.unwrap().is_some());

    let newer = LocalImages::open(node.folder.path(), node.tmp.path(), "0.2.0").unwrap();
    assert_eq!(newer.find(&key).await.unwrap(), None);
    newer.build(&environment).await.unwrap();
    assert!(newer.find(&key).await.unwrap().is_some());
    assert_eq!(node.index().manifests.len(), 1);
}

#[tokio::test]
async fn a_broken_index_is_an_error_that_says_the_way_out() {
    let node = Node::new();
    let images = node.images();
    fs::write(node.folder.path().join("index.json"), "[").unwrap();
    let error = images.build(&Environment::default()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("images are built again when it is gone"),
        "{error}"
    );
}

#[tokio::test]
async fn another_operating_system_is_refused() {
    let node = Node::new();
    let mut environment = environment(&[]);
    environment.docker.platform = Some(DockerPlatform {
        os: "Windows".to_owned(),
        architecture: "amd64".to_owned(),
    });
    let refused = node.images().build(&environment).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "environment cannot be built here: docker.platform.os is `Windows`, images are made for Linux only"
    );
}
