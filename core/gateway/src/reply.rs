//! The body of an answer of a scoring door: there already, or on its way.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use lusk_contract::{BrokenOff, Flow, Parts};

/// See the module. One that breaks off breaks its connection, or its stream under
/// HTTP/2, so that no caller takes it for whole.
pub(crate) enum ReplyBody {
    Whole(Full<Bytes>),
    Parts {
        /// Bytes to come, where that is known.
        left: Option<u64>,
        parts: Parts,
        /// It broke off, and what came before is on its way to the caller.
        broken: Option<BrokenOff>,
    },
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Parts { left, .. } => write!(f, "Parts({left:?})"),
        }
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl From<Flow> for ReplyBody {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::Whole(bytes) => bytes.into(),
            Flow::Parts { length, parts } => Self::Parts {
                left: length,
                parts,
                broken: None,
            },
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(whole) => {
                let frame = ready!(Pin::new(whole).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Parts {
                left,
                parts,
                broken,
            } => {
                if let Some(broken) = broken.take() {
                    return Poll::Ready(Some(Err(broken)));
                }
                let part = ready!(parts.poll_next_unpin(context));
                if let Some(Err(why)) = part {
                    tracing::debug!(%why, "an answer broke off");
                    // Hyper throws away what it did not write, the head even, when it
                    // hears of it; while it waits it writes.
                    *broken = Some(why);
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if let (Some(left), Some(Ok(part))) = (left, &part) {
                    *left = left.saturating_sub(part.len() as u64);
                }
                Poll::Ready(part.map(|part| part.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Parts { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Parts { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
