//! `lusk online-endpoint create` and `update`.

use std::path::Path;

use http::Method;
use lusk_domain::Share;
use lusk_manifest::{OnlineEndpoint, Override, Source, online_endpoint};
use serde_json::{Value, json};

use super::{
    follow, get, named, told,
    traffic::{self, put, put_mirror},
    view,
};
use crate::{
    cli::{OnlineEndpointArgs, OnlineEndpointUpdateArgs, online_overrides},
    commands::{Session, change::Patch, script, subject::Subject},
    render::Trouble,
};

/// The file with the flags over it, or what the flags say alone.
fn read(
    session: &Session,
    file: Option<&Path>,
    overrides: &[Override],
) -> anyhow::Result<OnlineEndpoint> {
    let source = script::source(file, &session.directory)?;
    let source = source.unwrap_or_else(|| Source::new("flags", "{}"));
    Ok(told(session, online_endpoint(&source, overrides)?))
}

/// Creates an endpoint without deployments.
///
/// # Errors
/// A wrong file, a name that is taken, or traffic for deployments that cannot be there.
pub(super) async fn create(session: &Session, args: &OnlineEndpointArgs) -> anyhow::Result<()> {
    let name = [("name", "--name", args.name.as_deref())];
    let file = read(
        session,
        args.file.as_deref(),
        &online_overrides(&args.set, &name),
    )?;
    let name = named(file.name.clone(), "--name")?;
    refuse_traffic(&file)?;
    let body = json!({
        "name": name,
        "computeType": "AKSENDPOINT",
        "authEnabled": true,
        "description": file.description,
        "kvTags": file.tags.unwrap_or_default(),
        "properties": file.properties,
    });
    let sent = session
        .client()
        .send(Method::POST, "/services", Some(&body))
        .await?;
    let subject = Subject::endpoint(name.as_str())?;
    follow(
        session,
        &sent.body,
        &format!("creation of {subject}"),
        args.no_wait,
    )
    .await?;
    view::endpoint(session, &get(session, &subject).await?)
}

/// Nobody can get traffic of an endpoint that is only made.
fn refuse_traffic(file: &OnlineEndpoint) -> Result<(), Trouble> {
    let maps = [("traffic", &file.traffic), ("mirror_traffic", &file.mirror)];
    for (key, map) in maps {
        let mut shares = map.iter().flatten();
        if let Some((version, _)) = shares.find(|(_, share)| **share > Share::NONE) {
            return Err(Trouble::new(format!(
                "`{key}` names `{version}`, but a new endpoint has no deployments"
            ))
            .with_help(
                "create it without, then its deployments, then \
                 `lusk online-endpoint update -f` with the traffic",
            ));
        }
    }
    Ok(())
}

/// Changes labels and traffic in one step.
///
/// # Errors
/// A wrong file or flag, no such endpoint, or shares that do not fit.
pub(super) async fn update(
    session: &Session,
    args: &OnlineEndpointUpdateArgs,
) -> anyhow::Result<()> {
    let name = [("name", "--name", args.name.as_deref())];
    let mut wish = read(
        session,
        args.file.as_deref(),
        &online_overrides(&args.set, &name),
    )?;
    wish.traffic = traffic::traffic(&args.traffic)?.or(wish.traffic);
    wish.mirror = traffic::mirror(args.mirror_traffic.as_ref())?.or(wish.mirror);
    let name = named(wish.name.clone(), "--name")?;
    let subject = Subject::endpoint(name.as_str())?;
    let now = get(session, &subject).await?;
    if args.file.is_none() {
        keep_tags(&mut wish, &now);
    }
    let patch = patch(&wish, &now);
    if patch.is_empty() {
        return view::endpoint(session, &now);
    }
    let sent = session
        .client()
        .send(Method::PATCH, &subject.path(""), Some(&patch.into_value()))
        .await?;
    follow(
        session,
        &sent.body,
        &format!("update of {subject}"),
        args.no_wait,
    )
    .await?;
    view::endpoint(session, &get(session, &subject).await?)
}

/// A file has all tags, but `--set` alone names the one that it is about.
fn keep_tags(wish: &mut OnlineEndpoint, now: &Value) {
    let Some(tags) = &mut wish.tags else { return };
    for (key, value) in now["tags"].as_object().into_iter().flatten() {
        if let Some(text) = value.as_str() {
            tags.entry(key.clone()).or_insert_with(|| text.to_owned());
        }
    }
}

fn patch(wish: &OnlineEndpoint, now: &Value) -> Patch {
    let mut patch = Patch::of_all();
    if let Some(text) = &wish.description {
        patch.replace("/description", text.as_str());
    }
    if let Some(tags) = &wish.tags {
        patch.replace("/kvTags", json!(tags));
    }
    // Those that are there cannot change, and a file is sent more than once.
    let new: serde_json::Map<_, _> = wish
        .properties
        .iter()
        .filter(|(key, value)| now["properties"][key.as_str()] != json!(value))
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    if !new.is_empty() {
        patch.add("/properties", new);
    }
    if let Some(shares) = &wish.traffic {
        put(&mut patch, shares);
    }
    if let Some(shares) = &wish.mirror {
        put_mirror(&mut patch, shares);
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> OnlineEndpoint {
        let source = Source::new("endpoint.yml", text);
        online_endpoint(&source, &[]).unwrap().value
    }

    #[test]
    fn a_file_is_one_patch() {
        let wish = file(
            "name: shop\ndescription: d\ntags: {a: b}\nproperties: {old: 1, new: 2}\n\
             traffic: {blue: 90, green: 10}\nmirror_traffic: {dark: 5}",
        );
        let now = json!({"properties": {"old": "1"}});
        assert_eq!(
            patch(&wish, &now).into_value(),
            json!([
                {"op": "replace", "path": "/description", "value": "d"},
                {"op": "replace", "path": "/kvTags", "value": {"a": "b"}},
                {"op": "add", "path": "/properties", "value": {"new": "2"}},
                {"op": "replace", "path": "/traffic", "value": {"blue": 90.0, "green": 10.0}},
                {"op": "replace", "path": "/mirrorTraffic", "value": {"dark": 5.0}},
            ])
        );
        assert!(patch(&file("name: shop"), &now).is_empty());
    }

    #[test]
    fn a_tag_that_is_set_alone_leaves_the_others() {
        let mut wish = file("tags: {team: blue}");
        keep_tags(
            &mut wish,
            &json!({"tags": {"team": "red", "stage": "prod"}}),
        );
        let tags: Vec<_> = wish.tags.into_iter().flatten().collect();
        let expected = [("stage", "prod"), ("team", "blue")];
        assert_eq!(
            tags,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_new_endpoint_has_nobody_to_give_traffic_to() {
        assert!(refuse_traffic(&file("traffic: {blue: 0}")).is_ok());
        let error = refuse_traffic(&file("traffic: {blue: 100}")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`traffic` names `blue`, but a new endpoint has no deployments"
        );
    }
}
