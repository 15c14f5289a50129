//! Images through the door, with a double that remembers what was asked.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use lusk_contract::{
    ByteStream, ImageDetail, ImageError, ImageLayer, ImageRecord, ImageSource, ImageWish, Progress,
    PruneRules, Pruned, Pushed, ReadyImage, StoredImage,
};
use lusk_domain::{ImageKey, RuntimeKind, Step, StepOutcome};

use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// One image, in two variants that share a layer.
#[derive(Debug, Default)]
struct OneImage {
    builder: StubImages,
    rules: Mutex<Option<PruneRules>>,
    imported: Mutex<Vec<u8>>,
}

impl OneImage {
    fn stored(variant: &str) -> StoredImage {
        StoredImage {
            record: ImageRecord {
                key: KEY.parse().unwrap(),
                variant: variant.to_owned(),
                manifest: format!("sha256:{variant}"),
                built: jiff::Timestamp::UNIX_EPOCH,
                runtime: RuntimeKind::Python,
                native: Vec::new(),
                bytes: 30,
            },
            hits: 3,
            misses: 1,
            last_used: jiff::Timestamp::UNIX_EPOCH,
            source: ImageSource::Workspace,
            moved_bytes: 30,
        }
    }

    fn check(key: &ImageKey) -> Result<(), ImageError> {
        if key.as_str() == KEY {
            return Ok(());
        }
        Err(ImageError::NotFound(key.to_string()))
    }
}

#[async_trait]
impl Images for OneImage {
    async fn ensure(
        &self,
        wish: &ImageWish,
        progress: &dyn Progress,
    ) -> Result<ReadyImage, ImageError> {
        self.builder.ensure(wish, progress).await
    }

    async fn list(&self) -> Result<Vec<StoredImage>, ImageError> {
        Ok(vec![Self::stored("a"), Self::stored("b")])
    }

    async fn show(&self, key: &ImageKey) -> Result<Vec<ImageDetail>, ImageError> {
        Self::check(key)?;
        let layer = |content: &str, images| ImageLayer {
            digest: Digest::of(content.as_bytes()),
            bytes: 10,
            package: Some(format!("{content} 1.0")),
            images,
        };
        let detail = |variant: &str| ImageDetail {
            image: Self::stored(variant),
            ingredients: json!({"spark": []}),
            lock: "six==1.17.0".to_owned(),
            layers: vec![layer("six", 2), layer(variant, 1)],
        };
        Ok(vec![detail("a"), detail("b")])
    }

    async fn push(&self, key: &ImageKey, progress: &dyn Progress) -> Result<Pushed, ImageError> {
        progress.event(Step::Image, StepOutcome::Running, &format!("pushing {key}"));
        Err(ImageError::Registry {
            registry: "reg:5000".to_owned(),
            message: "answered 500".to_owned(),
        })
    }

    async fn pull(
        &self,
        key: &ImageKey,
        _progress: &dyn Progress,
    ) -> Result<Vec<StoredImage>, ImageError> {
        Self::check(key)?;
        Ok(vec![Self::stored("a")])
    }

    async fn prune(&self, rules: &PruneRules) -> Result<Pruned, ImageError> {
        *self.rules.lock().unwrap() = Some(rules.clone());
        Ok(Pruned {
            images: vec![Self::stored("b").record],
            bytes: 20,
        })
    }

    async fn export(&self, key: &ImageKey) -> Result<ByteStream, ImageError> {
        Self::check(key)?;
        let parts = ["one", "two"].map(|part| Ok(Bytes::from(part)));
        Ok(stream::iter(parts).boxed())
    }

    async fn import(&self, mut archive: ByteStream) -> Result<Vec<StoredImage>, ImageError> {
        while let Some(part) = archive.next().await {
            let part = part?;
            if part.starts_with(b"bad") {
                return Err(ImageError::Refused("bad archive".to_owned()));
            }
            self.imported.lock().unwrap().extend(part);
        }
        Ok(vec![Self::stored("a")])
    }

    async fn sbom(&self, key: &ImageKey) -> Result<Value, ImageError> {
        Self::check(key)?;
        Ok(json!({"bomFormat": "CycloneDX"}))
    }
}

async fn door() -> (Door, Arc<OneImage>) {
    let images = Arc::new(OneImage::default());
    (Door::with(images.clone()).await, images)
}

fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let lines = reply.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn images_are_listed_with_what_they_save() {
    let (door, _) = door().await;
    let list = door.ask("GET", "/images", Value::Null).await.json();
    assert_eq!(list["value"][0]["key"], KEY);
    assert_eq!(list["value"][1]["variant"], "b");
    assert_eq!(list["value"][1]["source"], "workspace");
    assert_eq!(
        list["summary"],
        json!({"hits": 6, "misses": 2, "movedBytes": 60, "sharedBytes": 10})
    );
}

#[tokio::test]
async fn an_image_is_shown_under_its_key_and_its_repository() {
    let (door, _) = door().await;
    for key in [KEY.to_owned(), format!("azureml%2Fazureml_{KEY}")] {
        let path = format!("/images/{key}");
        let shown = door.ask("GET", &path, Value::Null).await.json();
        assert_eq!(shown["images"][0]["layers"][0]["images"], 2);
        assert_eq!(shown["images"][1]["lock"], "six==1.17.0");
    }
    let absent = KEY.replace('0', "f");
    for path in ["", "/export", "/sbom", "/push"] {
        let method = if path == "/push" { "POST" } else { "GET" };
        let path = format!("/images/{absent}{path}");
        let reply = door.ask(method, &path, Value::Null).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
    }
    let reply = door.ask("GET", "/images/none", Value::Null).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn a_build_tells_how_it_goes() {
    let (door, _) = door().await;
    let body = json!({"environment": {"name": "e"}, "rebuild": true});
    let seen = lines(&door.ask("POST", "/images", body.clone()).await);
    assert_eq!(seen[0]["event"]["step"], "image");
    assert_eq!(seen.last().unwrap()["result"]["source"], "built");
    let seen = lines(&door.ask("POST", "/images", body).await);
    assert_eq!(seen.last().unwrap()["result"]["source"], "local");

    let named = json!({"environmentReference": {"name": "e"}});
    let refused = door.ask("POST", "/images", named.clone()).await;
    assert_eq!(refused.status, 404);
    door.ask("POST", "/environments", json!({"name": "e"}))
        .await;
    let seen = lines(&door.ask("POST", "/images", named).await);
    assert!(seen.last().unwrap()["result"]["key"].is_string());

    for body in [
        json!({}),
        json!({"environment": {}, "environmentReference": {"name": "e"}}),
        json!({"environment": {}, "runtime": "wasm"}),
    ] {
        assert_eq!(door.ask("POST", "/images", body).await.status, 400);
    }
}

#[tokio::test]
async fn what_fails_after_the_beginning_is_the_last_line() {
    let (door, _) = door().await;
    let path = format!("/images/{KEY}/push");
    let reply = door.ask("POST", &path, Value::Null).await;
    let seen = lines(&reply);
    assert_eq!(seen[0]["event"]["text"], format!("pushing {KEY}"));
    let error = &seen[1]["error"];
    assert_eq!(error["statusCode"], 502);
    assert_eq!(error["message"], "registry `reg:5000`: answered 500");
    assert_eq!(
        error["correlation"]["RequestId"],
        reply.header("x-ms-request-id")
    );
    let path = format!("/images/{KEY}/pull");
    let seen = lines(&door.ask("POST", &path, Value::Null).await);
    assert_eq!(seen[0]["result"][0]["movedBytes"], 30);
}

#[tokio::test]
async fn pruning_keeps_the_images_of_services() {
    let (door, images) = door().await;
    let body = json!({"unusedForSeconds": 60});
    let pruned = door.ask("POST", "/images/prune", body).await.json();
    assert_eq!(
        (&pruned["bytes"], &pruned["images"][0]["variant"]),
        (&json!(20), &json!("b"))
    );
    let rules = images.rules.lock().unwrap().clone().unwrap();
    assert_eq!(rules.unused_for, Duration::from_secs(60));
    assert!(rules.keep.is_empty());
}

#[tokio::test]
async fn archives_go_out_and_come_in_as_streams() {
    let (door, images) = door().await;
    let path = format!("/images/{KEY}/export");
    let reply = door.ask("GET", &path, Value::Null).await;
    assert_eq!(
        (reply.header("content-type"), reply.text.as_str()),
        ("application/x-tar", "onetwo")
    );

    let path = "/workspaces/local/images/import";
    let parts = stream::iter(["a", "b"].map(Ok::<_, std::io::Error>));
    let reply = door.send("POST", path, Body::from_stream(parts)).await;
    assert_eq!(reply.json()["value"][0]["key"], KEY);
    assert_eq!(*images.imported.lock().unwrap(), b"ab");
    let reply = door.send("POST", path, "bad").await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("bad archive"), "{}", reply.text);

    let path = format!("/images/{KEY}/sbom");
    let reply = door.ask("GET", &path, Value::Null).await;
    assert_eq!(reply.json()["bomFormat"], "CycloneDX");
}
