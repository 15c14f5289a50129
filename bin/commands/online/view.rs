//! Endpoints and deployments as v2 shows them.

use serde_json::{Map, Value, json};

use crate::{
    client::query,
    commands::{
        Session,
        endpoint::EFFECTIVE,
        model::{labels, plain},
    },
    render::{self, Column},
};

/// Prints an endpoint.
pub(super) fn endpoint(session: &Session, object: &Value) -> anyhow::Result<()> {
    render::data(session.format, &endpoint_object(object), &ENDPOINT)
}

/// Prints all endpoints.
pub(super) async fn endpoints(session: &Session) -> anyhow::Result<()> {
    let query = query(&[
        ("computeType", Some("AKSENDPOINT".to_owned())),
        ("expand", Some("true".to_owned())),
    ]);
    let found = session.client().list(&format!("/services{query}")).await?;
    if found.is_empty() {
        session.progress.say("no endpoints");
    }
    let shown = found.iter().map(endpoint_object).collect();
    render::data(session.format, &Value::Array(shown), &ENDPOINT_LIST)
}

/// Prints a deployment.
pub(super) fn deployment(session: &Session, version: &Value) -> anyhow::Result<()> {
    render::data(session.format, &deployment_object(version), &DEPLOYMENT)
}

/// Prints the deployments of an endpoint.
pub(super) fn deployments(session: &Session, endpoint: &Value) -> anyhow::Result<()> {
    let versions = endpoint["versions"].as_object();
    let shown: Vec<_> = versions
        .into_iter()
        .flat_map(Map::values)
        .map(deployment_object)
        .collect();
    if shown.is_empty() {
        session.progress.say("no deployments");
    }
    render::data(session.format, &Value::Array(shown), &DEPLOYMENT_LIST)
}

/// v2's words for how things stand.
fn state(object: &Value) -> &'static str {
    match object["state"].as_str().unwrap_or_default() {
        "Healthy" => "Succeeded",
        "Failed" | "Unhealthy" | "Unschedulable" => "Failed",
        "Creating" => "Creating",
        "Deleting" => "Deleting",
        _ => "Updating",
    }
}

fn endpoint_object(object: &Value) -> Value {
    // An endpoint without deployments is made all the same.
    let has_none = object["versions"].as_object().is_some_and(Map::is_empty);
    json!({
        "name": object["name"],
        "description": object["description"],
        "tags": object["tags"],
        "properties": object["properties"],
        "auth_mode": match object["aadAuthEnabled"] == true {
            true => "aml_token",
            false => "key",
        },
        "provisioning_state": if has_none { "Succeeded" } else { state(object) },
        "scoring_uri": object["scoringUri"],
        "openapi_uri": object["swaggerUri"],
        "traffic": traffic(object),
        "mirror_traffic": match &object["mirrorTraffic"] {
            Value::Null => json!({}),
            map => map.clone(),
        },
        "default_deployment": object["defaultVersion"],
    })
}

/// What each version really gets: the default one has what others leave, too.
fn traffic(object: &Value) -> Value {
    let versions = object["versions"].as_object().into_iter().flatten();
    let shares = versions.filter(|(name, _)| object["traffic"][name.as_str()].is_number());
    shares
        .map(|(name, version)| (name.clone(), version[EFFECTIVE].clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn deployment_object(version: &Value) -> Value {
    let models = version["modelDetails"].as_array();
    let model = models.and_then(|models| models.first());
    let resources = &version["containerResourceRequirements"];
    let probe = &version["livenessProbeRequirements"];
    let scaler = &version["autoScaler"];
    let scale = match scaler["autoscaleEnabled"] == true {
        true => json!({
            "type": "target_utilization",
            "min_instances": scaler["minReplicas"],
            "max_instances": scaler["maxReplicas"],
            "target_utilization_percentage": scaler["targetUtilization"],
            "polling_interval": scaler["refreshPeriodInSeconds"],
        }),
        false => json!({ "type": "default" }),
    };
    json!({
        "name": version["name"],
        "endpoint_name": version["endpoint"],
        "description": version["description"],
        "tags": version["tags"],
        "properties": version["properties"],
        "provisioning_state": state(version),
        "error": version["error"]["message"],
        "model": model.and_then(|model| model["id"].as_str()).map(|id| format!("azureml:{id}")),
        "instance_count": version["deploymentStatus"]["desiredReplicas"],
        "ready_instances": version["deploymentStatus"]["availableReplicas"],
        "traffic": version[EFFECTIVE],
        "scale_settings": scale,
        "request_settings": {
            "request_timeout_ms": version["scoringTimeoutMs"],
            "max_concurrent_requests_per_instance": version["maxConcurrentRequestsPerContainer"],
            "max_queue_wait_ms": version["maxQueueWaitMs"],
        },
        "resources": {
            "requests": {"cpu": resources["cpu"], "memory_in_gb": resources["memoryInGB"]},
            "limits": {"cpu": resources["cpuLimit"], "memory_in_gb": resources["memoryInGBLimit"]},
        },
        "liveness_probe": {
            "initial_delay": probe["initialDelaySeconds"],
            "period": probe["periodSeconds"],
            "timeout": probe["timeoutSeconds"],
            "success_threshold": probe["successThreshold"],
            "failure_threshold": probe["failureThreshold"],
        },
        "data_collector": {"enabled": version["dataCollection"]["storageEnabled"]},
    })
}

const ENDPOINT: [Column; 9] = [
    Column::new("Name", |it| plain(&it["name"])),
    Column::new("State", |it| plain(&it["provisioning_state"])),
    Column::new("Description", |it| plain(&it["description"])),
    Column::new("Auth", |it| plain(&it["auth_mode"])),
    Column::new("Traffic", |it| map(&it["traffic"])),
    Column::new("Default", |it| plain(&it["default_deployment"])),
    Column::new("Mirror traffic", |it| map(&it["mirror_traffic"])),
    Column::new("Tags", |it| labels(&it["tags"])),
    Column::new("Scoring URI", |it| plain(&it["scoring_uri"])),
];

const ENDPOINT_LIST: [Column; 4] = [
    Column::new("Name", |it| plain(&it["name"])),
    Column::new("State", |it| plain(&it["provisioning_state"])),
    Column::new("Traffic", |it| map(&it["traffic"])),
    Column::new("Scoring URI", |it| plain(&it["scoring_uri"])),
];

const DEPLOYMENT: [Column; 8] = [
    Column::new("Name", |it| plain(&it["name"])),
    Column::new("Endpoint", |it| plain(&it["endpoint_name"])),
    Column::new("State", |it| plain(&it["provisioning_state"])),
    Column::new("Error", |it| plain(&it["error"])),
    Column::new("Instances", instances),
    Column::new("Model", |it| plain(&it["model"])),
    Column::new("Traffic", |it| plain(&it["traffic"])),
    Column::new("Tags", |it| labels(&it["tags"])),
];

const DEPLOYMENT_LIST: [Column; 5] = [
    Column::new("Name", |it| plain(&it["name"])),
    Column::new("State", |it| plain(&it["provisioning_state"])),
    Column::new("Instances", instances),
    Column::new("Model", |it| plain(&it["model"])),
    Column::new("Traffic", |it| plain(&it["traffic"])),
];

fn instances(it: &Value) -> String {
    let ready = it["ready_instances"].as_u64();
    match (ready, it["instance_count"].as_u64()) {
        (Some(ready), Some(wanted)) => format!("{ready} of {wanted}"),
        _ => String::new(),
    }
}

/// `blue=90 green=10`, as flags take it.
fn map(it: &Value) -> String {
    let entries = it.as_object().into_iter().flatten();
    let parts: Vec<_> = entries
        .map(|(name, share)| format!("{name}={}", plain(share)))
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_the_keys_of_v2() {
        let shown = endpoint_object(&json!({
            "name": "shop", "state": "Healthy", "scoringUri": "http://h/score",
            "swaggerUri": "http://h/swagger.json", "authEnabled": true,
            "mirrorTraffic": null,
            "traffic": {"blue": 0, "green": 10},
            "versions": {"blue": {"trafficPercentile": 0, "effectiveTrafficPercentile": 90},
                "dark": {"trafficPercentile": 0, "effectiveTrafficPercentile": 0},
                "green": {"trafficPercentile": 10, "effectiveTrafficPercentile": 10}},
        }));
        assert_eq!(shown["provisioning_state"], "Succeeded");
        assert_eq!(shown["scoring_uri"], "http://h/score");
        assert_eq!(shown["mirror_traffic"], json!({}));
        assert_eq!(map(&shown["traffic"]), "blue=90 green=10");
    }

    #[test]
    fn a_deployment_has_the_keys_of_v2() {
        let shown = deployment_object(&json!({
            "name": "blue", "endpoint": "shop", "state": "Failed",
            "error": {"message": "init() raised"}, "modelDetails": [{"id": "digits:1"}],
            "autoScaler": {"autoscaleEnabled": true, "maxReplicas": 3},
            "scoringTimeoutMs": 5000, "trafficPercentile": 0, "effectiveTrafficPercentile": 100,
            "deploymentStatus": {"desiredReplicas": 2, "availableReplicas": 1},
        }));
        assert_eq!(shown["provisioning_state"], "Failed");
        assert_eq!(shown["model"], "azureml:digits:1");
        assert_eq!(shown["scale_settings"]["max_instances"], 3);
        assert_eq!(shown["request_settings"]["request_timeout_ms"], 5000);
        assert_eq!(shown["traffic"], 100);
        assert_eq!(instances(&shown), "1 of 2");
    }
}
