//! `lusk model register`: files up first, the record last, so that what is
//! registered is there whole.

use std::{fs, path::Path};

use anyhow::Context as _;
use http::Method;
use lusk_domain::{Model, ModelDraft, ModelFile, ModelId, ModelName};
use serde_json::{Value, json};

use super::{print, requirements, with_batching};
use crate::{
    cli::{Label, ModelRegisterArgs},
    client::query,
    commands::{
        Session,
        upload::{self, Found},
    },
    render::{self, Trouble},
};

/// Registers what the flags name and prints the model.
///
/// # Errors
/// Wrong flags, unreadable files, a refusal.
pub(crate) async fn run(session: &Session, args: &ModelRegisterArgs) -> anyhow::Result<()> {
    let Some(path) = &args.model_path else {
        let help = if args.asset_path.is_some() {
            "files of runs come in a later release; give a local file or folder with --model-path"
        } else {
            "name the file or folder with --model-path"
        };
        return Err(Trouble::misuse("there is nothing to register")
            .with_help(help)
            .into());
    };
    let draft = draft(session, args)?;
    let model = register(session, draft, &session.at(path)).await?;
    if let Some(file) = &args.output_metadata_file {
        write_metadata(session, &session.at(file), &model)?;
    }
    print(session, &model)
}

/// Registers the file or folder at `path`.
///
/// # Errors
/// Unreadable files, a refusal.
pub(crate) async fn path(
    session: &Session,
    name: ModelName,
    path: &Path,
) -> anyhow::Result<ModelId> {
    let draft = empty_draft(name);
    let model = register(session, draft, path).await?;
    let id = model["id"].as_str().unwrap_or_default();
    let id = id.parse().context("reading the id of the new model")?;
    Ok(id)
}

/// Registers the file or folder at `path`, unless the newest model of that name holds
/// the same files: a deployment's YAML is sent more often than its model changes.
///
/// # Errors
/// Unreadable files, a refusal.
pub(crate) async fn path_once(
    session: &Session,
    name: ModelName,
    path: &Path,
) -> anyhow::Result<ModelId> {
    let mut draft = empty_draft(name);
    let found = upload::files_of(path)?;
    draft.files = upload::hash(session, &found)?;
    let newest = newest(session, draft.name.as_str()).await?;
    let model = match newest.filter(|model| has_files(model, &draft.files)) {
        Some(model) => {
            let id = model["id"].as_str().unwrap_or_default();
            let said = format!("{id} has these files already");
            session.progress.step("model", &said);
            model
        }
        None => register_hashed(session, draft, &found).await?,
    };
    let id = model["id"].as_str().unwrap_or_default();
    id.parse().context("reading the id of the model")
}

/// The newest model of this name.
///
/// # Errors
/// No answer, or a refusal.
pub(crate) async fn newest(session: &Session, name: &str) -> anyhow::Result<Option<Value>> {
    let query = query(&[
        ("name", Some(name.to_owned())),
        ("latest", Some("true".to_owned())),
    ]);
    let models = session.client().list(&format!("/models{query}")).await?;
    Ok(models.into_iter().next())
}

/// Whether the model holds exactly these files, under the same paths.
fn has_files(model: &Value, files: &[ModelFile]) -> bool {
    let there: Option<Vec<ModelFile>> = serde_json::from_value(model["files"].clone()).ok();
    there.is_some_and(|mut there| {
        there.sort_by(|a, b| a.path.cmp(&b.path));
        let mut wanted = files.to_vec();
        wanted.sort_by(|a, b| a.path.cmp(&b.path));
        there == wanted
    })
}

async fn register(session: &Session, mut draft: ModelDraft, path: &Path) -> anyhow::Result<Value> {
    let found = upload::files_of(path)?;
    draft.files = upload::hash(session, &found)?;
    register_hashed(session, draft, &found).await
}

async fn register_hashed(
    session: &Session,
    draft: ModelDraft,
    found: &[Found],
) -> anyhow::Result<Value> {
    draft.check()?;
    let files: Vec<_> = found
        .iter()
        .zip(&draft.files)
        .map(|(found, hashed)| (found.file.as_path(), hashed.digest, hashed.size))
        .collect();
    let sent = upload::send(session, &files).await?;
    let model = session
        .client()
        .send(Method::POST, "/models", Some(&json!(draft)))
        .await?
        .body;
    session
        .progress
        .step("model", &registered(&model, found, sent));
    Ok(model)
}

fn registered(model: &Value, files: &[Found], sent: usize) -> String {
    let size = render::size(files.iter().map(|file| file.size).sum());
    let id = model["id"].as_str().unwrap_or_default();
    let noun = if files.len() == 1 { "file" } else { "files" };
    let reused = match files.len().saturating_sub(sent) {
        0 => String::new(),
        there => format!(" ({there} stored before)"),
    };
    format!("{id} registered: {} {noun}, {size}{reused}", files.len())
}

fn empty_draft(name: ModelName) -> ModelDraft {
    ModelDraft {
        name,
        files: Vec::new(),
        description: None,
        tags: std::collections::BTreeMap::new(),
        properties: std::collections::BTreeMap::new(),
        framework: None,
        framework_version: None,
        resource_requirements: lusk_domain::ModelRequirements::default(),
        sample_input_data: None,
        sample_output_data: None,
        experiment_name: None,
        run_id: None,
    }
}

fn draft(session: &Session, args: &ModelRegisterArgs) -> anyhow::Result<ModelDraft> {
    let name = args
        .name
        .parse()
        .map_err(|error: lusk_domain::NameError| Trouble::new(error.to_string()))?;
    let run = match &args.run_metadata_file {
        Some(file) => run_metadata(&session.at(file))?,
        None => Value::Null,
    };
    let of_run = |key: &str| run[key].as_str().map(str::to_owned);
    Ok(ModelDraft {
        description: args.description.clone(),
        tags: with_batching(Label::map(&args.tags), &args.batching)?,
        properties: Label::map(&args.properties),
        framework: args.model_framework.as_deref().map(spelled),
        framework_version: args.model_framework_version.clone(),
        resource_requirements: requirements(&args.requirements),
        sample_input_data: args.sample_input_dataset_id.clone(),
        sample_output_data: args.sample_output_dataset_id.clone(),
        experiment_name: args
            .experiment_name
            .clone()
            .or_else(|| of_run("experimentName")),
        run_id: args.run_id.clone().or_else(|| of_run("runId")),
        ..empty_draft(name)
    })
}

/// The framework in the original's spelling, if case is all that is wrong.
fn spelled(framework: &str) -> String {
    let known = Model::FRAMEWORKS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(framework));
    (*known.unwrap_or(&framework)).to_owned()
}

fn run_metadata(path: &Path) -> anyhow::Result<Value> {
    let context = || format!("reading the run metadata file {}", path.display());
    let text = fs::read_to_string(path).with_context(context)?;
    serde_json::from_str(&text).with_context(context)
}

fn write_metadata(session: &Session, path: &Path, model: &Value) -> anyhow::Result<()> {
    let metadata = json!({
        "modelId": model["id"],
        "workspaceName": session.client().workspace(),
    });
    fs::write(path, format!("{metadata}\n"))
        .with_context(|| format!("writing {} (the model is registered)", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frameworks_are_spelled_as_the_original_spells_them() {
        assert_eq!(spelled("onnx"), "Onnx");
        assert_eq!(spelled("keras"), "keras");
    }
}
