//! `lusk capacity`: how many replicas a rate of requests needs. The formula is
//! [`lusk_domain::Sizing`].

mod measured;
mod range;

use std::collections::BTreeSet;

use lusk_control::Capacity;
use lusk_domain::{AutoScaler, Size, Sizing, SizingError};
use serde_json::{Value, json};

use super::{Session, model::plain};
use crate::{
    cli::{CapacityArgs, Format, GlobalArgs},
    render::{self, Column, Trouble},
    wire,
};
use measured::Measured;
use range::Range;

/// Utilizations of the table, in percent.
const TABLE: [u32; 5] = [50, 60, 70, 80, 90];

/// What a load is sized with.
#[derive(Debug, Clone, Default, PartialEq)]
struct Wish {
    rps: f64,
    latency_ms: f64,
    utilization: u32,
    max_concurrent: u32,
    /// Of one replica.
    cpu: Option<f64>,
    /// Of one replica.
    memory_gb: Option<f64>,
    /// The service that it was taken from.
    measured: Option<Measured>,
    /// What replicas may reserve on the service's node, if that is this machine.
    node: Option<Capacity>,
}

impl Wish {
    /// What the flags say, then the service, then the defaults.
    fn of(args: &CapacityArgs, measured: Option<Measured>) -> anyhow::Result<Self> {
        let seen = measured.as_ref();
        let latency_ms = match (args.latency_ms, seen) {
            (Some(given), _) => Range::LATENCY_MS.checked(given)?,
            (None, Some(service)) => service.latency_ms()?,
            (None, None) => 0.0,
        };
        let target = seen.map_or(AutoScaler::default().target_utilization, |it| {
            it.utilization
        });
        Ok(Self {
            rps: Range::RPS.checked(args.rps)?,
            latency_ms,
            utilization: args.utilization.unwrap_or(target),
            max_concurrent: args
                .max_concurrent
                .unwrap_or_else(|| seen.map_or(1, |it| it.max_concurrent)),
            cpu: Range::CPU.given(args.cpu)?.or(seen.map(|it| it.cpu)),
            memory_gb: Range::MEMORY_GB
                .given(args.memory_gb)?
                .or(seen.map(|it| it.memory_gb)),
            measured,
            node: None,
        })
    }

    /// The answer and the table.
    fn sized(&self) -> Result<Value, SizingError> {
        let sizing = Sizing::new(self.rps, self.latency_ms / 1000.0, self.max_concurrent)?;
        let answer = self.row(&sizing.at(self.utilization)?);
        let mut utilizations: BTreeSet<_> = TABLE.into();
        utilizations.insert(self.utilization);
        let table: Result<Vec<_>, _> = utilizations
            .into_iter()
            .map(|utilization| sizing.at(utilization).map(|size| self.row(&size)))
            .collect();
        Ok(json!({
            "requestsPerSecond": self.rps,
            "millisecondsPerRequest": rounded(self.latency_ms),
            "maxConcurrentRequestsPerContainer": self.max_concurrent,
            "cpu": self.cpu,
            "memoryInGB": self.memory_gb,
            "service": self.measured.as_ref().map(Measured::json),
            "busySlots": rounded(sizing.busy()),
            "warnings": self.warnings(&answer),
            "answer": answer,
            "table": table?,
        }))
    }

    /// Bounds that the answer is over: of the service, and of its node.
    fn warnings(&self, answer: &Value) -> Vec<String> {
        let of_service = self.measured.as_ref().and_then(|service| {
            let replicas = answer["replicas"].as_u64()?;
            service.too_few(replicas)
        });
        let over = |key: &str, bound: f64, unit: &str| {
            let needed = answer[key].as_f64().filter(|needed| *needed > bound)?;
            Some(format!(
                "the replicas need {} {unit}, and those of this node may reserve {}",
                short(&json!(needed)),
                short(&json!(bound)),
            ))
        };
        let of_node = self.node.map(|node| {
            let gigabytes = node.bytes as f64 / 1e9;
            [
                over("totalCpu", node.cores, "cores"),
                over("totalMemoryInGB", gigabytes, "GB of memory"),
            ]
        });
        let of_node = of_node.into_iter().flatten().flatten();
        of_service.into_iter().chain(of_node).collect()
    }

    fn row(&self, size: &Size) -> Value {
        let all = |one: Option<f64>| one.map(|one| rounded(one * f64::from(size.replicas)));
        json!({
            "utilization": size.utilization,
            "concurrentRequests": rounded(size.concurrent),
            "replicas": size.replicas,
            "slots": size.slots,
            "headroomPercent": rounded(size.headroom),
            "maxRequestsPerSecond": rounded(size.most_per_second),
            "totalCpu": all(self.cpu),
            "totalMemoryInGB": all(self.memory_gb),
        })
    }
}

/// Runs the command.
///
/// # Errors
/// Numbers that make no sense; a service that is not there or served nothing yet.
pub(crate) async fn run(args: &CapacityArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let measured = match &args.name {
        Some(name) => Some(Measured::ask(&Session::new(global)?, name).await?),
        None => None,
    };
    let mut wish = Wish::of(args, measured)?;
    // A node that is named by its URL may be on another machine.
    if wish.measured.is_some() && global.admin_url.is_none() {
        wish.node = Some(wire::capacity());
    }
    let sized = wish.sized().map_err(|it| Trouble::misuse(it.to_string()))?;
    print(global.output, &sized)
}

fn print(format: Format, sized: &Value) -> anyhow::Result<()> {
    match format {
        Format::Table => {
            render::text(format, &sentence(sized))?;
            render::data(format, &sized["table"], columns(&sized["answer"]))
        }
        Format::Tsv => render::data(format, &sized["table"], &COLUMNS),
        _ => render::data(format, sized, &COLUMNS),
    }
}

const COLUMNS: [Column; 7] = [
    Column::new("Utilization", |row| percent(&row["utilization"])),
    Column::new("Replicas", |row| plain(&row["replicas"])),
    Column::new("Slots", |row| plain(&row["slots"])),
    Column::new("Headroom", |row| percent(&row["headroomPercent"])),
    Column::new("Up to req/s", |row| short(&row["maxRequestsPerSecond"])),
    Column::new("Cores", |row| short(&row["totalCpu"])),
    Column::new("Memory GB", |row| short(&row["totalMemoryInGB"])),
];

/// The columns that hold something.
fn columns(answer: &Value) -> &'static [Column] {
    let has = |key: &str| !answer[key].is_null();
    match (has("totalCpu"), has("totalMemoryInGB")) {
        (false, false) => &COLUMNS[..5],
        (true, false) => &COLUMNS[..6],
        (_, true) => &COLUMNS,
    }
}

/// The answer in words, and a line between it and the table.
fn sentence(sized: &Value) -> String {
    let answer = &sized["answer"];
    let replicas = match answer["replicas"].as_u64() {
        Some(1) => "1 replica".to_owned(),
        _ => format!("{} replicas", plain(&answer["replicas"])),
    };
    let mut text = format!(
        "{replicas} for {} requests per second of {} ms at {} utilization, {} at a time each",
        short(&sized["requestsPerSecond"]),
        short(&sized["millisecondsPerRequest"]),
        percent(&answer["utilization"]),
        plain(&sized["maxConcurrentRequestsPerContainer"]),
    );
    let needs: Vec<_> = [("totalCpu", "cores"), ("totalMemoryInGB", "GB of memory")]
        .into_iter()
        .filter(|(key, _)| !answer[key].is_null())
        .map(|(key, unit)| format!("{} {unit}", short(&answer[key])))
        .collect();
    if !needs.is_empty() {
        text += &format!("; together {}", needs.join(" and "));
    }
    if let Some(name) = sized["service"]["name"].as_str() {
        let seen = plain(&sized["service"]["requestsSeen"]);
        text += &format!("\nService `{name}` has answered {seen} requests");
    }
    for warning in sized["warnings"].as_array().into_iter().flatten() {
        text += &format!("\nBut {}", plain(warning));
    }
    text + "\n\n"
}

fn percent(value: &Value) -> String {
    format!("{} %", short(value))
}

/// A number of three digits or so for people; nothing for none.
fn short(value: &Value) -> String {
    let Some(number) = value.as_f64() else {
        return String::new();
    };
    let digits = match number {
        _ if number == number.trunc() || number >= 100.0 => 0,
        _ if number >= 10.0 => 1,
        _ if number >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{number:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Without the noise of floating point.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests;
