//! One request's way to a server and its answer's way back, in parts where they are
//! not small.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use lusk_contract::{BrokenOff, Flow, NotRelayed, RelayReply, RelayRequest, ScriptError};

use crate::{
    answer,
    link::{Link, Work},
    upstream::Failed,
    wire::Reading,
};

/// Answers that tell that they are no larger are passed on when they are whole: with
/// one write, and with their replica's slot free before the caller has it.
const SMALL: u64 = 64 << 10;

/// Relays one request. The answer holds what it needs.
pub(crate) async fn relay(
    link: &Arc<Link>,
    request: RelayRequest,
) -> Result<RelayReply, NotRelayed> {
    if link.health.is_out() {
        let why = format!("outside replica {} does not answer", link.number);
        return Err(NotRelayed {
            error: ScriptError::NotBegun(why),
            request: Some(Box::new(request)),
        });
    }
    let work = Work::begin(link);
    let (parts, reading) = match link.upstream.send(request).await {
        Ok(answered) => answered,
        Err(unanswered) => {
            return Err(NotRelayed {
                error: link.failed(&unanswered.failed),
                request: unanswered.request,
            });
        }
    };
    link.health.answered();
    answer::check(&parts).map_err(|failed| link.failed(&failed))?;
    let length = reading.length();
    if length.is_some_and(|length| length <= SMALL) {
        let whole = link.upstream.collect(reading, SMALL as usize).await;
        let whole = whole.map_err(|failed| link.failed(&failed))?;
        return Ok(answer::reply(parts, Flow::Whole(whole)));
    }
    let mut answering = Answering {
        first: None,
        reading: Some(reading),
        work,
    };
    if !answer::has_events(&parts) {
        answering.look().await.map_err(ScriptError::Died)?;
    }
    let body = Flow::Parts {
        length,
        parts: Box::pin(answering),
    };
    Ok(answer::reply(parts, body))
}

/// The body of an answer. Dropped before its end, it closes the connection.
struct Answering {
    /// What came with the head.
    first: Option<Bytes>,
    /// None at the end.
    reading: Option<Reading>,
    work: Work,
}

impl Answering {
    /// Takes what is there already and waits for nothing. While a caller has nothing
    /// of an answer that is broken, it can be told so.
    async fn look(&mut self) -> Result<(), String> {
        let looked = poll_fn(|context| Poll::Ready(self.poll_next_unpin(context))).await;
        match looked {
            Poll::Ready(Some(Err(broken))) => {
                let number = self.work.link().number;
                Err(format!("outside replica {number}: {broken}"))
            }
            Poll::Ready(Some(Ok(part))) => {
                self.first = Some(part);
                Ok(())
            }
            Poll::Ready(None) | Poll::Pending => Ok(()),
        }
    }
}

impl Stream for Answering {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(part) = this.first.take() {
            return Poll::Ready(Some(Ok(part)));
        }
        let Some(reading) = &mut this.reading else {
            return Poll::Ready(None);
        };
        let part = ready!(reading.poll_part(context));
        let link = this.work.link();
        match part {
            Some(Err(error)) => {
                let failed = Failed::mid_answer(&error, reading);
                this.reading = None;
                link.failed(&failed);
                Poll::Ready(Some(Err(BrokenOff(failed.reason()))))
            }
            part => {
                // Nobody may ask again after the last byte that was announced.
                let is_over = part.is_none() || reading.is_over();
                if let Some(reading) = this.reading.take_if(|_| is_over) {
                    link.upstream.keep(reading, context);
                }
                Poll::Ready(part.map(|part| part.map_err(|error| BrokenOff(error.to_string()))))
            }
        }
    }
}
