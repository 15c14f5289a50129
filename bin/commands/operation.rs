//! Following an operation to its end.

use lusk_domain::{OperationEvent, Step, StepOutcome};
use serde_json::Value;

use super::Session;
use crate::render::Trouble;

/// Shows the events of `operation` until it ends. `what` says what it was for
/// the user, e.g. ``deployment of service `digits` ``.
///
/// # Errors
/// It failed, or the node went away.
pub(crate) async fn follow(session: &Session, operation: &Value, what: &str) -> anyhow::Result<()> {
    let id = operation["id"].as_str().unwrap_or_default();
    let mut seen = 0;
    loop {
        let path = format!("/operations/{id}?wait=true&seen={seen}");
        let now = session.client().get(&path).await;
        let now = now.inspect_err(|_| session.progress.clear())?;
        let events = events(&now);
        session.progress.events(&new_for_people(&events, seen));
        seen = events.len();
        match now["state"].as_str().unwrap_or_default() {
            "NotStarted" | "Running" => {}
            "Succeeded" => {
                session.progress.clear();
                return Ok(());
            }
            state => {
                session.progress.clear();
                return Err(failure(&now, what, state).into());
            }
        }
    }
}

fn events(operation: &Value) -> Vec<OperationEvent> {
    let events = operation["events"].as_array();
    events
        .into_iter()
        .flatten()
        .filter_map(|event| serde_json::from_value(event.clone()).ok())
        .collect()
}

/// What was not shown yet. The line about the snapshot was: by the packer,
/// who knows what it left out.
fn new_for_people(events: &[OperationEvent], seen: usize) -> Vec<OperationEvent> {
    let new = events.iter().skip(seen);
    new.filter(|event| (event.step, event.outcome) != (Step::Snapshot, StepOutcome::Done))
        .cloned()
        .collect()
}

fn failure(operation: &Value, what: &str, state: &str) -> Trouble {
    let error = &operation["error"];
    let message = error["message"].as_str();
    let message = message.map(|message| without_subject(message, what));
    let message = match (message, state) {
        (Some(message), _) => format!("{what} failed: {message}"),
        (None, "TimedOut") => format!("{what} took too long"),
        (None, "Cancelled") => format!("{what} was cancelled"),
        (None, _) => format!("{what} failed"),
    };
    let details = error["details"].as_array();
    let causes = details
        .into_iter()
        .flatten()
        .filter_map(|detail| detail["message"].as_str())
        .map(str::to_owned)
        // What the message says already is not said again.
        .filter(|cause| !message.contains(cause.as_str()))
        .collect();
    Trouble::new(message).with_causes(causes)
}

/// A message without the name that `what` ends with: it is said once.
fn without_subject<'a>(message: &'a str, what: &str) -> &'a str {
    match message.split_once(": ") {
        Some((subject, rest)) if what.ends_with(&format!(" {subject}")) => rest,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failure_names_its_causes() {
        let operation = json!({"state": "Failed", "error": {
            "code": "KubernetesDeploymentFailed", "message": "replicas: init() raised",
            "details": [{"code": "UserScriptInitFailed", "message": "ValueError: x"},
                        {"code": "UserScriptInitFailed", "message": "init() raised"}]}});
        let trouble = failure(&operation, "deployment", "Failed");
        let expected = Trouble::new("deployment failed: replicas: init() raised")
            .with_causes(vec!["ValueError: x".to_owned()]);
        assert_eq!(trouble, expected);
    }

    #[test]
    fn what_failed_is_named_once() {
        let what = "update of version `green` of endpoint `shop`";
        for (message, expected) in [
            (
                "version `green` of endpoint `shop`: cannot be started: x",
                "cannot be started: x",
            ),
            (
                "version `blue` of endpoint `shop`: x",
                "version `blue` of endpoint `shop`: x",
            ),
            ("x: y", "x: y"),
        ] {
            let operation = json!({"error": {"message": message}});
            let trouble = failure(&operation, what, "Failed");
            assert_eq!(trouble.to_string(), format!("{what} failed: {expected}"));
        }
    }

    #[test]
    fn events_are_shown_once() {
        let operation = json!({"events": [
            {"at": "2021-01-01T00:00:00Z", "step": "snapshot", "outcome": "done", "text": "1 file"},
            {"at": "2021-01-01T00:00:01Z", "step": "image", "outcome": "done", "text": "found"},
            {"at": "2021-01-01T00:00:02Z", "step": "model", "outcome": "done", "text": "loaded"},
        ]});
        let events = events(&operation);
        assert_eq!(events.len(), 3);
        assert_eq!(new_for_people(&events, 0).len(), 2);
        assert_eq!(new_for_people(&events, 2)[0].text, "loaded");
    }
}
