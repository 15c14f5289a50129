//! Images of this node on the wire.

use lusk_contract::{
    ImageDetail, ImageLayer, ImageRecord, Pruned, Pushed, ReadyImage, StoredImage,
};
use lusk_domain::ImageKey;
use serde_json::{Map, Value, json};

use super::service_json::time;

fn record(record: &ImageRecord) -> Value {
    json!({
        "key": record.key.as_str(),
        "imageId": record.key.repository(),
        "variant": record.variant,
        "runtime": record.runtime,
        "digest": record.manifest,
        "builtTime": time(record.built),
        "native": record.native,
        "bytes": record.bytes,
    })
}

fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// An image and what became of it.
pub(crate) fn stored(image: &StoredImage) -> Value {
    let more = json!({
        "hits": image.hits,
        "misses": image.misses,
        "lastUsedTime": time(image.last_used),
        "source": image.source,
        "movedBytes": image.moved_bytes,
    });
    with(record(&image.record), more)
}

/// The images of one key.
pub(crate) fn details(key: &ImageKey, details: &[ImageDetail]) -> Value {
    let first = details.first();
    json!({
        "key": key.as_str(),
        "imageId": key.repository(),
        "ingredients": first.map(|detail| &detail.ingredients),
        "images": details.iter().map(detail).collect::<Vec<_>>(),
    })
}

fn detail(detail: &ImageDetail) -> Value {
    let more = json!({
        "lock": detail.lock,
        "layers": detail.layers.iter().map(layer).collect::<Vec<_>>(),
    });
    with(stored(&detail.image), more)
}

fn layer(layer: &ImageLayer) -> Value {
    json!({
        "digest": layer.digest,
        "bytes": layer.bytes,
        "package": layer.package,
        "images": layer.images,
    })
}

/// An image that was made ready now.
pub(crate) fn ready(image: &ReadyImage) -> Value {
    let more = json!({ "source": image.source, "movedBytes": image.moved_bytes });
    with(record(&image.record), more)
}

/// What was sent to a registry.
pub(crate) fn pushed(pushed: &Pushed) -> Value {
    json!({ "references": pushed.references, "movedBytes": pushed.moved_bytes })
}

/// What was removed.
pub(crate) fn pruned(pruned: &Pruned) -> Value {
    let images: Vec<_> = pruned.images.iter().map(record).collect();
    json!({ "images": images, "bytes": pruned.bytes })
}

/// How the images of a node do together. `shared_bytes` is what layers that
/// several of them hold would take more if each had its own.
pub(crate) fn summary(images: &[StoredImage], shared_bytes: u64) -> Value {
    let sum = |count: fn(&StoredImage) -> u64| images.iter().map(count).sum::<u64>();
    let mut summary = Map::new();
    summary.insert("hits".to_owned(), json!(sum(|image| image.hits)));
    summary.insert("misses".to_owned(), json!(sum(|image| image.misses)));
    summary.insert(
        "movedBytes".to_owned(),
        json!(sum(|image| image.moved_bytes)),
    );
    summary.insert("sharedBytes".to_owned(), json!(shared_bytes));
    Value::Object(summary)
}
