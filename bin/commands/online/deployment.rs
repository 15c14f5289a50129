//! `lusk online-deployment create` and `update`.

use std::path::Path;

use http::Method;
use lusk_domain::{ServiceName, Share, VersionName};
use lusk_manifest::{OnlineDeployment, online_deployment};
use serde_json::{Map, Value, json};

use super::{
    existing, follow, get, named, named_version, source, told,
    traffic::{self, Shares},
    view,
};
use crate::{
    cli::{OnlineDeploymentArgs, online_overrides},
    commands::{Session, change::Patch, deploy::settings, script, subject::Subject},
    render::Trouble,
};

/// A deployment and where it goes.
struct Wish {
    subject: Subject,
    version: VersionName,
    deployment: OnlineDeployment,
}

fn read(session: &Session, args: &OnlineDeploymentArgs) -> anyhow::Result<Wish> {
    let names = [
        ("name", "--name", args.name.as_deref()),
        (
            "endpoint_name",
            "--endpoint-name",
            args.endpoint_name.as_deref(),
        ),
    ];
    let source = script::source(Some(&args.file), &session.directory)?;
    let source = source.ok_or_else(|| Trouble::misuse("give --file"))?;
    let file = session.at(&args.file);
    let base = file.parent().unwrap_or(Path::new("."));
    let overrides = online_overrides(&args.set, &names);
    let deployment = told(session, online_deployment(&source, &overrides, base)?);
    let endpoint: ServiceName = named(deployment.endpoint.clone(), "--endpoint-name")?;
    let version = named_version(deployment.name.clone())?;
    Ok(Wish {
        subject: Subject::endpoint(endpoint.as_str())?,
        version,
        deployment,
    })
}

/// Deploys to an endpoint that is there.
///
/// # Errors
/// A wrong file, no such endpoint, or a deployment that did not become healthy.
pub(super) async fn create(session: &Session, args: &OnlineDeploymentArgs) -> anyhow::Result<()> {
    let wish = read(session, args)?;
    let endpoint = get(session, &wish.subject).await?;
    if existing(&endpoint, wish.version.as_str()).is_ok() {
        let (name, of) = (&wish.version, wish.subject.name());
        return Err(
            Trouble::new(format!("endpoint `{of}` has a deployment `{name}` already"))
                .with_help("change it with `lusk online-deployment update -f`")
                .into(),
        );
    }
    let image = source::image(session, &wish.deployment).await?;
    let mut patch = Patch::of_all();
    let place = format!("/versions/{}", wish.version);
    patch.add(&place, body(&wish.deployment, image));
    send(session, args, &wish, patch, "creation").await
}

/// Changes a deployment to what the file says.
///
/// # Errors
/// A wrong file, no such deployment, or one that did not become healthy.
pub(super) async fn update(session: &Session, args: &OnlineDeploymentArgs) -> anyhow::Result<()> {
    let wish = read(session, args)?;
    let endpoint = get(session, &wish.subject).await?;
    let now = existing(&endpoint, wish.version.as_str())?;
    let image = source::image(session, &wish.deployment).await?;
    let mut patch = Patch::of_version(&wish.version);
    put(&mut patch, &wish.deployment, now, image);
    send(session, args, &wish, patch, "update").await
}

async fn send(
    session: &Session,
    args: &OnlineDeploymentArgs,
    wish: &Wish,
    patch: Patch,
    verb: &str,
) -> anyhow::Result<()> {
    let mut patch = patch.into_value();
    if args.all_traffic {
        let mut all = Patch::of_all();
        let shares = Shares::from([(wish.version.clone(), Share::ALL)]);
        traffic::put(&mut all, &shares);
        if let (Value::Array(patch), Value::Array(more)) = (&mut patch, all.into_value()) {
            patch.extend(more);
        }
    }
    let subject = &wish.subject;
    let sent = session
        .client()
        .send(Method::PATCH, &subject.path(""), Some(&patch))
        .await?;
    let what = format!("{verb} of deployment `{}` of {subject}", wish.version);
    follow(session, &sent.body, &what, args.no_wait).await?;
    let endpoint = get(session, subject).await?;
    match existing(&endpoint, wish.version.as_str()) {
        Ok(version) => view::deployment(session, version),
        // Nobody waited for it.
        Err(_) => Ok(()),
    }
}

/// A new version of the endpoint. Without a share in it, it gets no traffic of its own,
/// or what `--all-traffic` says.
fn body(deployment: &OnlineDeployment, image: Value) -> Map<String, Value> {
    let mut body = settings(&deployment.settings);
    let fields = [
        ("environmentImageRequest", image),
        ("description", json!(deployment.description)),
        ("kvTags", json!(deployment.tags.clone().unwrap_or_default())),
        ("properties", json!(deployment.properties)),
    ];
    body.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    body
}

/// All that the file says of a version that is there.
fn put(patch: &mut Patch, deployment: &OnlineDeployment, now: &Value, mut image: Value) {
    patch.settings(&deployment.settings);
    if let Some(text) = &deployment.description {
        patch.replace("/description", text.as_str());
    }
    if let Some(tags) = &deployment.tags {
        patch.replace("/kvTags", json!(tags));
    }
    for (key, value) in &deployment.properties {
        if now["properties"][key.as_str()] != json!(value) {
            patch.add(&format!("/properties/{}", escaped(key)), value.as_str());
        }
    }
    if deployment.script.is_some() {
        patch.replace("/environmentImageRequest", image);
    } else {
        patch.replace("/modelIds", image["modelIds"].take());
    }
}

/// A key as one part of a JSON Pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use lusk_manifest::Source;

    use super::*;

    fn file(text: &str) -> OnlineDeployment {
        let source = Source::new("blue.yml", text);
        let read = online_deployment(&source, &[], Path::new("/"));
        read.unwrap().value
    }

    #[test]
    fn a_new_deployment_is_a_version_without_traffic() {
        let text = "name: blue\nmodel: azureml:digits:1\ntags: {a: b}\ninstance_count: 2\n\
                    resources: {limits: {nvidia.com/gpu: 1}}";
        let body = body(&file(text), json!({"modelIds": ["digits:1"]}));
        assert_eq!(
            Value::Object(body),
            json!({
                "numReplicas": 2, "gpuCores": 1,
                "scoringTimeoutMs": 5000, "maxConcurrentRequestsPerContainer": 1,
                "maxQueueWaitMs": 500,
                "livenessProbeRequirements": {
                    "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 2,
                    "successThreshold": 1, "failureThreshold": 30
                },
                "environmentImageRequest": {"modelIds": ["digits:1"]},
                "description": null, "kvTags": {"a": "b"},
                "properties": {}
            })
        );
    }

    #[test]
    fn an_update_says_all_that_the_file_does() {
        let text = "name: blue\nmodel: azureml:digits:2\nproperties: {old: 1, new: 2}\n\
                    scale_settings: {max_instances: 3}";
        let mut patch = Patch::of_version(&"blue".parse().unwrap());
        let now = json!({"properties": {"old": "1"}});
        put(
            &mut patch,
            &file(text),
            &now,
            json!({"modelIds": ["digits:2"]}),
        );
        let patch = patch.into_value();
        let value = |path: &str| {
            let mut operations = patch.as_array().unwrap().iter();
            let found = operations.find(|it| it["path"] == format!("/versions/blue/{path}"));
            found.map(|it| it["value"].clone())
        };
        assert_eq!(value("modelIds"), Some(json!(["digits:2"])));
        assert_eq!(value("autoScaler/maxReplicas"), Some(json!(3)));
        assert_eq!(value("scoringTimeoutMs"), Some(json!(5000)));
        assert_eq!(value("properties/new"), Some(json!("2")));
        assert_eq!(value("properties/old"), None);
        assert_eq!(value("environmentImageRequest"), None);
    }
}
