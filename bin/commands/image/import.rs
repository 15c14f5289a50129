//! `lusk image import`: takes a file that `image export` wrote in. The whole file
//! is checked before the node hears of it; then images, models and service
//! follow, in this order, so that the service finds what it needs.

use std::{
    collections::BTreeMap,
    io::{self, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::Method;
use lusk_domain::{Digest, ModelDraft, ModelId};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{
    archive::{self, Archive, Member},
    export::{blob_name, image_name},
};
use crate::{
    cli::ImageImportArgs,
    client::{Refusal, query},
    commands::{Session, deploy::checked_name, model::plain, operation},
    progress::Moved,
    render::{self, Column, Trouble},
};

/// Bytes read at a time.
const PART_BYTES: usize = 256 * 1024;

const COLUMNS: [Column; 4] = [
    Column::new("Images", |reply| {
        let images = reply["images"].as_array();
        let lines: Vec<_> = images.into_iter().flatten().map(image_line).collect();
        lines.join("\n")
    }),
    Column::new("Models", |reply| {
        let models = reply["models"].as_array();
        let lines: Vec<_> = models.into_iter().flatten().map(model_line).collect();
        lines.join("\n")
    }),
    Column::new("Service", |reply| plain(&reply["service"]["name"])),
    Column::new("Scoring URI", |reply| {
        plain(&reply["service"]["scoringUri"])
    }),
];

fn image_line(image: &Value) -> String {
    format!("{} {}", plain(&image["imageId"]), plain(&image["variant"]))
}

fn model_line(model: &Value) -> String {
    let (id, was) = (plain(&model["id"]), plain(&model["was"]));
    let how = match model["reused"].as_bool() {
        Some(true) => "was here",
        _ => "registered",
    };
    if id == was {
        format!("{id} {how}")
    } else {
        format!("{id} {how}, for {was}")
    }
}

/// Takes the file in and prints what was done.
///
/// # Errors
/// The file is damaged, or the node refused something in it.
pub(super) async fn run(session: &Session, args: &ImageImportArgs) -> anyhow::Result<()> {
    let path = session.at(&args.file);
    let name = args.name.as_deref().map(checked_name).transpose()?;
    let checked = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || archive::check(&path)).await??
    };
    let reply = match checked {
        Archive::Other => import_images(session, args, &path).await?,
        Archive::Service {
            definition,
            members,
        } => {
            let mut parcel = Parcel::open(path, &definition, members)?;
            if let Some(name) = name {
                parcel.service["name"] = json!(name);
            }
            parcel.deliver(session, args).await?
        }
    };
    render::data(session.format, &reply, &COLUMNS)
}

/// A file that holds images and nothing else, in the format of others.
async fn import_images(
    session: &Session,
    args: &ImageImportArgs,
    path: &Path,
) -> anyhow::Result<Value> {
    if args.name.is_some() || args.overwrite {
        return Err(Trouble::misuse(format!(
            "{} carries no service that --name or --overwrite could be for",
            path.display()
        ))
        .into());
    }
    let size = tokio::fs::metadata(path)
        .await
        .with_context(|| format!("reading {}", path.display()))?
        .len();
    let moved = session.progress.bytes("importing", size);
    let content = range(path, 0, size, &moved).await?;
    let images = session.client().import(content, size).await;
    session.progress.clear();
    let images = images.with_context(|| format!("importing {}", path.display()))?;
    say_images(session, &images);
    Ok(json!({ "images": images, "models": [], "service": null }))
}

fn say_images(session: &Session, images: &Value) {
    for image in images.as_array().into_iter().flatten() {
        session.progress.step("image", &image_line(image));
    }
}

/// A checked file and what it carries.
struct Parcel {
    path: PathBuf,
    members: BTreeMap<String, Member>,
    service: Value,
    models: Vec<(ModelId, ModelDraft)>,
    images: Vec<String>,
}

impl Parcel {
    /// Reads the definition and checks that the file holds what it names.
    fn open(
        path: PathBuf,
        definition: &[u8],
        members: BTreeMap<String, Member>,
    ) -> anyhow::Result<Self> {
        let refuse = |what: String| {
            Trouble::new(format!("{}: {what}", path.display()))
                .with_help("nothing was taken in; export it with this version of lusk")
        };
        let mut definition: Value = serde_json::from_slice(definition)
            .map_err(|error| refuse(format!("its definition is no JSON: {error}")))?;
        if definition["format"] != 1 {
            let seen = &definition["format"];
            return Err(refuse(format!("its format is {seen}, 1 is known here")).into());
        }
        let models = models(&definition).map_err(|error| refuse(format!("{error:#}")))?;
        let images = definition["images"].as_array();
        let images = images.into_iter().flatten().map(plain).collect();
        let parcel = Self {
            service: definition["service"].take(),
            members,
            models,
            images,
            path: path.clone(),
        };
        parcel.check_members().map_err(refuse)?;
        Ok(parcel)
    }

    fn check_members(&self) -> Result<(), String> {
        let member = |name: &str| {
            let found = self.members.get(name);
            found.ok_or_else(|| format!("`{name}` is missing in it"))
        };
        for image in &self.images {
            member(&image_name(image))?;
        }
        for digest in self.blobs()? {
            let name = blob_name(digest);
            let seen = member(&name)?.digest;
            if seen != digest {
                return Err(format!("`{name}` has digest {seen}"));
            }
        }
        Ok(())
    }

    /// Digests of the files of models and of the snapshot.
    fn blobs(&self) -> Result<Vec<Digest>, String> {
        let files = self.models.iter().flat_map(|(_, draft)| &draft.files);
        let mut blobs: Vec<_> = files.map(|file| file.digest).collect();
        let assets = self.service["environmentImageRequest"]["assets"].as_array();
        for asset in assets.into_iter().flatten() {
            let url = plain(&asset["url"]);
            let digest = url.strip_prefix("lusk://blobs/").unwrap_or(&url);
            let digest = digest
                .parse()
                .map_err(|_| format!("its service names no snapshot: `{url:.80}`"))?;
            blobs.push(digest);
        }
        Ok(blobs)
    }

    async fn deliver(mut self, session: &Session, args: &ImageImportArgs) -> anyhow::Result<Value> {
        self.service["overwrite"] = json!(args.overwrite);
        if !args.no_deploy {
            self.ask(session).await?;
        }
        let total = self.members.values().map(|member| member.size).sum();
        let moved = session.progress.bytes("importing", total);
        let sent = self.send(session, &moved).await;
        session.progress.clear();
        let images = sent?;
        say_images(session, &Value::Array(images.clone()));
        let models = self.register(session).await?;
        let service = if args.no_deploy {
            Value::Null
        } else {
            self.create(session, &models).await?
        };
        Ok(json!({ "images": images, "models": models, "service": service }))
    }

    /// Asks whether the node would take the service, before anything is sent.
    /// The models are left out: they are still to come.
    async fn ask(&self, session: &Session) -> anyhow::Result<()> {
        let mut wish = self.service.clone();
        if let Some(image) = wish["environmentImageRequest"].as_object_mut() {
            image.remove("modelIds");
        }
        let client = session.client();
        let asked = client.send(Method::POST, "/services/validate", Some(&wish));
        let verdict = asked.await?.body;
        if verdict["error"].is_null() {
            return Ok(());
        }
        Err(
            anyhow::Error::new(Refusal::of(&verdict["error"])).context(format!(
                "the service in {} cannot be made here; nothing was taken in",
                self.path.display()
            )),
        )
    }

    /// Sends images and the files that the node does not have.
    async fn send(&self, session: &Session, moved: &Moved) -> anyhow::Result<Vec<Value>> {
        let mut images = Vec::new();
        for image in &self.images {
            let member = self.members[&image_name(image)];
            let content = range(&self.path, member.start, member.size, moved).await?;
            let taken = session.client().import(content, member.size).await;
            let taken = taken.with_context(|| format!("importing image {image}"))?;
            images.extend(taken.as_array().cloned().unwrap_or_default());
        }
        for digest in self.blobs().map_err(anyhow::Error::msg)? {
            if session.client().has_blob(digest).await? {
                continue;
            }
            let member = self.members[&blob_name(digest)];
            let content = range(&self.path, member.start, member.size, moved).await?;
            let sent = session.client().upload(digest, content).await;
            sent.with_context(|| format!("uploading {digest}"))?;
        }
        Ok(images)
    }

    /// Registers each model, unless one of this name and content is there.
    async fn register(&self, session: &Session) -> anyhow::Result<Vec<Value>> {
        let mut done = Vec::new();
        for (was, draft) in &self.models {
            let query = query(&[("name", Some(draft.name.to_string()))]);
            let there = session.client().list(&format!("/models{query}")).await?;
            let same = there.iter().rev().find(|model| has_files(model, draft));
            let (id, reused) = match same {
                Some(model) => (plain(&model["id"]), true),
                None => {
                    let body = json!(draft);
                    let sent = session.client().send(Method::POST, "/models", Some(&body));
                    (plain(&sent.await?.body["id"]), false)
                }
            };
            let model = json!({ "id": id, "was": was, "reused": reused });
            session.progress.step("model", &model_line(&model));
            done.push(model);
        }
        Ok(done)
    }

    async fn create(&mut self, session: &Session, models: &[Value]) -> anyhow::Result<Value> {
        let ids: Vec<_> = models.iter().map(|model| model["id"].clone()).collect();
        self.service["environmentImageRequest"]["modelIds"] = json!(ids);
        let name = plain(&self.service["name"]);
        let client = session.client();
        let sent = client.send(Method::POST, "/services", Some(&self.service));
        let sent = sent
            .await
            .context("images and models are here, the service is not")?;
        let what = format!("deployment of service `{name}`");
        let followed = operation::follow(session, &sent.body, &what).await;
        followed.map_err(|error| with_way_on(error, &name))?;
        crate::commands::service::get(session, &name).await
    }
}

/// What a deployment that failed leaves here, and how to go on from there.
fn with_way_on(error: anyhow::Error, name: &str) -> anyhow::Error {
    match error.downcast::<Trouble>() {
        Ok(trouble) => trouble
            .with_help(format!(
                "images, models and service `{name}` stay: put right what failed and import again \
                 with --overwrite, or take it away with `lusk service delete -n {name}`"
            ))
            .into(),
        Err(error) => error,
    }
}

/// Whether a registered model holds the files of `draft`.
fn has_files(model: &Value, draft: &ModelDraft) -> bool {
    let registered = serde_json::from_value::<ModelDraft>(model.clone());
    registered.is_ok_and(|registered| registered.files == draft.files)
}

fn models(definition: &Value) -> anyhow::Result<Vec<(ModelId, ModelDraft)>> {
    let mut models = Vec::new();
    for model in definition["models"].as_array().into_iter().flatten() {
        let id = plain(&model["id"])
            .parse()
            .context("reading a model's id")?;
        let draft: ModelDraft = serde_json::from_value(model["draft"].clone())
            .with_context(|| format!("reading model `{id}`"))?;
        draft.check()?;
        models.push((id, draft));
    }
    Ok(models)
}

/// A part of a file, as it is read.
async fn range(
    path: &Path,
    start: u64,
    size: u64,
    moved: &Moved,
) -> anyhow::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
    let context = || format!("reading {}", path.display());
    let mut file = tokio::fs::File::open(path).await.with_context(context)?;
    file.seek(SeekFrom::Start(start))
        .await
        .with_context(context)?;
    let moved = moved.clone();
    let parts = ReaderStream::with_capacity(file.take(size), PART_BYTES);
    Ok(parts.inspect_ok(move |part| moved.add(part.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(definition: &Value, members: &[(&str, &[u8])]) -> anyhow::Result<Parcel> {
        let members = members.iter().map(|(name, content)| {
            let member = Member {
                start: 0,
                size: content.len() as u64,
                digest: Digest::of(content),
            };
            ((*name).to_owned(), member)
        });
        let definition = definition.to_string();
        Parcel::open("f.tar".into(), definition.as_bytes(), members.collect())
    }

    #[test]
    fn a_definition_that_names_what_is_not_there_is_refused() {
        let url = format!("lusk://blobs/{}", Digest::of(b"snapshot"));
        let service = |url: &str| json!({"environmentImageRequest": {"assets": [{"url": url}]}});
        let blob = blob_name(Digest::of(b"snapshot"));
        let full = json!({"format": 1, "service": service(&url), "models": [], "images": []});
        assert!(parcel(&full, &[(&blob, b"snapshot")]).is_ok());
        let refused = |definition: &Value, members: &[(&str, &[u8])]| {
            parcel(definition, members).err().unwrap().to_string()
        };
        assert!(refused(&full, &[]).ends_with("is missing in it"));
        assert!(refused(&full, &[(&blob, b"else")]).contains("has digest"));
        assert!(refused(&json!({"format": 2}), &[]).contains("its format is 2"));
        let image = json!({"format": 1, "images": ["k"]});
        assert_eq!(
            refused(&image, &[]),
            "f.tar: `images/k.tar` is missing in it"
        );
        let escape = json!({"format": 1, "models": [{"id": "m:1",
            "draft": {"name": "m", "files": [{"path": "../x", "digest": Digest::of(b""), "size": 0}]}}]});
        assert!(refused(&escape, &[]).contains("../x"));
    }

    #[test]
    fn a_failed_deployment_says_how_to_go_on() {
        let failed = Trouble::new("deployment of service `s` failed: image: no Python 3.11");
        let error = with_way_on(failed.into(), "s");
        let told = format!("{:?}", error.downcast_ref::<Trouble>());
        assert!(told.contains("import again with --overwrite"), "{told}");
    }

    #[test]
    fn a_model_that_changed_its_version_says_so() {
        let line =
            |id: &str, reused: bool| model_line(&json!({"id": id, "was": "m:3", "reused": reused}));
        assert_eq!(line("m:3", true), "m:3 was here");
        assert_eq!(line("m:1", false), "m:1 registered, for m:3");
    }
}
