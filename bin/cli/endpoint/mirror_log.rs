//! Flags of `endpoint realtime mirror-log`.

use clap::Args;

/// Flags of `endpoint realtime mirror-log`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk endpoint realtime mirror-log -n shop
  lusk endpoint realtime mirror-log -n shop -l 1000 --different -o json     with the bodies

Answers are kept once `endpoint realtime update --mirror-keep-answers true` says so, 64 MiB an
endpoint, the oldest go. Two are `equal` if status and body are: JSON is compared by its values,
numbers that are not whole with a tolerance of 1e-6 of the greater one.")]
pub(crate) struct MirrorLogArgs {
    /// The endpoint
    #[arg(short, long)]
    pub(crate) name: String,
    /// Pairs of answers to look at, the last ones; at most 1000
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) lines: u16,
    /// Only those that differ
    #[arg(long)]
    pub(crate) different: bool,
}
