//! `lusk endpoint realtime promote` and `rollback`: the end of a trial, either way.

use http::Method;
use serde_json::json;

use crate::{
    cli::VersionOf,
    commands::{Session, subject::Subject},
};

/// Makes a version the default and the control.
///
/// # Errors
/// No such endpoint or version.
pub(super) async fn run(session: &Session, of: &VersionOf) -> anyhow::Result<()> {
    let endpoint = Subject::endpoint(&of.name)?;
    let version = endpoint.clone().with_version(Some(&of.version_name))?;
    let body = json!({ "version": version.version() });
    let path = endpoint.path("/promote");
    let what = format!("promotion of {version}");
    super::change(
        session,
        &endpoint,
        (Method::POST, &path, &body),
        &what,
        false,
    )
    .await
}

/// Takes all traffic from a version, or from all but the control.
///
/// # Errors
/// No such endpoint or version, or no control.
pub(super) async fn back(
    session: &Session,
    name: &str,
    version: Option<&str>,
) -> anyhow::Result<()> {
    let endpoint = Subject::endpoint(name)?;
    let subject = endpoint.clone().with_version(version)?;
    let body = match subject.version() {
        Some(version) => json!({ "version": version }),
        None => json!({}),
    };
    let path = endpoint.path("/rollback");
    let what = format!("rollback of {subject}");
    super::change(
        session,
        &endpoint,
        (Method::POST, &path, &body),
        &what,
        false,
    )
    .await
}
