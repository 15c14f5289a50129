//! One connection to a server, driven by whoever uses it.
//!
//! No task of its own: a request, its connection and its answer are polled together,
//! so that an answer wakes the one task that waits for it. What nobody uses is looked
//! at again when somebody takes it.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, Connection, SendRequest},
    },
};

use crate::{
    outgoing::{Outgoing, Sending},
    socket::Socket,
};

/// Most bytes of an answer's head; the scoring door takes as many of a request's.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// See the module. It serves one request at a time; dropping it closes it.
pub(crate) struct Wire {
    sender: SendRequest<Outgoing>,
    /// None when it ended. Boxed, for it is large and changes hands with each request.
    connection: Option<Box<Connection<Socket, Outgoing>>>,
    /// Of the request that it serves, where that takes its time.
    sending: Option<Arc<Sending>>,
    /// The other end did not take all that was written, and it ended.
    was_deaf: bool,
}

impl Wire {
    pub(crate) async fn new(socket: Socket) -> Result<Self, hyper::Error> {
        let mut builder = Builder::new();
        builder.max_buf_size(MAX_HEAD_BYTES);
        let (sender, connection) = builder.handshake(socket).await?;
        Ok(Self {
            sender,
            connection: Some(Box::new(connection)),
            sending: None,
            was_deaf: false,
        })
    }

    /// Takes what came since somebody looked last. False when it is of no more use.
    pub(crate) fn looks_well(&mut self, context: &mut Context<'_>) -> bool {
        self.drive(context);
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Sends a request and returns when the head of the answer is there. The request
    /// comes back where nothing of it was taken.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        self.sending = request.body().sending();
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|context| {
            drive(&mut self.connection, &mut self.was_deaf, context);
            answer.as_mut().poll(context)
        })
        .await
    }

    /// Whether its server has not taken all of the request.
    pub(crate) fn was_sending(&self) -> bool {
        self.was_deaf
            || self
                .sending
                .as_ref()
                .is_some_and(|sending| !sending.is_over())
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.connection, &mut self.was_deaf, context);
    }
}

/// Does what can be done now. A connection that ended is dropped, which tells the
/// request and the answer on it.
fn drive(
    connection: &mut Option<Box<Connection<Socket, Outgoing>>>,
    was_deaf: &mut bool,
    context: &mut Context<'_>,
) {
    if let Some(open) = connection
        && Pin::new(&mut **open).poll(context).is_ready()
        && let Some(ended) = connection.take()
    {
        *was_deaf = ended.into_parts().io.is_deaf();
    }
}

/// The body of an answer, and the connection that it comes on.
pub(crate) struct Reading {
    wire: Wire,
    body: Incoming,
}

impl Reading {
    pub(crate) fn new(wire: Wire, body: Incoming) -> Self {
        Self { wire, body }
    }

    /// Bytes to come, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Whether nothing more comes.
    pub(crate) fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Whether its server has not taken all of the request.
    pub(crate) fn was_sending(&self) -> bool {
        self.wire.was_sending()
    }

    /// The next part; none at the end. Trailers are of no use to a caller.
    pub(crate) fn poll_part(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        let mut is_driven = false;
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(part) if part.is_empty() => {}
                    Ok(part) => return Poll::Ready(Some(Ok(part))),
                    Err(_trailers) => {}
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if is_driven => return Poll::Pending,
                Poll::Pending => {
                    self.wire.drive(context);
                    is_driven = true;
                }
            }
        }
    }

    /// The next part.
    pub(crate) async fn part(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        poll_fn(|context| self.poll_part(context)).await
    }

    /// The connection, if it can serve another request.
    pub(crate) fn into_wire(mut self, context: &mut Context<'_>) -> Option<Wire> {
        let is_ready = self.wire.sender.is_ready() || self.wire.looks_well(context);
        (is_ready && self.wire.connection.is_some()).then_some(self.wire)
    }
}
