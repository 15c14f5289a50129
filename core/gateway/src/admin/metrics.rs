//! The metrics page, in the text format of Prometheus.

use std::{fmt::Write, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use lusk_domain::ServiceName;
use lusk_router::{Counters, LATENCY_BOUNDS, RouteStatus};

use super::{Shared, batches};
use crate::{Books, mirror, shards::Board};

/// Classes of [`Counters::by_class`].
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// `GET /metrics`.
pub(crate) async fn page(State(admin): Shared) -> Response {
    let routes: Vec<_> = admin
        .router
        .routes()
        .iter()
        .map(|route| (labels(&route.info().name), route.status()))
        .collect();
    let content_type = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    let mut page = render(&routes, &admin.options.books);
    batches::write_metrics(&mut page, &admin.options.batches.batches())
        .and_then(|()| {
            let exists = |name: &ServiceName| admin.router.endpoint(name.as_str()).is_some();
            mirror::metrics::write(&mut page, &admin.options.books, exists)
        })
        .expect("writing to a String does not fail");
    ([content_type], page).into_response()
}

/// The labels that name a service, or an endpoint and its version.
pub(super) fn labels(name: &ServiceName) -> String {
    let service = name.endpoint();
    match name.version() {
        Some(version) => format!("service=\"{service}\",version=\"{version}\""),
        None => format!("service=\"{service}\""),
    }
}

/// Routes by their labels.
type Statuses = [(String, RouteStatus)];

/// A family with one value per service.
type Family = (
    &'static str,
    &'static str,
    &'static str,
    fn(&RouteStatus) -> u64,
);

const FAMILIES: [Family; 10] = [
    (
        "lusk_replicas_ready",
        "gauge",
        "Replicas that take requests.",
        |s| s.ready_replicas as u64,
    ),
    (
        "lusk_replicas_resting",
        "gauge",
        "Replicas that do not answer and get no requests until they do.",
        |s| s.resting_replicas as u64,
    ),
    (
        "lusk_slots",
        "gauge",
        "Requests that ready replicas run at a time.",
        |s| s.slots as u64,
    ),
    ("lusk_slots_busy", "gauge", "Slots in use.", |s| {
        s.busy as u64
    }),
    (
        "lusk_queue_depth",
        "gauge",
        "Requests waiting for a slot.",
        |s| s.queued as u64,
    ),
    (
        "lusk_requests_abandoned_total",
        "counter",
        "Requests whose caller went away before the answer.",
        |s| s.counters.abandoned,
    ),
    (
        "lusk_requests_overloaded_total",
        "counter",
        "Requests that got no slot in time.",
        |s| s.counters.overloaded,
    ),
    (
        "lusk_requests_not_ready_total",
        "counter",
        "Requests that found no ready replica.",
        |s| s.counters.not_ready,
    ),
    (
        "lusk_requests_timed_out_total",
        "counter",
        "Requests that passed the scoring timeout.",
        |s| s.counters.timed_out,
    ),
    (
        "lusk_requests_retried_total",
        "counter",
        "Requests that were tried on a second replica.",
        |s| s.counters.retried,
    ),
];

fn render(routes: &Statuses, books: &Books) -> String {
    let mut page = String::new();
    write_page(&mut page, routes)
        .and_then(|()| write_doors(&mut page, books))
        .and_then(|()| write_shards(&mut page, books.shards()))
        .expect("writing to a String does not fail");
    page
}

/// What the scoring doors count, whatever the service.
fn write_doors(page: &mut String, books: &Books) -> std::fmt::Result {
    let gauges = [
        (
            "lusk_connections_open",
            "Connections of the scoring doors.",
            books.open_connections(),
        ),
        (
            "lusk_connections_idle",
            "Open connections that have been idle for a while.",
            books.idle_connections(),
        ),
        (
            "lusk_request_bytes_buffered",
            "Bytes of request bodies in memory.",
            books.buffered_bytes(),
        ),
    ];
    for (name, help, value) in gauges {
        head(page, name, "gauge", help)?;
        writeln!(page, "{name} {value}")?;
    }
    let name = "lusk_refused_requests_total";
    head(
        page,
        name,
        "counter",
        "Requests that were refused before a service saw them.",
    )?;
    for (refusal, count) in books.refused() {
        let (code, reason) = (refusal.status().as_u16(), refusal.reason());
        writeln!(
            page,
            "{name}{{code=\"{code}\",reason=\"{reason}\"}} {count}"
        )?;
    }
    Ok(())
}

/// What the shards count, where there are any.
fn write_shards(page: &mut String, shards: &Board) -> std::fmt::Result {
    if shards.started() == 0 {
        return Ok(());
    }
    let gauges = [
        (
            "lusk_router_shards",
            "Serving shards that run.",
            shards.running(),
        ),
        (
            "lusk_router_pods_wanted",
            "Further router pods that the shards ask for.",
            shards.pods() as usize,
        ),
    ];
    for (name, help, value) in gauges {
        head(page, name, "gauge", help)?;
        writeln!(page, "{name} {value}")?;
    }
    let name = "lusk_router_scaling_total";
    head(page, name, "counter", "Changes of the router's own size.")?;
    for (decision, count) in shards.steps() {
        writeln!(page, "{name}{{decision=\"{decision}\"}} {count}")?;
    }
    let name = "lusk_routing_seconds";
    let help = "Time that the router itself takes for a request: neither caller, queue nor script.";
    head(page, name, "histogram", help)?;
    let times = shards.times();
    for (bound, limit) in ROUTING_BOUNDS {
        let limit = Duration::from_micros(limit);
        writeln!(
            page,
            "{name}_bucket{{le=\"{bound}\"}} {}",
            times.within(limit)
        )?;
    }
    let (sum, count) = (times.sum().as_secs_f64(), times.count());
    writeln!(page, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
    writeln!(page, "{name}_sum {sum}\n{name}_count {count}")
}

/// Bounds of routing times in seconds and in microseconds; bounds of the shards' own
/// buckets, too, so that the counts are exact.
const ROUTING_BOUNDS: [(&str, u64); 13] = [
    ("0.00001", 10),
    ("0.000025", 25),
    ("0.00005", 50),
    ("0.0001", 100),
    ("0.00025", 250),
    ("0.0005", 500),
    ("0.001", 1_000),
    ("0.003", 3_000),
    ("0.01", 10_000),
    ("0.03", 30_000),
    ("0.1", 100_000),
    ("0.3", 300_000),
    ("1", 1_000_000),
];

fn write_page(page: &mut String, routes: &Statuses) -> std::fmt::Result {
    for (name, kind, help, value) in FAMILIES {
        head(page, name, kind, help)?;
        for (service, status) in routes {
            writeln!(page, "{name}{{{service}}} {}", value(status))?;
        }
    }
    head(
        page,
        "lusk_requests_total",
        "counter",
        "Requests by class of status.",
    )?;
    for (service, status) in routes {
        for (class, count) in CLASSES.iter().zip(status.counters.by_class) {
            writeln!(
                page,
                "lusk_requests_total{{{service},class=\"{class}\"}} {count}"
            )?;
        }
    }
    head(
        page,
        "lusk_request_duration_seconds",
        "histogram",
        "Time from admission to answer, queue included.",
    )?;
    for (service, status) in routes {
        histogram(page, service, &status.counters)?;
    }
    write_slot_times(page, routes)
}

/// What a service is sized by: a request's time without its wait.
fn write_slot_times(page: &mut String, routes: &Statuses) -> std::fmt::Result {
    let name = "lusk_slot_duration_seconds";
    let help = "Time that a request held its slot, the queue not included.";
    head(page, name, "summary", help)?;
    for (service, status) in routes {
        let Counters { runs, run_sum, .. } = &status.counters;
        let seconds = run_sum.as_secs_f64();
        writeln!(page, "{name}_sum{{{service}}} {seconds}")?;
        writeln!(page, "{name}_count{{{service}}} {runs}")?;
    }
    Ok(())
}

pub(super) fn head(page: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn histogram(page: &mut String, service: &str, counters: &Counters) -> std::fmt::Result {
    let name = "lusk_request_duration_seconds";
    let mut sum = 0;
    let bounds = LATENCY_BOUNDS.iter().map(ToString::to_string);
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counters.latency) {
        sum += count;
        writeln!(page, "{name}_bucket{{{service},le=\"{bound}\"}} {sum}")?;
    }
    let seconds = counters.latency_sum.as_secs_f64();
    writeln!(page, "{name}_sum{{{service}}} {seconds}")?;
    writeln!(page, "{name}_count{{{service}}} {sum}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lusk_domain::ShardStep;

    use crate::{books::Refusal, shards::Meter};
    use std::{sync::Arc, time::Duration};

    #[test]
    fn the_page_counts_by_service_and_its_histogram_sums_up() {
        let mut counters = Counters {
            by_class: [0, 3, 0, 1, 2],
            timed_out: 2,
            latency_sum: Duration::from_millis(1500),
            runs: 5,
            run_sum: Duration::from_millis(250),
            ..Counters::default()
        };
        counters.latency[0] = 4;
        counters.latency[LATENCY_BOUNDS.len()] = 2;
        let status = RouteStatus {
            ready_replicas: 2,
            resting_replicas: 1,
            counters,
            ..RouteStatus::default()
        };
        let books = Arc::new(Books::default());
        books.refuse(Refusal::BuffersFull);
        let _place = books.enter(10);
        let mut share = books.share(100);
        assert!(share.grow(7));
        let page = render(&[(labels(&"digits".parse().unwrap()), status)], &books);
        for line in [
            "# TYPE lusk_replicas_ready gauge",
            "lusk_replicas_ready{service=\"digits\"} 2",
            "lusk_replicas_resting{service=\"digits\"} 1",
            "lusk_requests_timed_out_total{service=\"digits\"} 2",
            "lusk_requests_total{service=\"digits\",class=\"2xx\"} 3",
            "lusk_request_duration_seconds_bucket{service=\"digits\",le=\"0.0005\"} 4",
            "lusk_request_duration_seconds_bucket{service=\"digits\",le=\"300\"} 4",
            "lusk_request_duration_seconds_bucket{service=\"digits\",le=\"+Inf\"} 6",
            "lusk_request_duration_seconds_sum{service=\"digits\"} 1.5",
            "lusk_request_duration_seconds_count{service=\"digits\"} 6",
            "lusk_slot_duration_seconds_sum{service=\"digits\"} 0.25",
            "lusk_slot_duration_seconds_count{service=\"digits\"} 5",
            "lusk_connections_open 1",
            "lusk_connections_idle 0",
            "lusk_request_bytes_buffered 7",
            "lusk_refused_requests_total{code=\"503\",reason=\"buffers_full\"} 1",
            "lusk_refused_requests_total{code=\"401\",reason=\"unauthorized\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_version_is_told_apart_by_a_label_of_its_own() {
        let version = ServiceName::of_version(&"shop".parse().unwrap(), &"green".parse().unwrap());
        let labels = labels(&version);
        assert_eq!(labels, r#"service="shop",version="green""#);
        let page = render(&[(labels, RouteStatus::default())], &Books::default());
        let line = r#"lusk_requests_total{service="shop",version="green",class="2xx"} 0"#;
        assert!(page.lines().any(|found| found == line), "{page}");
    }

    #[test]
    fn shards_are_on_the_page_where_there_are_any() {
        let books = Books::default();
        assert!(!render(&[], &books).contains("lusk_rout"));

        let meter = Arc::new(Meter::default());
        meter.set_runs(true);
        meter.record(Duration::from_micros(250));
        meter.record(Duration::from_secs(2));
        books.shards().add(meter);
        books.shards().add(Arc::new(Meter::default()));
        books.shards().count(ShardStep::Remove);
        books.shards().set_pods(3);
        let page = render(&[], &books);
        for line in [
            "lusk_router_shards 1",
            "lusk_router_pods_wanted 3",
            "lusk_router_scaling_total{decision=\"add\"} 0",
            "lusk_router_scaling_total{decision=\"remove\"} 1",
            "lusk_routing_seconds_bucket{le=\"0.0001\"} 0",
            "lusk_routing_seconds_bucket{le=\"0.00025\"} 1",
            "lusk_routing_seconds_bucket{le=\"1\"} 1",
            "lusk_routing_seconds_bucket{le=\"+Inf\"} 2",
            "lusk_routing_seconds_sum 2.00025",
            "lusk_routing_seconds_count 2",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn the_bounds_of_routing_times_are_those_of_the_buckets() {
        for (text, micros) in ROUTING_BOUNDS {
            let limit = Duration::from_micros(micros);
            assert_eq!(text.parse(), Ok(limit.as_secs_f64()));
            let meter = Meter::default();
            meter.record(limit);
            meter.record(limit + Duration::from_nanos(1));
            assert_eq!(meter.times().within(limit), 1, "{text}");
        }
    }
}
