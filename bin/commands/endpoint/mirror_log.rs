//! `lusk endpoint realtime mirror-log`: answers of the mirrored version beside the
//! live ones.

use serde_json::Value;

use crate::{
    cli::{Format, MirrorLogArgs},
    client::query,
    commands::{Session, deploy::checked_name, model::plain, service},
    render::{self, Column},
};

/// Prints the pairs, oldest first, and tells how many differ.
///
/// # Errors
/// No such endpoint, or no answer.
pub(crate) async fn run(session: &Session, args: &MirrorLogArgs) -> anyhow::Result<()> {
    let name = checked_name(&args.name)?;
    let query = query(&[("tail", Some(args.lines.to_string()))]);
    let path = service::path(name.as_str(), &format!("/mirror{query}"));
    let mut log = session.client().get(&path).await?;
    if args.different
        && let Some(pairs) = log["pairs"].as_array_mut()
    {
        pairs.retain(|pair| pair["equal"] != true);
    }
    if session.format != Format::Table {
        return render::data(session.format, &log["pairs"], &COLUMNS);
    }
    if log["pairs"]
        .as_array()
        .is_some_and(|pairs| !pairs.is_empty())
    {
        render::data(session.format, &log["pairs"], &COLUMNS)?;
    }
    render::talk(&summary(&log));
    Ok(())
}

fn summary(log: &Value) -> String {
    let count = |key: &str| log[key].as_u64().unwrap_or(0);
    let (equal, different, dropped) = (count("equal"), count("different"), count("dropped"));
    let mut text = match equal + different {
        0 => "no answers are kept; `lusk endpoint realtime update --mirror VERSION=PERCENT \
              --mirror-keep-answers true` begins"
            .to_owned(),
        all => format!("{different} of {all} differ"),
    };
    if dropped > 0 {
        text += &format!("; {dropped} more found no room");
    }
    text
}

const COLUMNS: [Column; 9] = [
    Column::new("Time", |pair| plain(&pair["time"])),
    Column::new("Request", |pair| plain(&pair["requestId"])),
    Column::new("Live", |pair| plain(&pair["live"]["version"])),
    Column::new("Status", |pair| status(&pair["live"])),
    Column::new("ms", |pair| milliseconds(&pair["live"])),
    Column::new("Mirror", |pair| plain(&pair["mirror"]["version"])),
    Column::new("Status", |pair| status(&pair["mirror"])),
    Column::new("ms", |pair| milliseconds(&pair["mirror"])),
    Column::new("Equal", |pair| match pair["equal"] == true {
        true => "yes".to_owned(),
        false => "no".to_owned(),
    }),
];

fn status(answer: &Value) -> String {
    match answer["status"].as_u64() {
        Some(status) => status.to_string(),
        None => "none".to_owned(),
    }
}

fn milliseconds(answer: &Value) -> String {
    let time = answer["milliseconds"].as_f64();
    time.map(|time| format!("{time:.1}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pair_is_one_row() {
        let pair = json!({
            "time": "2026-01-02T03:04:05.678Z",
            "requestId": "r1",
            "live": {"version": "blue", "status": 200, "milliseconds": 1.25},
            "mirror": {"version": "green", "status": null, "milliseconds": 30},
            "equal": false,
        });
        let text = render::data_text(Format::Tsv, &json!([pair]), &COLUMNS).unwrap();
        let row = text.lines().last().unwrap();
        assert_eq!(
            row,
            "2026-01-02T03:04:05.678Z\tr1\tblue\t200\t1.2\tgreen\tnone\t30.0\tno"
        );
    }

    #[test]
    fn the_summary_tells_what_was_lost() {
        let text = summary(&json!({"equal": 3, "different": 1, "dropped": 2}));
        assert_eq!(text, "1 of 4 differ; 2 more found no room");
        assert!(summary(&json!({})).starts_with("no answers are kept"));
    }
}
