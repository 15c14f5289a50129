//! Answers that tell how the work goes while it does: one JSON object a line,
//! `{"event": …}` for each step, and at the end `{"result": …}` or
//! `{"error": …}`, because the status has been sent by then.
//!
//! Invariant: the last line is a result or an error, whatever happens. The work
//! goes on if nobody reads; events that a slow reader has no room for are
//! dropped, the last line never is.

use std::{future::Future, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use http::header;
use lusk_contract::Progress;
use lusk_domain::{Step, StepOutcome};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{envelope::RequestId, fault::Fault};

/// Lines that wait for their reader.
const WAITING_LINES: usize = 256;

/// Where the work says how it goes.
#[derive(Debug, Clone)]
pub(crate) struct Lines(mpsc::Sender<Bytes>);

impl Progress for Lines {
    fn event(&self, step: Step, outcome: StepOutcome, text: &str) {
        let event = json!({ "event": { "step": step, "outcome": outcome, "text": text } });
        // No room or no reader: the work does not wait for either.
        let _ = self.0.try_send(line(&event));
    }
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

/// Starts `work` and answers with its lines. It ends with the node.
pub(crate) fn answer<W, F>(id: RequestId, stopping: &CancellationToken, work: W) -> Response
where
    W: FnOnce(Arc<Lines>) -> F,
    F: Future<Output = Result<Value, Fault>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING_LINES);
    let work = work(Arc::new(Lines(sender.clone())));
    let stopping = stopping.clone();
    tokio::spawn(async move {
        // A task of its own, so that a panic in it becomes a line too.
        let mut work = tokio::spawn(work);
        let ended = tokio::select! {
            ended = &mut work => ended.unwrap_or_else(|error| Err(broken(&error))),
            () = stopping.cancelled() => {
                work.abort();
                Err(lusk_control::ControlError::ShuttingDown.into())
            }
        };
        let last = match ended {
            Ok(result) => json!({ "result": result }),
            Err(fault) => {
                tracing::warn!(
                    request_id = &*id.0,
                    error = fault.message,
                    "image work failed"
                );
                json!({ "error": fault.object(&id.0) })
            }
        };
        // A reader that is gone needs no end.
        let _ = sender.send(line(&last)).await;
    });
    let lines = stream::unfold(receiver, async |mut receiver| {
        let line = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(line), receiver))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::from_stream(lines)).into_response()
}

fn broken(error: &tokio::task::JoinError) -> Fault {
    tracing::error!(%error, "work on an image was lost");
    Fault::new(
        http::StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "a fault of lusk itself; the node's log has more",
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn id() -> RequestId {
        RequestId("1".into())
    }

    async fn text(response: Response) -> Vec<Value> {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn the_last_line_comes_after_more_events_than_fit() {
        let stopping = CancellationToken::new();
        let response = answer(id(), &stopping, |lines| async move {
            for number in 0..WAITING_LINES * 2 {
                lines.event(Step::Image, StepOutcome::Running, &number.to_string());
            }
            Ok(json!("done"))
        });
        let lines = text(response).await;
        assert_eq!(lines.len(), WAITING_LINES + 1);
        assert_eq!(
            lines[0],
            json!({"event": {"step": "image", "outcome": "running", "text": "0"}})
        );
        assert_eq!(lines[WAITING_LINES], json!({"result": "done"}));
    }

    #[tokio::test]
    async fn a_fault_a_panic_and_the_end_of_the_node_are_last_lines() {
        let stopping = CancellationToken::new();
        let fault = answer(id(), &stopping, |_| async {
            Err(Fault::not_found("no image"))
        });
        let lines = text(fault).await;
        assert_eq!(lines[0]["error"]["statusCode"], 404);
        assert_eq!(lines[0]["error"]["correlation"]["RequestId"], "1");
        let panic = answer(id(), &stopping, |_| async { panic!("surprise") });
        assert_eq!(text(panic).await[0]["error"]["statusCode"], 500);
        let endless = answer(id(), &stopping, |_| std::future::pending());
        stopping.cancel();
        let lines = text(endless).await;
        assert_eq!(lines[0]["error"]["statusCode"], 503);
    }

    #[tokio::test]
    async fn the_work_goes_on_when_nobody_reads() {
        let (ended, end) = tokio::sync::oneshot::channel();
        let (begin, begun) = tokio::sync::oneshot::channel::<()>();
        let response = answer(id(), &CancellationToken::new(), |lines| async move {
            begun.await.unwrap();
            lines.event(Step::Image, StepOutcome::Done, "unheard");
            ended.send(()).unwrap();
            Ok(Value::Null)
        });
        drop(response);
        begin.send(()).unwrap();
        end.await.unwrap();
    }
}
