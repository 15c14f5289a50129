//! `lusk service scaling-log`: each decision of the autoscaler in one line, and what
//! else made replicas come and go.

use serde_json::Value;

use super::path;
use crate::{
    cli::{Format, ServiceScalingArgs},
    commands::{Session, deploy::checked_name, model::plain},
    render::{self, Column},
};

/// Prints the decisions, oldest first.
///
/// # Errors
/// No such service, or no answer.
pub(crate) async fn run(session: &Session, args: &ServiceScalingArgs) -> anyhow::Result<()> {
    let name = checked_name(&args.name)?;
    let log = session
        .client()
        .get(&path(name.as_str(), "/scaling"))
        .await?;
    if log["policy"].is_null() {
        render::talk("the number of replicas is fixed: nothing is decided");
    }
    let decisions = log["decisions"].as_array().into_iter().flatten();
    let shown = decisions.filter(|decision| args.all || decision["changes"] == true);
    let shown: Vec<_> = shown.cloned().collect();
    if shown.is_empty() && session.format == Format::Table {
        render::talk(match args.all {
            true => "the log is empty: nothing was seen since the node runs the service",
            false => "the log is empty: no replica came or went; --all shows every look",
        });
        return Ok(());
    }
    let shown = Value::Array(shown);
    const COLUMNS: [Column; 2] = [
        Column::new("Time", |decision| plain(&decision["time"])),
        Column::new("Decision", |decision| plain(&decision["text"])),
    ];
    render::data(session.format, &shown, &COLUMNS)
}
