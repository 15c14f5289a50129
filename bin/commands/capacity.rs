//! `lusk capacity`: how many replicas a rate of requests needs. The formula is
//! [`lusk_domain::Sizing`].

mod measured;

use lusk_domain::{AutoScaler, Size, Sizing, SizingError};
use serde_json::{Value, json};

use super::{Session, model::plain};
use crate::{
    cli::{CapacityArgs, Format, GlobalArgs},
    render::{self, Column, Trouble},
};
use measured::Measured;

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
}

impl Wish {
    /// What the flags say, then the service, then the defaults.
    fn of(args: &CapacityArgs, measured: Option<Measured>) -> anyhow::Result<Self> {
        let seen = measured.as_ref();
        let latency_ms = match (args.latency_ms, seen) {
            (Some(given), _) => given,
            (None, Some(service)) => service.latency_ms()?,
            (None, None) => 0.0,
        };
        let target = seen.map_or(AutoScaler::default().target_utilization, |it| {
            it.utilization
        });
        Ok(Self {
            rps: args.rps,
            latency_ms,
            utilization: args.utilization.unwrap_or(target),
            max_concurrent: args
                .max_concurrent
                .unwrap_or_else(|| seen.map_or(1, |it| it.max_concurrent)),
            cpu: checked("--cpu", args.cpu)?.or(seen.map(|it| it.cpu)),
            memory_gb: checked("--memory-gb", args.memory_gb)?.or(seen.map(|it| it.memory_gb)),
            measured,
        })
    }

    /// The answer and the table.
    fn sized(&self) -> Result<Value, SizingError> {
        let sizing = Sizing::new(self.rps, self.latency_ms / 1000.0, self.max_concurrent)?;
        let answer = self.row(&sizing.at(self.utilization)?);
        let table: Result<Vec<_>, _> = TABLE
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
            "answer": answer,
            "table": table?,
        }))
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
    let wish = Wish::of(args, measured)?;
    let sized = wish.sized().map_err(|it| Trouble::misuse(it.to_string()))?;
    print(global.output, &sized)
}

fn print(format: Format, sized: &Value) -> anyhow::Result<()> {
    match format {
        Format::Table => {
            render::text(format, &sentence(sized))?;
            render::data(format, &sized["table"], &COLUMNS)
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

/// A number of a flag that must be above 0.
fn checked(flag: &str, value: Option<f64>) -> anyhow::Result<Option<f64>> {
    match value {
        Some(number) if !(number.is_finite() && number > 0.0) => {
            Err(Trouble::misuse(format!("{flag} is {number}, it must be above 0")).into())
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests;
