//! `lusk model …`: the short ones; registering and downloading have their own
//! files.

pub(crate) mod download;
pub(crate) mod register;

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use lusk_domain::{BatchSettings, ModelChange, ModelId, ModelRequirements};
use serde_json::{Value, json};

use super::{Session, deploy};
use crate::{
    cli::{
        BatchArgs, Label, ModelCommand, ModelListArgs, ModelShowArgs, ModelUpdateArgs,
        RequirementArgs,
    },
    client::{part, query},
    render::{self, Column, Trouble},
};

/// Runs a command.
///
/// # Errors
/// Whatever went wrong.
pub(crate) async fn run(session: &Session, command: ModelCommand) -> anyhow::Result<()> {
    match command {
        ModelCommand::Register(args) => register::run(session, &args).await,
        ModelCommand::List(args) => list(session, &args).await,
        ModelCommand::Show(args) => show(session, &args).await,
        ModelCommand::Update(args) => update(session, &args).await,
        ModelCommand::Delete { model_id } => delete(session, &model_id).await,
        ModelCommand::Download(args) => download::run(session, &args).await,
        ModelCommand::Deploy(args) => deploy::run(session, &args).await,
    }
}

const LIST: [Column; 5] = [
    Column::new("Id", |model| plain(&model["id"])),
    Column::new("Framework", |model| plain(&model["framework"])),
    Column::new("Size", size),
    Column::new("Created", |model| seconds(&model["createdTime"])),
    Column::new("Tags", |model| labels(&model["kvTags"])),
];

const SHOW: [Column; 9] = [
    Column::new("Id", |model| plain(&model["id"])),
    Column::new("Description", |model| plain(&model["description"])),
    Column::new("Framework", framework),
    Column::new("Needs", needs),
    Column::new("Tags", |model| labels(&model["kvTags"])),
    Column::new("Properties", |model| labels(&model["properties"])),
    Column::new("Created", |model| seconds(&model["createdTime"])),
    Column::new("Size", size),
    Column::new("Files", files),
];

/// Prints a model.
pub(super) fn print(session: &Session, model: &Value) -> anyhow::Result<()> {
    render::data(session.format, model, &SHOW)
}

async fn list(session: &Session, args: &ModelListArgs) -> anyhow::Result<()> {
    let query = query(&[
        ("name", args.model_name.clone()),
        ("latest", args.latest.then(|| "true".to_owned())),
        ("tags", Label::filter(&args.tags)),
        ("properties", Label::filter(&args.properties)),
        ("runId", args.run_id.clone()),
    ]);
    let mut models = session.client().list(&format!("/models{query}")).await?;
    if let Some(id) = &args.dataset_id {
        models.retain(|model| {
            let sets = model["datasets"].as_array();
            sets.is_some_and(|sets| sets.iter().any(|set| set["id"] == *id))
        });
    }
    if models.is_empty() {
        session.progress.say("no models");
    }
    render::data(session.format, &Value::Array(models), &LIST)
}

async fn show(session: &Session, args: &ModelShowArgs) -> anyhow::Result<()> {
    let model = match (&args.model_id, &args.model_name, args.version) {
        (Some(id), ..) => one(session, &checked_id(id)?).await?,
        (None, Some(name), Some(version)) => {
            one(session, &checked_id(&format!("{name}:{version}"))?).await?
        }
        (None, name, None | Some(_)) => newest(session, name.clone(), args.run_id.clone()).await?,
    };
    print(session, &model)
}

async fn one(session: &Session, id: &ModelId) -> anyhow::Result<Value> {
    session.client().get(&path(id)).await
}

async fn newest(
    session: &Session,
    name: Option<String>,
    run: Option<String>,
) -> anyhow::Result<Value> {
    let what = match (&name, &run) {
        (Some(name), _) => format!("no model `{name}`"),
        (None, run) => format!("no model of run `{}`", run.as_deref().unwrap_or_default()),
    };
    let query = query(&[
        ("name", name),
        ("latest", Some("true".to_owned())),
        ("runId", run),
    ]);
    let models = session.client().list(&format!("/models{query}")).await?;
    let newest = models
        .into_iter()
        .max_by_key(|model| model["createdTime"].as_str().unwrap_or_default().to_owned());
    newest.ok_or_else(|| {
        Trouble::new(what)
            .with_help("`lusk model list` shows what is registered")
            .into()
    })
}

async fn update(session: &Session, args: &ModelUpdateArgs) -> anyhow::Result<()> {
    let id = checked_id(&args.model_id)?;
    let change = ModelChange {
        description: args.description.clone(),
        add_tags: with_batching(Label::map(&args.add_tags), &args.batching)?,
        remove_tags: removed_tags(args)?,
        add_properties: Label::map(&args.add_properties),
        resource_requirements: requirements(&args.requirements),
        sample_input_data: args.sample_input_dataset_id.clone(),
        sample_output_data: args.sample_output_dataset_id.clone(),
    };
    if change == ModelChange::default() {
        return Err(Trouble::misuse(
            "nothing to change: give at least one flag besides --model-id",
        )
        .into());
    }
    let sent = session
        .client()
        .send(Method::PATCH, &path(&id), Some(&json!(change)))
        .await?;
    print(session, &sent.body)
}

/// The tags with those that the flags of batches mean.
///
/// # Errors
/// A flag and a tag that do not say the same.
fn with_batching(
    mut tags: BTreeMap<String, String>,
    args: &BatchArgs,
) -> anyhow::Result<BTreeMap<String, String>> {
    for (flag, tag, value) in batch_flags(args) {
        let Some(value) = value else { continue };
        match tags.insert(tag.to_owned(), value.clone()) {
            Some(other) if other != *value => {
                let text = format!("`{flag} {value}` contradicts the tag `{tag}={other}`");
                return Err(Trouble::misuse(text).with_help("give one of them").into());
            }
            _ => {}
        }
    }
    Ok(tags)
}

/// Each flag of batches, the tag that it means, and its value.
fn batch_flags(args: &BatchArgs) -> [(&'static str, &'static str, Option<&String>); 2] {
    let (size, delay) = (&args.max_batch_size, &args.max_batch_delay_ms);
    [
        ("--max-batch-size", BatchSettings::SIZE_TAG, size.as_ref()),
        (
            "--max-batch-delay-ms",
            BatchSettings::DELAY_TAG,
            delay.as_ref(),
        ),
    ]
}

/// The tags to remove.
///
/// # Errors
/// One that another flag sets.
fn removed_tags(args: &ModelUpdateArgs) -> anyhow::Result<Vec<String>> {
    let mut tags = args.remove_tags.clone();
    let contradiction = |one: String, other: String| {
        let text = format!("`{one}` contradicts `{other}`");
        anyhow::Error::from(Trouble::misuse(text).with_help("give one of them"))
    };
    for (flag, tag, value) in batch_flags(&args.batching) {
        if let (Some(value), true) = (value, tags.iter().any(|it| it == tag)) {
            let (one, other) = (format!("{flag} {value}"), format!("--remove-tag {tag}"));
            return Err(contradiction(one, other));
        }
        if args.no_batches {
            if let Some(value) = Label::map(&args.add_tags).get(tag) {
                let (one, other) = ("--no-batches", format!("--add-tag {tag}={value}"));
                return Err(contradiction(one.to_owned(), other));
            }
            tags.push(tag.to_owned());
        }
    }
    Ok(tags)
}

/// Needs as the domain spells them.
fn requirements(args: &RequirementArgs) -> ModelRequirements {
    ModelRequirements {
        cpu: args.cpu_cores,
        memory_in_gb: args.memory_gb,
        gpu: args.gpu_cores,
    }
}

async fn delete(session: &Session, id: &str) -> anyhow::Result<()> {
    let id = checked_id(id)?;
    let sent = session
        .client()
        .send(Method::DELETE, &path(&id), None)
        .await?;
    session.progress.say(&match sent.status {
        StatusCode::NO_CONTENT => format!("model `{id}` did not exist"),
        _ => format!("model `{id}` is deleted"),
    });
    Ok(())
}

/// A model id.
fn checked_id(text: &str) -> anyhow::Result<ModelId> {
    text.parse().map_err(|error: lusk_domain::NameError| {
        Trouble::new(error.to_string())
            .with_help("`lusk model list` shows what is registered")
            .into()
    })
}

fn path(id: &ModelId) -> String {
    format!("/models/{}", part(&id.to_string()))
}

/// A value as a cell: texts bare, null and empty as nothing.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `k=v, k=v`.
pub(super) fn labels(value: &Value) -> String {
    let pairs: Vec<_> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", plain(value)))
        .collect();
    pairs.join(", ")
}

/// A time without its fraction.
pub(super) fn seconds(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    match text.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => text.to_owned(),
    }
}

fn size(model: &Value) -> String {
    model["size"].as_u64().map(render::size).unwrap_or_default()
}

fn framework(model: &Value) -> String {
    let both = [
        plain(&model["framework"]),
        plain(&model["frameworkVersion"]),
    ];
    both.join(" ").trim().to_owned()
}

fn needs(model: &Value) -> String {
    let all = model["resourceRequirements"].as_object();
    let said = all
        .into_iter()
        .flatten()
        .filter(|(_, need)| !need.is_null());
    labels(
        &said
            .map(|(key, need)| (key.clone(), need.clone()))
            .collect(),
    )
}

fn files(model: &Value) -> String {
    const SHOWN: usize = 20;
    let files = model["files"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut lines: Vec<_> = files
        .iter()
        .take(SHOWN)
        .map(|file| {
            let size = file["size"].as_u64().map(render::size).unwrap_or_default();
            format!("{} ({size})", plain(&file["path"]))
        })
        .collect();
    if files.len() > SHOWN {
        lines.push(format!("and {} more", files.len() - SHOWN));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
