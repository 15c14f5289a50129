//! `GET /services/{name}/batches`: how calls of a service's models are joined, and
//! the same for the metrics page.

use std::fmt::{Result as Written, Write};

use axum::{
    Json as JsonReply,
    extract::{Path, State},
};
use lusk_contract::{BATCH_ROW_BOUNDS, BatchReport};
use lusk_domain::{Closed, ServiceName};
use serde_json::{Map, Value, json};

use super::{
    Admin, Shared,
    fault::Fault,
    found::{Named, one_service},
    input::Params,
    metrics::{self, head},
};

/// Models of the service whose tags ask for batches, by name.
pub(crate) async fn show(
    State(admin): Shared,
    Path(named): Path<Named>,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    let name = one_service(&admin, &named.service()?, &params).await?;
    Ok(of(&admin, &name))
}

/// The same of one service, or of one version of an endpoint.
pub(crate) fn of(admin: &Admin, name: &ServiceName) -> JsonReply<Value> {
    let reports = admin.options.batches.batches();
    let own = reports.iter().filter(|report| report.service == *name);
    JsonReply(json!({ "models": own.map(object).collect::<Vec<_>>() }))
}

fn object(report: &BatchReport) -> Value {
    let counts = &report.counts;
    let closed: Map<_, _> = reasons(report)
        .map(|(reason, count)| (reason.to_owned(), json!(count)))
        .collect();
    let mean = |sum: f64, of: u64| if of == 0 { 0.0 } else { sum / of as f64 };
    json!({
        "model": report.model,
        "maxBatchSize": report.settings.max_rows,
        "maxBatchDelayMs": u64::try_from(report.settings.max_delay.as_millis()).unwrap_or(u64::MAX),
        "withoutEffect": report.without_effect,
        "batches": counts.batches(),
        "calls": counts.calls,
        "rows": counts.rows,
        "meanRows": mean(counts.rows as f64, counts.batches()),
        "closed": closed,
        "gone": counts.gone,
        "meanWaitMs": mean(counts.waited.as_secs_f64() * 1e3, counts.calls),
        "longestWaitMs": counts.longest.as_secs_f64() * 1e3,
        "waiting": report.waiting,
    })
}

fn reasons(report: &BatchReport) -> impl Iterator<Item = (&'static str, u64)> {
    let counts = report.counts.by_reason;
    Closed::ALL
        .into_iter()
        .map(move |reason| (reason.as_str(), counts[reason.index()]))
}

/// A family with one value per model.
type Family = (
    &'static str,
    &'static str,
    &'static str,
    fn(&BatchReport) -> f64,
);

/// The families of batches on the metrics page.
pub(super) fn write_metrics(page: &mut String, reports: &[BatchReport]) -> Written {
    let name = "lusk_batches_total";
    head(page, name, "counter", "Batches by why they closed.")?;
    for report in reports {
        let labels = labels(report);
        for (reason, count) in reasons(report) {
            writeln!(page, "{name}{{{labels},closed=\"{reason}\"}} {count}")?;
        }
    }
    let name = "lusk_batch_rows";
    head(page, name, "histogram", "Rows of a batch.")?;
    for report in reports {
        histogram(page, name, report)?;
    }
    let families: [Family; 3] = [
        (
            "lusk_batch_wait_seconds_total",
            "counter",
            "Time that calls waited for others.",
            |report| report.counts.waited.as_secs_f64(),
        ),
        (
            "lusk_batch_calls_total",
            "counter",
            "Calls that were computed in batches.",
            |report| report.counts.calls as f64,
        ),
        (
            "lusk_batch_calls_waiting",
            "gauge",
            "Calls in open batches.",
            |report| report.waiting as f64,
        ),
    ];
    for (name, kind, help, value) in families {
        head(page, name, kind, help)?;
        for report in reports {
            writeln!(page, "{name}{{{}}} {}", labels(report), value(report))?;
        }
    }
    Ok(())
}

fn histogram(page: &mut String, name: &str, report: &BatchReport) -> Written {
    let labels = labels(report);
    let bounds = BATCH_ROW_BOUNDS.iter().map(ToString::to_string);
    let mut sum = 0;
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(report.counts.by_rows) {
        sum += count;
        writeln!(page, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}")?;
    }
    writeln!(page, "{name}_sum{{{labels}}} {}", report.counts.rows)?;
    writeln!(page, "{name}_count{{{labels}}} {sum}")
}

/// Names of models hold no character that needs escaping, but paths of files may.
fn labels(report: &BatchReport) -> String {
    let model = report.model.replace('\\', "\\\\").replace('"', "\\\"");
    let model = model.replace('\n', "\\n");
    format!("{},model=\"{model}\"", metrics::labels(&report.service))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lusk_contract::BatchCounts;
    use lusk_domain::BatchSettings;

    use super::*;

    fn report() -> BatchReport {
        let mut counts = BatchCounts {
            by_reason: [2, 1, 0, 0, 1],
            calls: 8,
            rows: 2_020,
            waited: Duration::from_millis(12),
            longest: Duration::from_micros(4_500),
            ..BatchCounts::default()
        };
        counts.by_rows[2] = 3;
        counts.by_rows[11] = 1;
        BatchReport {
            service: "digits".parse().unwrap(),
            model: "digits:1/a\"b.onnx".to_owned(),
            settings: BatchSettings {
                max_rows: 4,
                max_delay: Duration::from_millis(5),
            },
            without_effect: None,
            waiting: 2,
            counts,
        }
    }

    #[test]
    fn the_object_has_means_of_what_was_computed() {
        let shown = object(&report());
        assert_eq!(shown["meanRows"], 505.0);
        assert_eq!(shown["meanWaitMs"], 1.5);
        assert_eq!(shown["longestWaitMs"], 4.5);
        assert_eq!(
            shown["closed"],
            json!({"full": 2, "delay": 1, "shape": 0, "idle": 0, "alone": 1})
        );
        let unused = BatchReport {
            counts: BatchCounts::default(),
            ..report()
        };
        assert_eq!(object(&unused)["meanRows"], 0.0);
    }

    #[test]
    fn the_page_tells_why_batches_closed_and_how_large_they_were() {
        let mut page = String::new();
        write_metrics(&mut page, &[report()]).unwrap();
        let labels = r#"service="digits",model="digits:1/a\"b.onnx""#;
        for line in [
            format!("lusk_batches_total{{{labels},closed=\"full\"}} 2"),
            format!("lusk_batch_rows_bucket{{{labels},le=\"2\"}} 0"),
            format!("lusk_batch_rows_bucket{{{labels},le=\"1024\"}} 3"),
            format!("lusk_batch_rows_bucket{{{labels},le=\"+Inf\"}} 4"),
            format!("lusk_batch_rows_sum{{{labels}}} 2020"),
            format!("lusk_batch_rows_count{{{labels}}} 4"),
            format!("lusk_batch_wait_seconds_total{{{labels}}} 0.012"),
            format!("lusk_batch_calls_waiting{{{labels}}} 2"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
