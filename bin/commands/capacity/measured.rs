//! What a running service tells about itself: settings from its object, times
//! from the metrics page.

use serde_json::{Value, json};

use crate::{
    commands::{Session, service},
    render::Trouble,
};

/// A service as it runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) utilization: u32,
    pub(super) max_concurrent: u32,
    pub(super) cpu: f64,
    pub(super) memory_gb: f64,
    /// Most replicas that its settings allow.
    pub(super) most: Option<u64>,
    /// Whether that many are always there.
    pub(super) is_fixed: bool,
    /// Requests that had a slot.
    pub(super) requests: u64,
    /// Seconds that these held it, the queue not included.
    pub(super) seconds: f64,
    /// Requests that got no slot.
    pub(super) refused: u64,
}

impl Measured {
    /// Asks the node.
    ///
    /// # Errors
    /// No node, or no such service.
    pub(super) async fn ask(session: &Session, name: &str) -> anyhow::Result<Self> {
        let object = service::get(session, name).await?;
        let page = session.client().page("/metrics").await?;
        Ok(Self::of(name, &object, &page))
    }

    fn of(name: &str, object: &Value, page: &str) -> Self {
        let resources = &object["containerResourceRequirements"];
        let metric = |family: &str| metric(page, family, name);
        let count = |family: &str| metric(family).unwrap_or_default() as u64;
        let is_fixed = object["autoScaler"]["autoscaleEnabled"] == false;
        let most = match is_fixed {
            true => &object["numReplicas"],
            false => &object["autoScaler"]["maxReplicas"],
        };
        Self {
            most: most.as_u64(),
            is_fixed,
            name: name.to_owned(),
            utilization: whole(&object["autoScaler"]["targetUtilization"]),
            max_concurrent: whole(&object["maxConcurrentRequestsPerContainer"]),
            cpu: resources["cpu"].as_f64().unwrap_or_default(),
            memory_gb: resources["memoryInGB"].as_f64().unwrap_or_default(),
            requests: count("lusk_slot_duration_seconds_count"),
            seconds: metric("lusk_slot_duration_seconds_sum").unwrap_or_default(),
            refused: count("lusk_requests_overloaded_total")
                + count("lusk_requests_not_ready_total"),
        }
    }

    /// Mean milliseconds that a request holds its slot: what the formula asks for.
    ///
    /// # Errors
    /// It has served nothing since its node started.
    pub(super) fn latency_ms(&self) -> anyhow::Result<f64> {
        if self.requests > 0 && self.seconds > 0.0 {
            return Ok(self.seconds * 1000.0 / self.requests as f64);
        }
        let name = &self.name;
        Err(Trouble::new(format!(
            "service `{name}` has served no request since its node started, so its latency is not known"
        ))
        .with_help(format!(
            "send it some with `lusk service run -n {name} -d …`, or give --latency-ms"
        ))
        .into())
    }

    /// That its settings do not allow so many replicas, if so.
    pub(super) fn too_few(&self, replicas: u64) -> Option<String> {
        let most = self.most.filter(|most| *most < replicas)?;
        let name = &self.name;
        Some(match self.is_fixed {
            true => format!(
                "service `{name}` has {most} and does not scale; raise it with `lusk service update -n {name} --nr {replicas}`"
            ),
            false => format!(
                "service `{name}` scales up to {most}; raise it with `lusk service update -n {name} --ma {replicas}`"
            ),
        })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "requestsSeen": self.requests,
            "requestsRefused": self.refused,
        })
    }
}

/// A whole number that is at least 1.
fn whole(value: &Value) -> u32 {
    let number = value.as_u64().and_then(|it| u32::try_from(it).ok());
    number.unwrap_or(1).max(1)
}

/// The value of a metric that each service has once.
fn metric(page: &str, family: &str, service: &str) -> Option<f64> {
    let start = format!("{family}{{service=\"{service}\"}} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&start))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP lusk_requests_overloaded_total x
lusk_requests_overloaded_total{service=\"digits\"} 0
lusk_requests_overloaded_total{service=\"digits-2\"} 5
lusk_requests_not_ready_total{service=\"digits-2\"} 1
lusk_request_duration_seconds_sum{service=\"digits\"} 77
lusk_request_duration_seconds_count{service=\"digits\"} 4
lusk_slot_duration_seconds_sum{service=\"digits\"} 0.14
lusk_slot_duration_seconds_count{service=\"digits\"} 4
lusk_slot_duration_seconds_sum{service=\"digits-2\"} 3
lusk_slot_duration_seconds_count{service=\"digits-2\"} 10
";

    #[test]
    fn the_mean_is_of_the_service_alone_and_of_its_slots() {
        let object = json!({
            "autoScaler": {"targetUtilization": 60},
            "maxConcurrentRequestsPerContainer": 2,
            "containerResourceRequirements": {"cpu": 0.1, "memoryInGB": 0.5},
        });
        let one = Measured::of("digits", &object, PAGE);
        assert!((one.latency_ms().unwrap() - 35.0).abs() < 1e-9);
        assert_eq!((one.utilization, one.max_concurrent), (60, 2));
        assert_eq!((one.cpu, one.memory_gb), (0.1, 0.5));
        let other = Measured::of("digits-2", &object, PAGE);
        assert_eq!((other.requests, other.refused), (10, 6));
        assert!((other.latency_ms().unwrap() - 300.0).abs() < 1e-9);
    }

    #[test]
    fn a_service_that_served_nothing_has_no_latency() {
        let page = "lusk_slot_duration_seconds_count{service=\"new\"} 0\n";
        let error = Measured::of("new", &Value::Null, page).latency_ms();
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("service `new` has served no request"),
            "{error}"
        );
        let refused_only = "lusk_requests_not_ready_total{service=\"new\"} 3
lusk_slot_duration_seconds_count{service=\"new\"} 0
lusk_slot_duration_seconds_sum{service=\"new\"} 0
";
        assert!(
            Measured::of("new", &Value::Null, refused_only)
                .latency_ms()
                .is_err()
        );
    }
}
