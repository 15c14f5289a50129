//! `lusk service reload`: a local service gets its script again.

use http::Method;

use super::path;
use crate::{
    cli::ServiceReloadArgs,
    commands::{Session, deploy::checked_name, operation, script},
    render::{self, Trouble},
};

/// Packs the script anew and gives it to the service.
///
/// # Errors
/// A wrong config, a service that is not local, a script that does not start.
pub(crate) async fn run(session: &Session, args: &ServiceReloadArgs) -> anyhow::Result<()> {
    let name = checked_name(&args.name)?;
    let Some(config) = script::read(&args.script, &session.directory, name.as_str())? else {
        return Err(Trouble::misuse("there is no script to reload")
            .with_help("give --inference-config-file or --entry-script")
            .into());
    };
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
