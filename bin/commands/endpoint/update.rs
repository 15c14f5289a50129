//! `lusk endpoint realtime update`: what all versions have in common, in one step.

use http::Method;
use lusk_domain::Mirror;
use serde_json::{Map, Value, json};

use crate::{
    cli::{EndpointUpdateArgs, OrNone, Part},
    commands::{
        Session,
        change::{Labels, Patch},
        subject::Subject,
    },
    render::Trouble,
};

/// Changes an endpoint.
///
/// # Errors
/// Nothing to change, no such endpoint, or shares that do not fit.
pub(super) async fn run(session: &Session, args: &EndpointUpdateArgs) -> anyhow::Result<()> {
    let endpoint = Subject::endpoint(&args.name)?;
    let patch = patch(args)?;
    if patch.is_empty() {
        return Err(
            Trouble::misuse("nothing to change: give at least one flag besides --name").into(),
        );
    }
    super::get(session, &endpoint).await?;
    let path = endpoint.path("");
    let what = format!("update of {endpoint}");
    let request = (Method::PATCH, path.as_str(), &patch.into_value());
    super::change(session, &endpoint, request, &what, args.no_wait).await
}

fn patch(args: &EndpointUpdateArgs) -> Result<Patch, Trouble> {
    let mut patch = Patch::of_all();
    let door = &args.door;
    for (path, value) in [
        ("/authEnabled", door.switches.auth_enabled),
        ("/aadAuthEnabled", door.token_auth_enabled),
        ("/appInsightsEnabled", door.switches.enable_app_insights),
    ] {
        if let Some(value) = value {
            patch.replace(path, value);
        }
    }
    patch.labels(&Labels {
        description: args.description.as_deref(),
        tags: &args.tags,
        add_tags: &args.add_tags,
        remove_tags: &args.remove_tags,
        add_properties: &args.add_properties,
    });
    if !args.traffic.is_empty() {
        let parts = args.traffic.iter().flat_map(|parts| &parts.0);
        patch.replace("/traffic", shares(parts)?);
    }
    if let Some(OrNone(sticky)) = &args.sticky {
        let text = sticky.as_ref().map(ToString::to_string);
        patch.replace("/sticky", json!(text));
    }
    if let Some(OrNone(mirror)) = &args.mirror {
        patch.replace("/mirrorTraffic", mirrored(mirror.as_ref())?);
    }
    if let Some(keeps) = args.mirror_keep_answers {
        patch.replace("/mirrorKeepsAnswers", keeps);
    }
    Ok(patch)
}

/// Each version once.
fn shares<'a>(parts: impl Iterator<Item = &'a Part>) -> Result<Value, Trouble> {
    let mut shares = Map::new();
    for Part { version, share } in parts {
        let before = shares.insert(version.to_string(), json!(share));
        if before.is_some() {
            let twice = format!("--traffic names version `{version}` twice");
            return Err(Trouble::misuse(twice));
        }
    }
    Ok(Value::Object(shares))
}

fn mirrored(part: Option<&Part>) -> Result<Value, Trouble> {
    let Some(Part { version, share }) = part else {
        return Ok(Value::Null);
    };
    let mirror = Mirror::new(version.clone(), *share)
        .map_err(|error| Trouble::misuse(format!("--mirror: {error}")))?;
    Ok(json!({ mirror.version.as_str(): mirror.share }))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command, EndpointCommand, RealtimeCommand};

    fn of(words: &[&str]) -> Result<Value, Trouble> {
        let line = ["lusk", "endpoint", "realtime", "update", "-n", "shop"];
        let cli = Cli::try_parse_from(line.iter().chain(words)).unwrap();
        let Command::Endpoint(EndpointCommand::Realtime(RealtimeCommand::Update(args))) =
            cli.command
        else {
            panic!("{words:?}");
        };
        patch(&args).map(Patch::into_value)
    }

    #[test]
    fn everything_is_one_patch() {
        let words = [
            "--ae=false",
            "--ai",
            "--traffic",
            "blue=90 green=10",
            "--sticky",
            "header:X-User",
            "--mirror",
            "dark=12.5",
            "--mirror-keep-answers",
            "--add-tag",
            "a=b",
        ];
        assert_eq!(
            of(&words).unwrap(),
            json!([
                {"op": "replace", "path": "/authEnabled", "value": false},
                {"op": "replace", "path": "/appInsightsEnabled", "value": true},
                {"op": "add", "path": "/kvTags/a", "value": "b"},
                {"op": "replace", "path": "/traffic", "value": {"blue": 90.0, "green": 10.0}},
                {"op": "replace", "path": "/sticky", "value": "header:x-user"},
                {"op": "replace", "path": "/mirrorTraffic", "value": {"dark": 12.5}},
                {"op": "replace", "path": "/mirrorKeepsAnswers", "value": true},
            ])
        );
    }

    #[test]
    fn none_ends_what_it_is_said_of() {
        assert_eq!(
            of(&["--sticky", "none", "--mirror", "none"]).unwrap(),
            json!([
                {"op": "replace", "path": "/sticky", "value": null},
                {"op": "replace", "path": "/mirrorTraffic", "value": null},
            ])
        );
    }

    #[test]
    fn shares_may_be_words_of_their_own_but_each_version_comes_once() {
        let traffic = of(&["--traffic", "blue=60", "green=40"]).unwrap();
        assert_eq!(traffic[0]["value"], json!({"blue": 60.0, "green": 40.0}));
        let twice = of(&["--traffic", "blue=60", "blue=40"]).unwrap_err();
        assert_eq!(twice.to_string(), "--traffic names version `blue` twice");
    }

    #[test]
    fn more_than_half_cannot_be_mirrored() {
        let error = of(&["--mirror", "dark=50.01"]).unwrap_err().to_string();
        assert!(
            error.contains("50.01") && error.contains("at most 50"),
            "{error}"
        );
        assert!(of(&["--mirror", "dark=0"]).is_err());
    }
}
