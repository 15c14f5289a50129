//! `lusk service reload`: a local service gets its script again.

use http::Method;

use super::path;
use crate::{
    cli::ServiceReloadArgs,
    commands::{Session, deploy::checked_name, operation, script},
    render::{self, Trouble},
};

/// Packs the script anew and gives it to the service; what is not given stays.
///
/// # Errors
/// A wrong config, a service that is not local, a script that does not start.
pub(crate) async fn run(session: &Session, args: &ServiceReloadArgs) -> anyhow::Result<()> {
    let name = checked_name(&args.name)?;
    let nothing = || {
        Trouble::misuse("there is no script to reload")
            .with_help("give --inference-config-file or --entry-script")
    };
    if !args.script.is_given() {
        return Err(nothing().into());
    }
    let service = super::get(session, name.as_str()).await?;
    let config = script::read_change(&args.script, &session.directory, &service)?;
    let config = config.ok_or_else(nothing)?;
    if !session.is_quiet {
        render::notices(&config.notices);
    }
    let image = script::send(session, &args.script, &config.value).await?;
    let sent = session
        .client()
        .send(Method::POST, &path(name.as_str(), "/reload"), Some(&image))
        .await?;
    if args.no_wait {
        return Ok(());
    }
    operation::follow(session, &sent.body, &format!("reload of service `{name}`")).await?;
    super::print(session, &super::get(session, name.as_str()).await?)
}
