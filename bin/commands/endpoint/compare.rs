//! `lusk endpoint realtime compare`: how each version does, and what is different from
//! the control.

use serde_json::Value;

use crate::{
    cli::Format,
    commands::{
        Session,
        deploy::checked_name,
        model::{plain, seconds},
        service,
    },
    render::{self, Column},
};

/// Prints both tables, or what the node says for programs.
///
/// # Errors
/// No such endpoint, no version that was healthy, or no answer.
pub(crate) async fn run(session: &Session, name: &str) -> anyhow::Result<()> {
    let name = checked_name(name)?;
    let path = service::path(name.as_str(), "/compare");
    let compared = session.client().get(&path).await?;
    if !matches!(session.format, Format::Table | Format::Tsv) {
        return render::data(session.format, &compared, &VERSIONS);
    }
    if session.format == Format::Table {
        introduction(&compared)
            .iter()
            .for_each(|line| render::talk(line));
    }
    render::text(session.format, &tables(session.format, &compared)?)
}

/// Both tables; only the first one where nothing is compared.
fn tables(format: Format, compared: &Value) -> anyhow::Result<String> {
    let mut text = render::data_text(format, &compared["versions"], &VERSIONS)?;
    let differences = compared["differences"].as_array();
    if differences.is_some_and(|rows| !rows.is_empty()) {
        text.truncate(text.trim_end_matches('\n').len());
        text += "\n\n";
        text += &render::data_text(format, &compared["differences"], &DIFFERENCES)?;
    }
    Ok(text)
}

/// What is compared with what, and since when.
fn introduction(compared: &Value) -> Vec<String> {
    let (since, baseline) = (seconds(&compared["since"]), plain(&compared["baseline"]));
    let versions = || compared["versions"].as_array().into_iter().flatten();
    let mut lines = vec![format!(
        "since {since}; intervals hold with 95 % confidence"
    )];
    if versions().any(|version| version["role"] == "default") {
        lines.push(format!(
            "no version is the control: compared with the default, `{baseline}`"
        ));
    }
    for later in versions().filter(|version| version["since"] != compared["since"]) {
        let (name, since) = (plain(&later["name"]), seconds(&later["since"]));
        lines.push(format!("`{name}` is counted since {since}"));
    }
    lines
}

const VERSIONS: [Column; 11] = [
    Column::new("Version", |version| plain(&version["name"])),
    Column::new("Role", |version| plain(&version["role"])),
    Column::new("Traffic", |version| match version["traffic"].as_f64() {
        Some(percent) => format!("{percent} %"),
        None => String::new(),
    }),
    Column::new("Requests", |version| plain(&version["requests"])),
    Column::new("Errors", |version| plain(&version["failures"])),
    Column::new("Error rate", error_rate),
    Column::new("Mean ms", |version| {
        milliseconds(&version["meanMs"]["value"])
    }),
    Column::new("p50 ms", |version| milliseconds(&version["p50Ms"]["value"])),
    Column::new("p90 ms", |version| milliseconds(&version["p90Ms"]["value"])),
    Column::new("p95 ms", |version| milliseconds(&version["p95Ms"]["value"])),
    Column::new("p99 ms", |version| milliseconds(&version["p99Ms"]["value"])),
];

const DIFFERENCES: [Column; 5] = [
    Column::new("Version", |row| plain(&row["version"])),
    Column::new("Measure", |row| measure(row).0.to_owned()),
    Column::new("Difference", |row| match row["difference"].as_f64() {
        Some(value) => format!("{} {}", signed(row, value), measure(row).1),
        None => String::new(),
    }),
    Column::new("95 % interval", interval),
    Column::new("Seen", verdict),
];

/// The part of errors in percent, with its interval.
fn error_rate(version: &Value) -> String {
    let rate = &version["errorRate"];
    let percent = |key: &str| Some(rate[key].as_f64()? * 100.0);
    match (percent("value"), percent("low"), percent("high")) {
        (Some(value), Some(low), Some(high)) => {
            format!("{value:.2} % ({low:.2} to {high:.2})")
        }
        _ => String::new(),
    }
}

/// Three digits or so.
fn milliseconds(value: &Value) -> String {
    value.as_f64().map(digits).unwrap_or_default()
}

fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A measure's name and the unit of its differences.
fn measure(row: &Value) -> (&str, &'static str) {
    match row["measure"].as_str().unwrap_or_default() {
        "errorRate" => ("error rate", "points"),
        "meanMs" => ("mean", "ms"),
        other => (other.trim_end_matches("Ms"), "ms"),
    }
}

/// With its sign: rates in percentage points, times in milliseconds.
fn signed(row: &Value, value: f64) -> String {
    let text = match row["measure"] == "errorRate" {
        true => format!("{:.2}", value * 100.0),
        false => digits(value),
    };
    match value > 0.0 {
        true => format!("+{text}"),
        false => text,
    }
}

fn interval(row: &Value) -> String {
    match (row["low"].as_f64(), row["high"].as_f64()) {
        (Some(low), Some(high)) => format!("{} to {}", signed(row, low), signed(row, high)),
        _ => String::new(),
    }
}

fn verdict(row: &Value) -> String {
    match row["verdict"].as_str().unwrap_or_default() {
        "noDifferenceSeen" => "no difference seen".to_owned(),
        "tooFewRequests" => format!(
            "too few requests ({} of {})",
            plain(&row["requests"]),
            plain(&row["neededRequests"])
        ),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compared() -> Value {
        let level = |value: f64| json!({"value": value, "low": value / 2.0, "high": value * 2.0});
        json!({
            "since": "2026-01-02T03:04:05.678901Z",
            "baseline": "blue",
            "versions": [
                {
                    "name": "blue", "role": "default", "traffic": 80.0,
                    "since": "2026-01-02T03:04:05.678901Z", "requests": 1234, "failures": 12,
                    "errorRate": level(0.01), "meanMs": level(12.345), "p50Ms": level(9.876),
                    "p90Ms": level(20.0), "p95Ms": level(99.94), "p99Ms": level(1234.5),
                },
                {
                    "name": "green", "role": "treatment", "traffic": 20.0,
                    "since": "2026-01-02T03:05:00Z", "requests": 0, "failures": 0,
                },
            ],
            "differences": [
                {
                    "version": "green", "measure": "errorRate", "verdict": "worse",
                    "difference": 0.031, "low": 0.005, "high": 0.061,
                },
                {
                    "version": "green", "measure": "meanMs", "verdict": "noDifferenceSeen",
                    "difference": -1.5, "low": -3.25, "high": 0.25,
                },
                {
                    "version": "green", "measure": "p99Ms", "verdict": "tooFewRequests",
                    "difference": null, "low": null, "high": null,
                    "requests": 12, "neededRequests": 368,
                },
            ],
        })
    }

    #[test]
    fn versions_and_differences_are_one_row_each() {
        let text = tables(Format::Tsv, &compared()).unwrap();
        let rows = [
            "blue\tdefault\t80 %\t1234\t12\t1.00 % (0.50 to 2.00)\t12.3\t9.88\t20.0\t99.9\t1234",
            "green\ttreatment\t20 %\t0\t0\t\t\t\t\t\t",
            "green\terror rate\t+3.10 points\t+0.50 to +6.10\tworse",
            "green\tmean\t-1.50 ms\t-3.25 to +0.25\tno difference seen",
            "green\tp99\t\t\ttoo few requests (12 of 368)",
        ];
        for row in rows {
            assert!(text.lines().any(|line| line == row), "{row}\n{text}");
        }
    }

    #[test]
    fn one_version_alone_has_one_table() {
        let mut alone = compared();
        alone["differences"] = json!([]);
        let text = tables(Format::Table, &alone).unwrap();
        assert!(!text.contains("95 % interval"), "{text}");
    }

    #[test]
    fn what_is_not_as_usual_is_said_before() {
        let lines = introduction(&compared());
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("compared with the default, `blue`"));
        assert!(lines[2].starts_with("`green` is counted since"));
    }
}
