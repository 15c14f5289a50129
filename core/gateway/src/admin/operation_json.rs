//! An operation on the wire, and its log in the original's streaming format.

use lusk_domain::{Operation, OperationState, Step, StepOutcome};
use serde_json::{Value, json};

use super::{
    service_json::{failure, time},
    speech::plain_about,
};

/// The operation object. `prefix` is the URL of the workspace, `offset` the
/// number of characters of the log that the caller has read already.
pub(crate) fn operation(operation: &Operation, prefix: &str, offset: usize) -> Value {
    let url = format!("{prefix}/operations/{}", operation.id);
    let (service, version) = (operation.service.endpoint(), operation.service.version());
    let location = match &version {
        Some(version) => format!("{prefix}/services/{service}/versions/{version}"),
        None => format!("{prefix}/services/{service}"),
    };
    json!({
        "id": operation.id,
        "operationType": operation.kind,
        "service": service,
        // Of an endpoint; null for what is about a service or an endpoint as a whole.
        "version": version,
        "state": operation.state,
        "createdTime": time(operation.created_time),
        "endTime": operation.end_time.map(time),
        "error": operation.error.as_ref().map(failure),
        "resourceLocation": location,
        "operationLog": format!("{url}/log"),
        "streamingOperationLog": log(operation, offset),
        "operationDetails": {
            "subOperationType": sub_operation(operation),
            "subOperationState": operation.state,
        },
        "parentRequestId": operation.id,
        "events": operation
            .events
            .iter()
            .map(|event| json!({
                "at": time(event.at),
                "step": event.step,
                "outcome": event.outcome,
                "text": plain_about(&event.text, Some(operation.service.endpoint())),
            }))
            .collect::<Vec<_>>(),
    })
}

/// What is being done, in the original's words.
fn sub_operation(operation: &Operation) -> &'static str {
    let step = operation.events.last().map(|event| event.step);
    match (step, operation.state) {
        (Some(Step::Snapshot | Step::Capacity | Step::Image) | None, OperationState::Running) => {
            "BuildEnvironment"
        }
        (Some(Step::Image), OperationState::Failed) => "BuildEnvironment",
        _ => "DeployService",
    }
}

/// The log from character `offset` on: records separated by `#`, each
/// `yyyyMMddHHmmss|text` in UTC. Both signs are replaced inside a text, because
/// clients split at them.
pub(crate) fn log(operation: &Operation, offset: usize) -> String {
    let records: Vec<_> = operation
        .events
        .iter()
        .map(|event| {
            let step = json!(event.step);
            let step = step.as_str().unwrap_or_default();
            let mark = match event.outcome {
                StepOutcome::Failed => " failed",
                StepOutcome::Warning => " warning",
                StepOutcome::Running | StepOutcome::Done => "",
            };
            let text = plain_about(&event.text, Some(operation.service.endpoint()))
                .replace('#', "\u{ff03}")
                .replace('|', "\u{a6}");
            format!("{}|{step}{mark}: {text}", event.at.strftime("%Y%m%d%H%M%S"))
        })
        .collect();
    records.join("#").chars().skip(offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lusk_domain::{OperationEvent, OperationKind};
    use uuid::Uuid;

    fn running(texts: &[&str]) -> Operation {
        let at = "2021-03-04T05:06:07.5Z".parse().unwrap();
        Operation {
            id: Uuid::nil(),
            kind: OperationKind::Create,
            service: "digits".parse().unwrap(),
            state: OperationState::Running,
            created_time: at,
            end_time: None,
            error: None,
            events: texts
                .iter()
                .map(|text| OperationEvent {
                    at,
                    step: Step::Image,
                    outcome: StepOutcome::Done,
                    text: (*text).to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn the_log_has_the_streaming_format_of_the_original() {
        let operation = running(&["one", "t#w|o"]);
        assert_eq!(
            log(&operation, 0),
            "20210304050607|image: one#20210304050607|image: t\u{ff03}w\u{a6}o"
        );
        assert_eq!(
            log(&operation, 25),
            "#20210304050607|image: t\u{ff03}w\u{a6}o"
        );
        assert_eq!(log(&operation, 10_000), "");
    }

    #[test]
    fn a_growing_log_is_read_once_by_characters() {
        let short = log(&running(&["añb"]), 0);
        let rest = log(&running(&["añb", "end"]), short.chars().count());
        assert_eq!(rest, "#20210304050607|image: end");
    }

    #[test]
    fn a_version_is_found_below_its_endpoint_and_its_inner_name_is_not_told() {
        let mut operation = running(&["`shop/green` is ready"]);
        operation.service = serde_json::from_value(json!("shop/green")).unwrap();
        operation.error = Some(lusk_domain::Failure::new(
            lusk_domain::FailureCode::Conflict,
            "no replica of service `shop/green`",
        ));
        let shown = super::operation(&operation, "http://h/workspaces/local", 0);
        assert_eq!(
            shown["resourceLocation"],
            "http://h/workspaces/local/services/shop/versions/green"
        );
        assert_eq!(
            (&shown["service"], &shown["version"]),
            (&json!("shop"), &json!("green"))
        );
        assert_eq!(
            shown["events"][0]["text"],
            "version `green` of endpoint `shop` is ready"
        );
        assert!(!shown.to_string().contains("shop/green"), "{shown:#}");
    }

    #[test]
    fn the_object_has_every_key_of_the_original() {
        let shown = operation(&running(&["one"]), "http://h/workspaces/local", 0);
        for key in [
            "id",
            "operationType",
            "state",
            "createdTime",
            "endTime",
            "error",
            "resourceLocation",
            "operationLog",
            "streamingOperationLog",
            "operationDetails",
            "parentRequestId",
            "events",
        ] {
            assert!(shown.get(key).is_some(), "{key}");
        }
        assert_eq!(
            shown["resourceLocation"],
            "http://h/workspaces/local/services/digits"
        );
        assert_eq!(
            shown["operationDetails"]["subOperationType"],
            "BuildEnvironment"
        );
        assert_eq!(shown["createdTime"], "2021-03-04T05:06:07.500000Z");
        assert_eq!(shown["events"][0]["step"], "image");
    }
}
