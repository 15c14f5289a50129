//! `lusk endpoint realtime create-version` and `update-version`.

use http::Method;
use lusk_domain::VersionName;
use lusk_manifest::{Checked, Deployment, ManifestError, Source, deployment_of_version};
use serde_json::{Map, Value, json};

use super::body;
use crate::{
    cli::{Label, VersionArgs, VersionCreateArgs, VersionUpdateArgs},
    commands::{
        Session,
        change::{Labels, Patch},
        deploy::{both, models},
        script,
        subject::{Subject, checked_version},
    },
    render::{self, Trouble},
};

/// Adds a version.
///
/// # Errors
/// A wrong config, no such endpoint, a version of this name, shares that do not fit, or
/// a version that did not become healthy.
pub(super) async fn create(session: &Session, args: &VersionCreateArgs) -> anyhow::Result<()> {
    let args = &args.version;
    let (endpoint, version) = of(args)?;
    let script = script::read(&args.script, &session.directory, version.as_str());
    let (script, deployment) = read(session, args, script)?;
    super::get(session, &endpoint).await?;
    let mut image = match &script {
        Some(config) => script::send(session, &args.script, &config.clone().into()).await?,
        None => json!({}),
    };
    image["modelIds"] = json!(models(session, &args.models).await?);
    let mut body = body::version(&deployment, &args.remote, image);
    let description = args.description.as_deref();
    let described = script.as_ref().and_then(|it| it.description.as_deref());
    body.extend(labels(args, description.or(described)));
    body.extend(claims(args));
    let mut patch = Patch::of_version(&version);
    patch.add("", body);
    send(session, args, &endpoint, patch, "creation").await
}

/// Changes a version.
///
/// # Errors
/// Nothing to change, a wrong config, no such endpoint or version, shares that do not
/// fit, or a version that did not become healthy.
pub(super) async fn update(session: &Session, update: &VersionUpdateArgs) -> anyhow::Result<()> {
    let args = &update.version;
    let (endpoint, version) = of(args)?;
    let object = super::get(session, &endpoint).await?;
    let object = existing(&object, &version)?;
    let script = script::read_change(&args.script, &session.directory, object);
    let (script, deployment) = read(session, args, script)?;
    let mut patch = Patch::of_version(&version);
    put(&mut patch, update, &deployment);
    patch
        .image(session, &args.script, script.as_ref(), &args.models)
        .await?;
    if patch.is_empty() {
        return unchanged(session, args, &endpoint).await;
    }
    send(session, args, &endpoint, patch, "update").await
}

fn of(args: &VersionArgs) -> anyhow::Result<(Subject, VersionName)> {
    let endpoint = Subject::endpoint(&args.of.name)?;
    Ok((endpoint, checked_version(&args.of.version_name)?))
}

/// Script and settings; what is wrong with either is told at once.
fn read<T>(
    session: &Session,
    args: &VersionArgs,
    script: Result<Option<Checked<T>>, ManifestError>,
) -> anyhow::Result<(Option<T>, Deployment)> {
    let source = script::source(args.deploy_config_file.as_deref(), &session.directory);
    let named = source.as_ref().ok().and_then(Option::as_ref);
    let named = named.and_then(name_in_file);
    let settings =
        source.and_then(|source| deployment_of_version(source.as_ref(), &args.overrides()));
    let (script, mut settings) = both(script, settings)?;
    if args.stake.ends_guard()
        && let Some(version) = &mut settings.value.version
    {
        version.abort_if = None;
    }
    if !session.is_quiet {
        if let Some(script) = &script {
            render::notices(&script.notices);
        }
        render::notices(&settings.notices);
        if let Some(said) = named.and_then(|name| outvoted(&name, &args.of.version_name)) {
            render::warning(&said, None);
        }
        if args.script.profile_input.is_some() {
            render::warning("--profile-input: accepted without effect here", None);
        }
    }
    Ok((script.map(|script| script.value), settings.value))
}

/// The version that the file is about, where it names one.
fn name_in_file(source: &Source) -> Option<VersionName> {
    let read = deployment_of_version(Some(source), &[]).ok()?;
    read.value.version?.name
}

/// That the flag is about another version than the file.
fn outvoted(in_file: &VersionName, flag: &str) -> Option<String> {
    (in_file.as_str() != flag)
        .then(|| format!("`versionName` is `{in_file}` in the file: --version-name `{flag}` wins"))
}

fn labels(
    args: &VersionArgs,
    description: Option<&str>,
) -> impl Iterator<Item = (String, Value)> + use<> {
    let fields = [
        ("description", json!(description)),
        ("kvTags", json!(Label::map(&args.add_tags))),
        ("properties", json!(Label::map(&args.add_properties))),
    ];
    fields
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
}

/// Default and control. Nobody stops being one by a `false`: only another takes it, so
/// nothing is sent, as in the original.
fn claims(args: &VersionArgs) -> Map<String, Value> {
    let mut claims = Map::new();
    if args.stake.is_default == Some(true) {
        claims.insert("isDefault".to_owned(), json!(true));
    }
    if args.stake.is_control_version_type == Some(true) {
        claims.insert("type".to_owned(), json!("Control"));
    }
    claims
}

/// The version's object among those of the endpoint.
fn existing<'a>(endpoint: &'a Value, version: &VersionName) -> Result<&'a Value, Trouble> {
    let object = &endpoint["versions"][version.as_str()];
    if object.is_object() {
        return Ok(object);
    }
    let name = endpoint["name"].as_str().unwrap_or_default();
    let versions = endpoint["versions"].as_object();
    let names: Vec<_> = versions
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let names = match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    Err(Trouble::new(format!(
        "endpoint `{name}` has no version `{version}`, it has {names}"
    ))
    .with_help(format!(
        "`lusk endpoint realtime create-version -n {name} --vn {version}` adds it"
    )))
}

/// What the flags and files ask for, all but script and models.
fn put(patch: &mut Patch, update: &VersionUpdateArgs, deployment: &Deployment) {
    let args = &update.version;
    patch.settings(&deployment.settings);
    let urls = match args.remote.as_slice() {
        [] => deployment.remote.as_deref(),
        urls => Some(urls),
    };
    if let Some(urls) = urls {
        patch.replace("/remoteReplicas", json!(urls));
    }
    let asked = deployment.version.as_ref();
    if let Some(share) = asked.and_then(|asked| asked.share) {
        patch.replace("/trafficPercentile", json!(share));
    }
    match asked.and_then(|asked| asked.abort_if) {
        // The flag is there for a rule that a file would bring back.
        _ if update.no_abort_if || args.stake.ends_guard() => {
            patch.replace("/abortIf", Value::Null)
        }
        Some(rule) => patch.replace("/abortIf", rule.to_string()),
        None => {}
    }
    for (key, value) in claims(args) {
        patch.replace(&format!("/{key}"), value);
    }
    patch.labels(&Labels {
        description: args.description.as_deref(),
        add_tags: &args.add_tags,
        remove_tags: &update.remove_tags,
        add_properties: &args.add_properties,
        ..Labels::default()
    });
}

async fn unchanged(
    session: &Session,
    args: &VersionArgs,
    endpoint: &Subject,
) -> anyhow::Result<()> {
    let stake = &args.stake;
    if stake.is_default.is_none() && stake.is_control_version_type.is_none() {
        return Err(Trouble::misuse(
            "nothing to change: give at least one flag besides --name and --version-name",
        )
        .into());
    }
    session.progress.say(
        "nothing changes: a version stops being the default or the control only when another \
         one becomes it",
    );
    super::show::traffic(session, &super::get(session, endpoint).await?)
}

async fn send(
    session: &Session,
    args: &VersionArgs,
    endpoint: &Subject,
    patch: Patch,
    act: &str,
) -> anyhow::Result<()> {
    let version = endpoint.clone().with_version(Some(&args.of.version_name))?;
    let path = endpoint.path("");
    let what = format!("{act} of {version}");
    let request = (Method::PATCH, path.as_str(), &patch.into_value());
    super::change(session, endpoint, request, &what, args.no_wait).await
}
