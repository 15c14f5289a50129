//! `lusk model deploy`: files and flags in, a healthy service out.

use std::{fs, path::Path, time::Instant};

use anyhow::Context as _;
use http::Method;
use lusk_domain::{ComputeType, ModelId, ModelName, ServiceName, SettingsChange};
use lusk_manifest::{Checked, Deployment, InferenceConfig, ManifestError, deployment};
use serde_json::{Map, Value, json};

use super::{
    Session, endpoint,
    model::register,
    operation, script,
    service::{self, columns},
};
use crate::{
    cli::{DeployArgs, Format, ModelsArgs},
    client::part,
    render::{self, Trouble},
};

/// Longest name that a model gets from its file, as in the original.
const MAX_NAME_FROM_FILE: usize = 30;

/// Deploys a service.
///
/// # Errors
/// Anything from a wrong config to a replica that did not become ready.
pub(crate) async fn run(session: &Session, args: &DeployArgs) -> anyhow::Result<()> {
    let begun = Instant::now();
    let name = checked_name(&args.name)?;
    let (script, deployment) = read(session, args)?;
    let mut image = match &script {
        Some(config) => script::send(session, &args.script, &config.clone().into()).await?,
        None => json!({}),
    };
    image["modelIds"] = json!(models(session, &args.models).await?);
    let described = script.as_ref().and_then(|it| it.description.as_deref());
    let description = args.description.as_deref().or(described);
    let (noun, body) = match deployment.version {
        Some(_) => (
            "endpoint",
            endpoint::body::endpoint(args, &deployment, description, image),
        ),
        None => ("service", body(args, &deployment, description, image)),
    };
    let accepted = session
        .client()
        .send(Method::POST, "/services", Some(&body))
        .await?
        .body;
    if args.no_wait {
        session.progress.say(&format!(
            "deployment of {noun} `{name}` goes on; see `lusk service show -n {name}`"
        ));
    } else {
        let what = format!("deployment of {noun} `{name}`");
        operation::follow(session, &accepted, &what).await?;
    }
    let service = session
        .client()
        .find_one(&format!("/services/{}", part(name.as_str())))
        .await?
        .unwrap_or(accepted);
    report(session, &service, args.no_wait, begun)
}

fn report(session: &Session, service: &Value, no_wait: bool, begun: Instant) -> anyhow::Result<()> {
    if session.format == Format::Table && !no_wait {
        let line = format!(
            "{} after {:.1} s: {}",
            service["state"].as_str().unwrap_or("Healthy"),
            begun.elapsed().as_secs_f64(),
            service["scoringUri"].as_str().unwrap_or_default()
        );
        return render::text(session.format, &line);
    }
    render::data(session.format, &service::serialized(service), &columns())
}

/// A service name.
///
/// # Errors
/// The text is no service name.
pub(crate) fn checked_name(text: &str) -> anyhow::Result<ServiceName> {
    text.parse()
        .map_err(|error: lusk_domain::NameError| Trouble::new(error.to_string()).into())
}

/// Reads both configs, so that what is wrong with either is told at once.
fn read(
    session: &Session,
    args: &DeployArgs,
) -> anyhow::Result<(Option<InferenceConfig>, Deployment)> {
    let script = script::read(&args.script, &session.directory, &args.name);
    let settings = script::source(args.deploy_config_file.as_deref(), &session.directory)
        .and_then(|source| deployment(source.as_ref(), &args.overrides()));
    let (script, settings) = both(script, settings)?;
    if !session.is_quiet {
        if let Some(script) = &script {
            render::notices(&script.notices);
        }
        render::notices(&settings.notices);
        if args.script.profile_input.is_some() {
            render::warning("--profile-input: accepted without effect here", None);
        }
    }
    Ok((script.map(|script| script.value), settings.value))
}

/// Both values, or the complaints about both.
pub(super) fn both<A, B>(
    first: Result<Option<Checked<A>>, ManifestError>,
    second: Result<Checked<B>, ManifestError>,
) -> Result<(Option<Checked<A>>, Checked<B>), ManifestError> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(mut first), Err(second)) => {
            first.problems.extend(second.problems);
            first.notices.extend(second.notices);
            Err(first)
        }
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
    }
}

/// The ids of the models that the flags name; local files are registered first.
///
/// # Errors
/// A model that is neither, a metadata file without an id, a registration
/// that failed.
pub(crate) async fn models(session: &Session, args: &ModelsArgs) -> anyhow::Result<Vec<ModelId>> {
    let mut ids = Vec::new();
    for text in &args.models {
        let path = session.at(Path::new(text));
        ids.push(match text.parse::<ModelId>() {
            Ok(id) => id,
            Err(_) if path.exists() => {
                let name = name_from_file(&path)?;
                register::path(session, name, &path).await?
            }
            Err(_) => {
                return Err(Trouble::new(format!(
                    "--model `{text}` is neither `name:version` nor a file or folder that exists"
                ))
                .with_help("`lusk model list` shows what is registered")
                .into());
            }
        });
    }
    for path in &args.metadata_files {
        ids.push(id_from_file(&session.at(path))?);
    }
    Ok(ids)
}

/// The original calls a model from a local file after it, cut to 30 characters.
pub(crate) fn name_from_file(path: &Path) -> anyhow::Result<ModelName> {
    let real = path.canonicalize();
    let name = path
        .file_name()
        .or_else(|| real.as_ref().ok()?.file_name())
        .unwrap_or_default()
        .to_string_lossy();
    let name: String = name.chars().take(MAX_NAME_FROM_FILE).collect();
    name.parse().map_err(|error: lusk_domain::NameError| {
        Trouble::new(format!(
            "{} cannot be registered under its own name",
            path.display()
        ))
        .with_causes(vec![error.to_string()])
        .with_help("register it with `lusk model register -n NAME` and give --model NAME:1")
        .into()
    })
}

fn id_from_file(path: &Path) -> anyhow::Result<ModelId> {
    let context = || format!("reading the model metadata file {}", path.display());
    let text = fs::read_to_string(path).with_context(context)?;
    let metadata: Value = serde_json::from_str(&text).with_context(context)?;
    let id = metadata["modelId"]
        .as_str()
        .with_context(|| format!("{} holds no `modelId`", path.display()))?;
    id.parse().with_context(context)
}

fn body(
    args: &DeployArgs,
    deployment: &Deployment,
    description: Option<&str>,
    image: Value,
) -> Value {
    let (kind, port) = match deployment.compute {
        ComputeType::Aks => ("AKS", None),
        ComputeType::Local { port } => ("LOCAL", port),
    };
    let remote = match args.remote.as_slice() {
        [] => deployment.remote.as_deref(),
        given => Some(given),
    };
    let mut body = settings(&deployment.settings);
    body.extend(common(args, deployment, description));
    let rest = [
        ("computeType", json!(kind)),
        ("port", json!(port)),
        ("remoteReplicas", json!(remote)),
        ("environmentImageRequest", image),
    ];
    body.extend(rest.map(|(key, value)| (key.to_owned(), value)));
    Value::Object(body)
}

/// What a service and an endpoint have alike.
pub(super) fn common(
    args: &DeployArgs,
    deployment: &Deployment,
    description: Option<&str>,
) -> Map<String, Value> {
    let fields = [
        ("name", json!(args.name)),
        ("computeName", json!(deployment.compute_name)),
        ("description", json!(description)),
        ("kvTags", json!(crate::cli::Label::map(&args.tags))),
        (
            "properties",
            json!(crate::cli::Label::map(&args.properties)),
        ),
        (
            "keys",
            json!({
                "primaryKey": deployment.primary_key,
                "secondaryKey": deployment.secondary_key,
            }),
        ),
        ("overwrite", json!(args.overwrite)),
    ];
    let fields = fields.map(|(key, value)| (key.to_owned(), value));
    fields.into_iter().collect()
}

/// Settings as the wire spells them: only what was asked for.
pub(super) fn settings(change: &SettingsChange) -> Map<String, Value> {
    let mut fields = match json!(change) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if let Some(storage) = fields
        .remove("storageEnabled")
        .filter(|value| !value.is_null())
    {
        fields.insert(
            "dataCollection".to_owned(),
            json!({ "storageEnabled": storage }),
        );
    }
    fields.retain(|_, value| {
        if let Value::Object(group) = value {
            group.retain(|_, value| !value.is_null());
        }
        !value.is_null()
    });
    fields
}

#[cfg(test)]
mod tests {
    use lusk_manifest::{Place, Problem};

    use super::*;

    #[test]
    fn settings_hold_only_what_was_asked_for() {
        let change: SettingsChange = serde_json::from_value(json!({
            "numReplicas": 2, "storageEnabled": true, "aadAuthEnabled": false,
            "containerResourceRequirements": {"cpu": 0.5}, "gpuCores": 1
        }))
        .unwrap();
        let expected = json!({
            "numReplicas": 2, "aadAuthEnabled": false, "gpuCores": 1,
            "containerResourceRequirements": {"cpu": 0.5},
            "dataCollection": {"storageEnabled": true}
        });
        assert_eq!(Value::Object(settings(&change)), expected);
    }

    #[test]
    fn a_model_from_a_file_is_called_after_it() {
        let name = |path: &str| name_from_file(Path::new(path)).map(|name| name.to_string());
        assert_eq!(name("/x/model.onnx").unwrap(), "model.onnx");
        let long = format!("/x/{}.onnx", "a".repeat(40));
        assert_eq!(name(&long).unwrap().len(), 30);
        assert!(name("/x/a b").is_err());
    }

    #[test]
    fn complaints_about_both_configs_come_together() {
        let error = |text: &str| {
            ManifestError::from(Problem {
                place: Place::File("f".into()),
                message: text.to_owned(),
                help: None,
            })
        };
        let result = both::<(), ()>(Err(error("one")), Err(error("two")));
        assert_eq!(result.unwrap_err().to_string(), "f: one\nf: two");
    }

    #[test]
    fn a_metadata_file_names_the_model() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), r#"{"modelId":"digits:3"}"#).unwrap();
        assert_eq!(id_from_file(file.path()).unwrap().to_string(), "digits:3");
        fs::write(file.path(), "{}").unwrap();
        let error = id_from_file(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("holds no `modelId`"), "{error}");
    }
}
