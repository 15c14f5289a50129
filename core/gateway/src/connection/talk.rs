//! A request on its way from hyper to the door, and the answer's way back.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
};

use crate::{
    caller::{Caller, Under},
    listener::Answer,
};

/// What one connection's requests need: one count for both, which no other connection
/// touches.
pub(super) type Talk<A> = (Arc<A>, Arc<Caller>);

/// Answers, and counts as answering meanwhile.
pub(super) fn answer<A: Answer>(
    talk: Arc<Talk<A>>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<hyper::Response<Sent<A>>, Infallible>> {
    let under = talk.1.begin(request.version());
    async move {
        let answer = talk.0.answer(request, &talk.1).await;
        drop(under);
        Ok(answer.map(|body| Sent {
            body,
            talk,
            resting: None,
        }))
    }
}

/// A body that says, while its next part is not there, that the connection is not idle,
/// however long that takes. While the part is there and its caller does not take it, the
/// connection is.
pub(super) struct Sent<A: Answer> {
    body: A::Body,
    talk: Arc<Talk<A>>,
    resting: Option<Under>,
}

impl<A: Answer> Body for Sent<A> {
    type Data = <A::Body as Body>::Data;
    type Error = <A::Body as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match polled.is_pending() {
            false => self.resting = None,
            true if self.resting.is_none() => self.resting = Some(self.talk.1.sending()),
            true => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
