//! `lusk capacity`.

use clap::Args;

/// Flags of `capacity`.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "lusk capacity --rps <RATE> --latency-ms <MS> [OPTIONS]
       lusk capacity --rps <RATE> -n <SERVICE> [OPTIONS]",
    after_help = "Examples:
  lusk capacity --rps 20 --latency-ms 10000
  lusk capacity --rps 200 --latency-ms 35 --max-concurrent 2 --cpu 0.5 --memory-gb 1
  lusk capacity --rps 200 -n digits -o json"
)]
pub(crate) struct CapacityArgs {
    /// Requests per second to be ready for
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) rps: f64,
    /// Milliseconds that a replica works on one request, on average
    #[arg(
        long,
        value_name = "MS",
        required_unless_present = "name",
        allow_negative_numbers = true
    )]
    pub(crate) latency_ms: Option<f64>,
    /// A running service: what is not given is taken from it
    #[arg(short, long, value_name = "SERVICE")]
    pub(crate) name: Option<String>,
    /// Percent of the slots that should be busy [default: 70, or the service's target]
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) utilization: Option<u32>,
    /// Requests that one replica runs at a time, `maxConcurrentRequestsPerContainer`
    /// [default: 1, or the service's]
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_concurrent: Option<u32>,
    /// Cores of one replica; tells how many all of them need
    #[arg(
        long,
        visible_alias = "cc",
        value_name = "CORES",
        allow_negative_numbers = true
    )]
    pub(crate) cpu: Option<f64>,
    /// Gigabytes of memory of one replica; tells how many all of them need
    #[arg(
        long,
        visible_alias = "gb",
        value_name = "GB",
        allow_negative_numbers = true
    )]
    pub(crate) memory_gb: Option<f64>,
}
