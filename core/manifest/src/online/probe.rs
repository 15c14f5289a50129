//! `liveness_probe`, `request_settings` and `data_collector`: small blocks with the
//! defaults of v2.

use lusk_domain::{LivenessProbeChange, SettingsChange};

use super::switch;
use crate::{
    node::Value,
    reader::{Reader, Section},
};

const PROBE: [&str; 5] = [
    "initial_delay",
    "period",
    "timeout",
    "success_threshold",
    "failure_threshold",
];

/// Seconds, seconds, seconds, times, times: what v2 documents for Kubernetes.
const PROBE_DEFAULTS: [u32; 5] = [10, 10, 2, 1, 30];

const REQUESTS: [&str; 3] = [
    "request_timeout_ms",
    "max_concurrent_requests_per_instance",
    "max_queue_wait_ms",
];

/// Milliseconds, requests, milliseconds.
const REQUEST_DEFAULTS: [u32; 3] = [5_000, 1, 500];

/// Whole numbers from 1 up, or the default of each.
fn numbers<const N: usize>(
    reader: &mut Reader,
    top: Section<'_>,
    key: &str,
    names: [&str; N],
    defaults: [u32; N],
) -> [u32; N] {
    let Some(section) = reader.section(top, key, key) else {
        return defaults;
    };
    reader.check_keys(section, &names, &[]);
    std::array::from_fn(|at| {
        let given = reader.integer(section, names[at], 1);
        given.unwrap_or(defaults[at])
    })
}

pub(super) fn liveness(reader: &mut Reader, top: Section<'_>) -> LivenessProbeChange {
    let [initial_delay, period, timeout, success, failure] =
        numbers(reader, top, "liveness_probe", PROBE, PROBE_DEFAULTS);
    LivenessProbeChange {
        initial_delay_seconds: Some(initial_delay),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        success_threshold: Some(success),
        failure_threshold: Some(failure),
    }
}

/// A replica is ready when `init()` has returned, which needs no probe: the block is
/// only checked.
pub(super) fn readiness(reader: &mut Reader, top: Section<'_>) {
    const KEY: &str = "readiness_probe";
    if let Some(node) = top.get(KEY) {
        numbers(reader, top, KEY, PROBE, PROBE_DEFAULTS);
        reader.idle(&node.place, KEY);
    }
}

pub(super) fn requests(reader: &mut Reader, top: Section<'_>, settings: &mut SettingsChange) {
    let [timeout, concurrent, wait] =
        numbers(reader, top, "request_settings", REQUESTS, REQUEST_DEFAULTS);
    settings.scoring_timeout_ms = Some(timeout);
    settings.max_concurrent_requests_per_container = Some(concurrent);
    settings.max_queue_wait_ms = Some(wait);
}

const COLLECTOR: [&str; 2] = ["enabled", "collections"];
const COLLECTOR_IDLE: [&str; 3] = ["rolling_rate", "sampling_rate", "request_logging"];

/// Whether inputs and outputs are stored: `enabled`, or any collection that is.
pub(super) fn collector(reader: &mut Reader, top: Section<'_>) -> Option<bool> {
    const KEY: &str = "data_collector";
    let section = reader.section(top, KEY, KEY)?;
    reader.check_keys(section, &COLLECTOR, &COLLECTOR_IDLE);
    let own = switch(reader, section, "enabled");
    let of_collections = collections(reader, section);
    own.or(of_collections).or(Some(false))
}

fn collections(reader: &mut Reader, of: Section<'_>) -> Option<bool> {
    let path = of.path_of("collections");
    let section = reader.section(of, "collections", &path)?;
    let mut any = false;
    for entry in section.entries() {
        if let Value::Map(_) = entry.node.value {
            let path = section.path_of(&entry.key);
            let one = reader.as_section(&entry.node, &path)?;
            any |= switch(reader, one, "enabled").unwrap_or(true);
        }
    }
    Some(any)
}
