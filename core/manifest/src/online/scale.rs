//! `instance_count`, `scale_settings` and `resources`.

use lusk_domain::{AutoScalerChange, ResourceChange, SettingsChange};

use super::quantity::quantity;
use crate::{
    node::{Value, shortened},
    reader::{Reader, Section},
    suggest::nearest,
};

const SCALE: [&str; 5] = [
    "type",
    "min_instances",
    "max_instances",
    "target_utilization_percentage",
    "polling_interval",
];
const BY_COUNT: &str = "default";
const BY_USE: &str = "target_utilization";

/// How many replicas: as many as are counted, or as many as their use needs.
pub(super) fn scaling(reader: &mut Reader, top: Section<'_>, settings: &mut SettingsChange) {
    const COUNT: &str = "instance_count";
    let count = reader.integer(top, COUNT, 1);
    match scaler(reader, top) {
        Some(scaler) => {
            if let Some(node) = top.get(COUNT) {
                reader.notice(
                    &node.place,
                    "`instance_count` is ignored beside `scale_settings` of type `target_utilization`",
                    None,
                );
            }
            settings.auto_scaler = Some(scaler);
        }
        None => settings.num_replicas = Some(count.unwrap_or(1)),
    }
}

fn scaler(reader: &mut Reader, top: Section<'_>) -> Option<AutoScalerChange> {
    const KEY: &str = "scale_settings";
    let section = reader.section(top, KEY, KEY)?;
    reader.check_keys(section, &SCALE, &[]);
    if kind(reader, section)? == BY_COUNT {
        return None;
    }
    let mut number = |key, least, default| reader.integer(section, key, least).or(Some(default));
    Some(AutoScalerChange {
        autoscale_enabled: Some(true),
        min_replicas: number("min_instances", 0, 1),
        max_replicas: number("max_instances", 1, 1),
        target_utilization: number("target_utilization_percentage", 1, 70),
        refresh_period_in_seconds: number("polling_interval", 1, 1),
    })
}

/// v2 takes a block without a type for one by use.
fn kind(reader: &mut Reader, of: Section<'_>) -> Option<&'static str> {
    let Some(node) = of.get("type") else {
        return Some(BY_USE);
    };
    let text = reader.text(of, "type")?;
    let found = [BY_COUNT, BY_USE].into_iter().find(|known| *known == text);
    if found.is_none() {
        let help = nearest(&text, [BY_COUNT, BY_USE]);
        reader.problem(
            &node.place,
            format!(
                "`{}`: `{}` is unknown, expected default or target_utilization",
                of.path_of("type"),
                shortened(&text)
            ),
            help.map(|near| format!("did you mean `{near}`?")),
        );
    }
    found
}

const RESOURCES: [&str; 2] = ["requests", "limits"];
const GPU: &str = "nvidia.com/gpu";
const OF_RESOURCES: [&str; 3] = ["cpu", "memory", GPU];

/// Cores, memory and GPUs of one replica. What is not said is the node's default.
pub(super) fn resources(reader: &mut Reader, top: Section<'_>, settings: &mut SettingsChange) {
    const KEY: &str = "resources";
    let Some(section) = reader.section(top, KEY, KEY) else {
        return;
    };
    reader.check_keys(section, &RESOURCES, &[]);
    let [requests, limits] = RESOURCES.map(|key| amounts(reader, section, key));
    settings.gpu_cores = limits.gpu.or(requests.gpu);
    let change = ResourceChange {
        cpu: requests.cpu,
        cpu_limit: limits.cpu,
        memory_in_gb: requests.memory,
        memory_in_gb_limit: limits.memory,
        gpu: None,
    };
    if change != ResourceChange::default() {
        settings.container_resource_requirements = Some(change);
    }
}

#[derive(Default)]
struct Amounts {
    cpu: Option<f64>,
    /// Gigabytes, 10^9 bytes each.
    memory: Option<f64>,
    gpu: Option<u32>,
}

fn amounts(reader: &mut Reader, of: Section<'_>, key: &str) -> Amounts {
    let path = of.path_of(key);
    let Some(section) = reader.section(of, key, &path) else {
        return Amounts::default();
    };
    reader.check_keys(section, &OF_RESOURCES, &[]);
    let gpu = amount(reader, section, GPU);
    Amounts {
        cpu: amount(reader, section, "cpu"),
        memory: amount(reader, section, "memory").map(|bytes| bytes / 1e9),
        gpu: gpu.and_then(|gpu| whole(reader, section, gpu)),
    }
}

fn amount(reader: &mut Reader, of: Section<'_>, key: &str) -> Option<f64> {
    let node = of.get(key)?;
    let text = match &node.value {
        Value::Text { text, .. } | Value::Number(text) => text,
        _ => return reader.mistyped(node, &of.path_of(key), "a quantity like 0.5 or 512Mi"),
    };
    match quantity(text) {
        Some(value) => Some(value),
        None => {
            let message = format!(
                "`{}` is no quantity: `500m`, `0.5`, `512Mi` and `2G` are",
                shortened(text)
            );
            reader.refuse(node, &of.path_of(key), message)
        }
    }
}

fn whole(reader: &mut Reader, of: Section<'_>, number: f64) -> Option<u32> {
    let is_count = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    // In range and whole, so nothing is cut off.
    match is_count {
        true => Some(number as u32),
        false => {
            let message = format!("{number} is no whole number of GPUs");
            reader.refuse(of.get(GPU)?, &of.path_of(GPU), message)
        }
    }
}
