//! `lusk image …`: the short ones; files and scans have their own.

mod archive;
mod export;
mod import;
mod scan;

use http::{Method, StatusCode};
use lusk_domain::{Environment, ImageKey};
use lusk_manifest::environment_directory;
use serde_json::{Value, json};

use super::{
    Session, environment,
    model::{plain, seconds},
    service,
};
use crate::{
    cli::{Format, ImageArgs, ImageBuildArgs, ImageCommand, ImagePruneArgs},
    client::is_status,
    render::{self, Column, Trouble},
};

/// Runs a command.
///
/// # Errors
/// Whatever went wrong.
pub(crate) async fn run(session: &Session, command: ImageCommand) -> anyhow::Result<()> {
    let ran = dispatch(session, command).await;
    ran.map_err(|error| match is_absent(&error) {
        true => Trouble::new(error.root_cause().to_string())
            .with_help("`lusk image build` builds it, `lusk image pull` fetches it")
            .into(),
        false => error,
    })
}

/// Whether the node said that it does not have the image.
fn is_absent(error: &anyhow::Error) -> bool {
    is_status(error, StatusCode::NOT_FOUND)
        && error.root_cause().to_string().starts_with("no image `")
}

async fn dispatch(session: &Session, command: ImageCommand) -> anyhow::Result<()> {
    match command {
        ImageCommand::List => list(session).await,
        ImageCommand::Show(args) => show(session, &args).await,
        ImageCommand::Build(args) => build(session, &args).await,
        ImageCommand::Push(args) => push(session, &args).await,
        ImageCommand::Pull(args) => pull(session, &args).await,
        ImageCommand::Prune(args) => prune(session, &args).await,
        ImageCommand::Export(args) => export::run(session, &args).await,
        ImageCommand::Import(args) => import::run(session, &args).await,
        ImageCommand::Scan(args) => scan::run(session, &args).await,
    }
}

const LIST: [Column; 9] = [
    Column::new("KEY", |image| plain(&image["key"])),
    Column::new("VARIANT", |image| plain(&image["variant"])),
    Column::new("RUNTIME", |image| plain(&image["runtime"])),
    Column::new("SIZE", |image| size(&image["bytes"])),
    Column::new("HITS", |image| plain(&image["hits"])),
    Column::new("MISSES", |image| plain(&image["misses"])),
    Column::new("LAST USED", |image| seconds(&image["lastUsedTime"])),
    Column::new("SOURCE", |image| plain(&image["source"])),
    Column::new("MOVED", |image| size(&image["movedBytes"])),
];

const READY: [Column; 8] = [
    Column::new("Key", |image| plain(&image["key"])),
    Column::new("Image", |image| plain(&image["imageId"])),
    Column::new("Variant", |image| plain(&image["variant"])),
    Column::new("Runtime", |image| plain(&image["runtime"])),
    Column::new("Digest", |image| plain(&image["digest"])),
    Column::new("Size", |image| size(&image["bytes"])),
    Column::new("Source", |image| plain(&image["source"])),
    Column::new("Native", |image| joined(&image["native"])),
];

const SHOW: [Column; 14] = [
    Column::new("Key", |image| plain(&image["key"])),
    Column::new("Image", |image| plain(&image["imageId"])),
    Column::new("Variant", |image| plain(&image["variant"])),
    Column::new("Runtime", |image| plain(&image["runtime"])),
    Column::new("Native", |image| joined(&image["native"])),
    Column::new("Digest", |image| plain(&image["digest"])),
    Column::new("Size", |image| size(&image["bytes"])),
    Column::new("Built", |image| seconds(&image["builtTime"])),
    Column::new("Source", |image| plain(&image["source"])),
    Column::new("Last used", |image| seconds(&image["lastUsedTime"])),
    Column::new("Hits", hits),
    Column::new("Moved", |image| size(&image["movedBytes"])),
    Column::new("Packages", |image| {
        plain(&image["lock"]).trim_end().to_owned()
    }),
    Column::new("Layers", layers),
];

/// Bytes as a cell.
fn size(bytes: &Value) -> String {
    bytes.as_u64().map(render::size).unwrap_or_default()
}

fn joined(list: &Value) -> String {
    let items: Vec<_> = list.as_array().into_iter().flatten().map(plain).collect();
    items.join(", ")
}

fn hits(image: &Value) -> String {
    let count = |key: &str| image[key].as_u64().unwrap_or_default();
    ratio(count("hits"), count("misses"))
}

/// `3 of 4 (75 %)`.
fn ratio(hits: u64, misses: u64) -> String {
    let all = hits + misses;
    let percent = (hits * 100).checked_div(all).unwrap_or_default();
    format!("{hits} of {all} ({percent} %)")
}

fn layers(image: &Value) -> String {
    let layers = image["layers"].as_array();
    let lines: Vec<_> = layers.into_iter().flatten().map(layer).collect();
    lines.join("\n")
}

fn layer(layer: &Value) -> String {
    let digest = plain(&layer["digest"]);
    let digest = digest.get(..19).unwrap_or(&digest);
    let content = match layer["package"].as_str() {
        Some(package) => package.to_owned(),
        None => "description".to_owned(),
    };
    let shared = match layer["images"].as_u64() {
        Some(images @ 2..) => format!(", shared by {images}"),
        _ => String::new(),
    };
    format!("{digest}… {content}, {}{shared}", size(&layer["bytes"]))
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let mut reply = session.client().get("/images").await?;
    let images = reply["value"].take();
    let is_empty = images.as_array().is_none_or(Vec::is_empty);
    if is_empty {
        session.progress.say("no images");
    }
    render::data(session.format, &images, &LIST)?;
    if session.format == Format::Table && !is_empty {
        render::text(session.format, &summary_line(&reply["summary"]))?;
    }
    Ok(())
}

fn summary_line(summary: &Value) -> String {
    let count = |key: &str| summary[key].as_u64().unwrap_or_default();
    format!(
        "hits {}; {} moved; shared layers save {}",
        ratio(count("hits"), count("misses")),
        render::size(count("movedBytes")),
        render::size(count("sharedBytes"))
    )
}

async fn show(session: &Session, args: &ImageArgs) -> anyhow::Result<()> {
    let key = key(session, args).await?;
    let shown = session.client().get(&path(&key, "")).await?;
    match session.format {
        Format::Table => {}
        Format::Tsv => return render::data(session.format, &shown["images"], &SHOW),
        _ => return render::data(session.format, &shown, &[]),
    }
    let images = shown["images"].as_array();
    for (index, image) in images.into_iter().flatten().enumerate() {
        if index > 0 {
            render::text(session.format, "\n")?;
        }
        render::data(session.format, image, &SHOW)?;
    }
    Ok(())
}

async fn build(session: &Session, args: &ImageBuildArgs) -> anyhow::Result<()> {
    let mut body = environment_of(session, &args.image).await?;
    body["runtime"] = json!(args.runtime);
    body["rebuild"] = json!(args.rebuild);
    let ready = session.work("/images", Some(&body)).await?;
    render::data(session.format, &ready, &READY)
}

async fn push(session: &Session, args: &ImageArgs) -> anyhow::Result<()> {
    const COLUMNS: [Column; 2] = [
        Column::new("Pushed", |pushed| {
            joined(&pushed["references"]).replace(", ", "\n")
        }),
        Column::new("Moved", |pushed| size(&pushed["movedBytes"])),
    ];
    let key = key(session, args).await?;
    let pushed = session.work(&path(&key, "/push"), None).await?;
    render::data(session.format, &pushed, &COLUMNS)
}

async fn pull(session: &Session, args: &ImageArgs) -> anyhow::Result<()> {
    let key = key(session, args).await?;
    let pulled = session.work(&path(&key, "/pull"), None).await;
    let pulled = pulled.map_err(|error| match is_absent(&error) {
        true => Trouble::new(format!(
            "no registry of this node holds image `{}`",
            key.as_str()
        ))
        .with_help("`lusk image build` builds it; registries are named when a node starts")
        .into(),
        false => error,
    })?;
    render::data(session.format, &pulled, &LIST)
}

async fn prune(session: &Session, args: &ImagePruneArgs) -> anyhow::Result<()> {
    let body = json!({ "unusedForSeconds": args.unused_for.as_secs() });
    let client = session.client();
    let sent = client.send(Method::POST, "/images/prune", Some(&body));
    let pruned = sent.await?.body;
    match session.format {
        Format::Table => {}
        Format::Tsv => return render::data(session.format, &pruned["images"], &LIST[..4]),
        _ => return render::data(session.format, &pruned, &[]),
    }
    render::data(session.format, &pruned["images"], &LIST[..4])?;
    let removed = pruned["images"].as_array().map_or(0, Vec::len);
    let removed = render::count(removed as u64, "image", "images");
    let line = format!("{removed} removed, {} freed", size(&pruned["bytes"]));
    render::text(session.format, &line)
}

/// The path of an image, or of something below it.
fn path(key: &ImageKey, below: &str) -> String {
    format!("/images/{}{below}", key.as_str())
}

/// The key that the flags name.
///
/// # Errors
/// It is none, or what the flags name is not there or has no image.
async fn key(session: &Session, args: &ImageArgs) -> anyhow::Result<ImageKey> {
    let choice = &args.choice;
    if let Some(text) = &choice.key {
        return parsed(text);
    }
    if let Some(name) = &choice.environment_name {
        let version = args.environment_version.as_deref();
        let environment = environment::get(session, name, version).await?;
        return parsed(environment["imageId"].as_str().unwrap_or_default());
    }
    if choice.environment_directory.is_some() {
        let environment = in_folder(session, args)?;
        return Ok(ImageKey::of(&environment));
    }
    let name = choice.service.as_deref().unwrap_or_default();
    let service = service::get(session, name).await?;
    match service["imageId"].as_str() {
        Some(image) => parsed(image),
        None => Err(no_image(name, &service).into()),
    }
}

fn no_image(name: &str, service: &Value) -> Trouble {
    Trouble::new(format!(
        "service `{name}` has no image: its runtime is `{}`",
        plain(&service["runtime"])
    ))
}

/// 32 hex digits, or the repository that they end.
fn parsed(text: &str) -> anyhow::Result<ImageKey> {
    let key = text.strip_prefix("azureml/").unwrap_or(text);
    let key = key.strip_prefix("azureml_").unwrap_or(key);
    key.parse().map_err(anyhow::Error::msg)
}

fn in_folder(session: &Session, args: &ImageArgs) -> anyhow::Result<Environment> {
    let folder = args.choice.environment_directory.as_deref();
    let read = environment_directory(&session.at(folder.unwrap_or("".as_ref())))?;
    if !session.is_quiet {
        render::notices(&read.notices);
    }
    Ok(read.value)
}

/// What to build: the environment that the flags name.
async fn environment_of(session: &Session, args: &ImageArgs) -> anyhow::Result<Value> {
    let choice = &args.choice;
    if let Some(name) = &choice.environment_name {
        let reference = json!({ "name": name, "version": args.environment_version });
        return Ok(json!({ "environmentReference": reference }));
    }
    if choice.environment_directory.is_some() {
        return Ok(json!({ "environment": in_folder(session, args)? }));
    }
    let Some(name) = &choice.service else {
        return Err(
            Trouble::misuse("a key does not tell what its image is made of")
                .with_help("name an environment with -e or --ed, or a service with -n")
                .into(),
        );
    };
    let service = service::get(session, name).await?;
    match &service["environmentDetails"] {
        Value::Null => Err(no_image(name, &service).into()),
        environment => Ok(json!({ "environment": environment })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_key_may_be_given_as_its_repository() {
        for text in [HEX, &format!("azureml/azureml_{HEX}")] {
            assert_eq!(parsed(text).unwrap().as_str(), HEX);
        }
        assert!(parsed("azureml/other").is_err());
    }

    #[test]
    fn ratios_of_nothing_are_nothing() {
        assert_eq!(ratio(0, 0), "0 of 0 (0 %)");
        assert_eq!(ratio(2, 1), "2 of 3 (66 %)");
        let summary = json!({"hits": 3, "misses": 1, "movedBytes": 2048, "sharedBytes": 10});
        assert_eq!(
            summary_line(&summary),
            "hits 3 of 4 (75 %); 2.0 KiB moved; shared layers save 10 B"
        );
    }

    #[test]
    fn layers_say_who_shares_them() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let of = |images: u64, package: Value| {
            layer(&json!({"digest": digest, "bytes": 10, "images": images, "package": package}))
        };
        assert_eq!(of(1, Value::Null), "sha256:abababababab… description, 10 B");
        assert_eq!(
            of(2, json!("six 1.17.0")),
            "sha256:abababababab… six 1.17.0, 10 B, shared by 2"
        );
    }
}
