//! `lusk service batches`: how calls of models are joined, and why batches closed.

use serde_json::Value;

use super::path;
use crate::{
    cli::Format,
    commands::{Session, deploy::checked_name, model::plain},
    render::{self, Column},
};

const COLUMNS: [Column; 10] = [
    Column::new("Model", |model| plain(&model["model"])),
    Column::new("Up to", |model| {
        let (rows, delay) = (&model["maxBatchSize"], &model["maxBatchDelayMs"]);
        format!("{rows} rows, {delay} ms")
    }),
    Column::new("Batches", |model| plain(&model["batches"])),
    Column::new("Rows", |model| plain(&model["rows"])),
    Column::new("Mean", |model| number(&model["meanRows"])),
    Column::new("Closed", closed),
    Column::new("Mean wait", |model| milliseconds(&model["meanWaitMs"])),
    Column::new("Longest", |model| milliseconds(&model["longestWaitMs"])),
    Column::new("Waiting", |model| plain(&model["waiting"])),
    // Calls that left before their batch closed: nobody waited for them any more.
    Column::new("Gone", |model| plain(&model["gone"])),
];

/// Prints a line for each model that asks for batches.
///
/// # Errors
/// No such service, or no answer.
pub(crate) async fn run(session: &Session, name: &str) -> anyhow::Result<()> {
    let name = checked_name(name)?;
    let told = session
        .client()
        .get(&path(name.as_str(), "/batches"))
        .await?;
    let models = told["models"].as_array().cloned().unwrap_or_default();
    if session.format == Format::Table {
        if models.is_empty() {
            render::talk(
                "no model of this service asks for batches; `lusk model update --max-batch-size`, \
                 then `lusk service update`, makes one",
            );
        }
        for model in &models {
            if let Some(reason) = model["withoutEffect"].as_str() {
                let model = plain(&model["model"]);
                render::talk(&format!("model {model} {reason}: calls are not joined"));
            }
        }
    }
    render::data(session.format, &Value::Array(models), &COLUMNS)
}

/// `full 3, idle 12`: the reasons that there were.
fn closed(model: &Value) -> String {
    const REASONS: [&str; 5] = ["full", "delay", "shape", "idle", "alone"];
    let counted = REASONS
        .iter()
        .map(|reason| (reason, &model["closed"][reason]));
    let seen: Vec<_> = counted
        .filter(|(_, count)| count.as_u64() != Some(0))
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    seen.join(", ")
}

fn number(value: &Value) -> String {
    format!("{:.1}", value.as_f64().unwrap_or_default())
}

fn milliseconds(value: &Value) -> String {
    format!("{:.1} ms", value.as_f64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_reasons_that_there_were_are_shown() {
        let model = json!({"closed": {"full": 3, "delay": 0, "shape": 0, "idle": 12, "alone": 0}});
        assert_eq!(closed(&model), "full 3, idle 12");
    }
}
