//! `GET /services/{name}/compare`: versions of an endpoint beside each other.

use axum::{
    Json as JsonReply,
    extract::{Path, State},
};
use lusk_domain::{
    CONFIDENCE, Compared, Comparison, Difference, Level, Measure, Role, ServiceName, Verdict,
};
use serde_json::{Map, Value, json};

use super::{
    Shared,
    fault::Fault,
    found::{Named, endpoint, no_endpoint},
    service_json::time,
};

/// How each version does, and what is different from the control.
pub(crate) async fn show(
    State(admin): Shared,
    Path(named): Path<Named>,
) -> Result<JsonReply<Value>, Fault> {
    let name = named.service()?;
    endpoint(&admin, &name).await?;
    let comparison = admin.control.comparison(&name).await?;
    let comparison = comparison.ok_or_else(|| no_endpoint(&name))?;
    Ok(JsonReply(object(&name, &comparison)))
}

fn object(name: &ServiceName, comparison: &Comparison) -> Value {
    let versions = comparison.versions.iter();
    json!({
        "name": name,
        "since": time(comparison.since),
        "until": time(comparison.until),
        "confidence": CONFIDENCE,
        "baseline": comparison.baseline,
        "versions": versions.clone().map(version).collect::<Vec<_>>(),
        "differences": versions.flat_map(|one| differences(one, comparison)).collect::<Vec<_>>(),
    })
}

fn version(version: &Compared) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("name", json!(version.version));
    put("role", json!(role(version.role)));
    put("traffic", json!(version.share.percent()));
    put("since", json!(time(version.since)));
    put("requests", json!(version.requests));
    put("failures", json!(version.failures));
    for measure in Measure::ALL {
        let level = version.levels.iter().find(|(of, _)| *of == measure);
        put(
            key(measure),
            json!(level.map(|(_, found)| self::level(found))),
        );
    }
    Value::Object(object)
}

fn level(level: &Level) -> Value {
    let estimate = level.estimate;
    json!({
        "value": level.value,
        "low": estimate.map(|estimate| estimate.low),
        "high": estimate.map(|estimate| estimate.high),
    })
}

fn differences<'a>(
    version: &'a Compared,
    comparison: &'a Comparison,
) -> impl Iterator<Item = Value> + 'a {
    version.differences.iter().map(|(measure, difference)| {
        let (estimate, counts) = match difference {
            Difference::Seen(estimate) => (Some(estimate), None),
            Difference::TooFew { seen, needed } => (None, Some((seen, needed))),
        };
        json!({
            "version": version.version,
            "against": comparison.baseline,
            "measure": key(*measure),
            "verdict": verdict(difference.verdict()),
            "significant": difference.is_significant(),
            "difference": estimate.map(|estimate| estimate.value),
            "low": estimate.map(|estimate| estimate.low),
            "high": estimate.map(|estimate| estimate.high),
            "requests": counts.map(|(seen, _)| seen),
            "neededRequests": counts.map(|(_, needed)| needed),
        })
    })
}

fn key(measure: Measure) -> &'static str {
    match measure {
        Measure::ErrorRate => "errorRate",
        Measure::Mean => "meanMs",
        Measure::P50 => "p50Ms",
        Measure::P90 => "p90Ms",
        Measure::P95 => "p95Ms",
        Measure::P99 => "p99Ms",
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Control => "control",
        Role::Default => "default",
        Role::Treatment => "treatment",
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Worse => "worse",
        Verdict::Better => "better",
        Verdict::NoDifference => "noDifferenceSeen",
        Verdict::TooFew => "tooFewRequests",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use lusk_domain::{Counted, Share, Stake, Tally, TrafficTable};

    use super::*;

    fn tally(requests: u64, failures: u64) -> Tally {
        let mut tally = Tally::default();
        for request in 0..requests {
            tally.add(request < failures, Duration::from_millis(10));
        }
        tally
    }

    fn compared(green: u64) -> Value {
        let stake = Stake {
            share: Some(Share::HALF),
            ..Stake::default()
        };
        let table = TrafficTable::new("blue".parse().unwrap(), Share::NONE, true)
            .with_added(&"green".parse().unwrap(), stake)
            .unwrap();
        let begun = Timestamp::UNIX_EPOCH;
        let counted = [("blue", tally(100, 0)), ("green", tally(green, green / 2))];
        let counted = counted.map(|(name, tally)| Counted {
            version: name.parse().unwrap(),
            since: begun,
            tally,
        });
        let comparison = Comparison::new(&table, &counted, (begun, begun));
        object(&"shop".parse().unwrap(), &comparison)
    }

    #[test]
    fn versions_have_their_numbers_and_treatments_their_differences() {
        let shown = compared(100);
        assert_eq!(shown["name"], "shop");
        assert_eq!(shown["since"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(shown["baseline"], "blue");
        let green = &shown["versions"][1];
        assert_eq!(green["role"], "treatment");
        assert_eq!(green["traffic"], 50.0);
        assert_eq!(
            (&green["requests"], &green["failures"]),
            (&json!(100), &json!(50))
        );
        assert_eq!(green["errorRate"]["value"], 0.5);
        assert!(green["errorRate"]["low"].as_f64().unwrap() < 0.5);
        assert_eq!(green["meanMs"]["value"], 10.0);
        assert!(green["p99Ms"]["value"].is_number() && green["p99Ms"]["low"].is_null());
        let rows = shown["differences"].as_array().unwrap();
        assert_eq!(rows.len(), Measure::ALL.len());
        assert_eq!(rows[0]["measure"], "errorRate");
        assert_eq!(rows[0]["verdict"], "worse");
        assert_eq!(rows[0]["significant"], true);
        assert_eq!(rows[0]["difference"], 0.5);
        assert_eq!(rows[1]["verdict"], "noDifferenceSeen");
        assert_eq!(rows[5]["verdict"], "tooFewRequests");
        assert_eq!(
            (&rows[5]["requests"], &rows[5]["neededRequests"]),
            (&json!(100), &json!(368))
        );
        assert!(rows[5]["difference"].is_null());
    }

    #[test]
    fn a_version_without_requests_has_no_numbers() {
        let shown = compared(0);
        assert!(shown["versions"][1]["errorRate"].is_null());
        assert!(shown["versions"][1]["p50Ms"].is_null());
        assert_eq!(shown["differences"][0]["verdict"], "tooFewRequests");
    }
}
