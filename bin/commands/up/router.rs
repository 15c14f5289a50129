//! Flags of the router's own size.

use std::{thread::available_parallelism, time::Duration};

use clap::{Args, ValueEnum, value_parser};
use lusk_gateway::ShardOptions;

/// Most shards that may be asked for: each is a thread, and has a listener from the
/// start.
const MAX_SHARDS: u16 = 256;

/// Longest threshold, in milliseconds.
const MAX_THRESHOLD_MS: f64 = 60_000.0;

/// What a cluster is for, in the words of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClusterPurpose {
    /// Trying things out: the router keeps its size
    #[value(name = "DevTest")]
    DevTest,
    /// Production: the router grows and shrinks with the load
    #[value(name = "FastProd")]
    FastProd,
    /// Production with many services, as FastProd
    #[value(name = "DenseProd")]
    DenseProd,
}

/// See the module.
#[derive(Debug, Clone, Args)]
pub(crate) struct RouterArgs {
    /// What the cluster is for; FastProd and DenseProd let the router itself grow and
    /// shrink with its load
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        value_name = "PURPOSE",
        env = "LUSK_CLUSTER_PURPOSE",
        default_value = "DevTest"
    )]
    pub(crate) cluster_purpose: ClusterPurpose,
    /// Most threads that serve callers, each by itself [default: one for each core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=i64::from(MAX_SHARDS)))]
    pub(crate) max_shards: Option<u16>,
    /// Routing time in milliseconds, at the 99th percentile of a second, above which
    /// another thread serves callers [default: 3]
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub(crate) shard_threshold_ms: Option<Duration>,
}

/// How many shards there may be, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shards {
    /// Most of them.
    pub(crate) max: usize,
    /// Their other bounds.
    pub(crate) options: ShardOptions,
}

impl RouterArgs {
    /// The shards that the flags ask for; none for [`ClusterPurpose::DevTest`].
    ///
    /// # Errors
    /// Bounds of shards where there are none.
    pub(crate) fn shards(&self) -> anyhow::Result<Option<Shards>> {
        if self.cluster_purpose == ClusterPurpose::DevTest {
            let given = [
                (self.max_shards.is_some(), "--max-shards"),
                (self.shard_threshold_ms.is_some(), "--shard-threshold-ms"),
            ];
            if let Some((_, flag)) = given.into_iter().find(|(is_given, _)| *is_given) {
                anyhow::bail!(
                    "{flag} is of no use: the router of a DevTest cluster keeps its size; \
                     add --cluster-purpose FastProd, or leave {flag} out"
                );
            }
            return Ok(None);
        }
        let cores = available_parallelism().map_or(1, usize::from);
        let usual = ShardOptions::default();
        Ok(Some(Shards {
            max: self.max_shards.map_or(cores, usize::from),
            options: ShardOptions {
                threshold: self.shard_threshold_ms.unwrap_or(usual.threshold),
                ..usual
            },
        }))
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number of milliseconds, such as 3 or 0.5"))?;
    if !(number > 0.0 && number <= MAX_THRESHOLD_MS) {
        return Err(format!(
            "{number} ms is not above 0 and at most {MAX_THRESHOLD_MS} ms; 3 is usual"
        ));
    }
    Ok(Duration::from_secs_f64(number / 1000.0))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        router: RouterArgs,
    }

    fn parse(line: &str) -> Result<RouterArgs, String> {
        Line::try_parse_from(["lusk"].into_iter().chain(line.split_whitespace()))
            .map(|line| line.router)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_router_of_a_test_cluster_keeps_its_size() {
        assert!(parse("").unwrap().shards().unwrap().is_none());
        for flag in ["--max-shards 2", "--shard-threshold-ms 1"] {
            let error = parse(flag).unwrap().shards().unwrap_err().to_string();
            assert!(error.contains("add --cluster-purpose FastProd"), "{error}");
        }
    }

    #[test]
    fn a_production_router_has_up_to_a_shard_for_each_core_and_the_usual_threshold() {
        for purpose in ["FastProd", "DenseProd", "fastprod"] {
            let args = parse(&format!("--cluster-purpose {purpose}")).unwrap();
            let shards = args.shards().unwrap().expect("shards");
            assert_eq!(shards.max, available_parallelism().unwrap().get());
            assert_eq!(shards.options.threshold, lusk_domain::SHARD_THRESHOLD);
        }
        let args = "--cluster-purpose FastProd --max-shards 3 --shard-threshold-ms 0.5";
        let shards = parse(args).unwrap().shards().unwrap().expect("shards");
        assert_eq!(shards.max, 3);
        assert_eq!(shards.options.threshold, Duration::from_micros(500));
    }

    #[test]
    fn bounds_that_cannot_be_are_refused_with_those_that_can() {
        for (line, words) in [
            ("--max-shards 0", "1..=256"),
            ("--max-shards 257", "1..=256"),
            ("--shard-threshold-ms 0", "not above 0"),
            ("--shard-threshold-ms NaN", "not above 0"),
            ("--shard-threshold-ms soon", "such as 3 or 0.5"),
            ("--cluster-purpose Prod", "DevTest, FastProd, DenseProd"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
