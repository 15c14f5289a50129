//! The body of a request on its way to a server.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::StreamExt as _;
use http_body::{Body, Frame, SizeHint};
use lusk_contract::{BrokenOff, Flow, Parts};

/// See the module. The next part is asked for when the last one went into the
/// connection's buffer, which is bounded.
pub(crate) enum Outgoing {
    /// All of it, or nothing more.
    Whole(Bytes),
    /// What comes.
    Parts {
        /// Bytes to come, where that is known.
        left: Option<u64>,
        parts: Parts,
        sending: Arc<Sending>,
    },
}

/// Whether a body is still on its way.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    is_over: AtomicBool,
}

impl Sending {
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }
}

impl Outgoing {
    /// What is known of it later; nothing of one that goes out at once.
    pub(crate) fn sending(&self) -> Option<Arc<Sending>> {
        match self {
            Self::Whole(_) => None,
            Self::Parts { sending, .. } => Some(Arc::clone(sending)),
        }
    }

    /// What it was made of; of no use once some of it was taken.
    pub(crate) fn into_flow(self) -> Flow {
        match self {
            Self::Whole(bytes) => Flow::Whole(bytes),
            Self::Parts { left, parts, .. } => Flow::Parts {
                length: left,
                parts,
            },
        }
    }
}

impl From<Flow> for Outgoing {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::Whole(bytes) => Self::Whole(bytes),
            Flow::Parts { length, parts } => Self::Parts {
                left: length,
                parts,
                sending: Arc::default(),
            },
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Parts {
                left,
                parts,
                sending,
            } => {
                let part = std::task::ready!(parts.poll_next_unpin(context));
                if let (Some(left), Some(Ok(part))) = (left, &part) {
                    *left = left.saturating_sub(part.len() as u64);
                    sending.is_over.store(*left == 0, Relaxed);
                }
                if part.is_none() {
                    sending.is_over.store(true, Relaxed);
                }
                Poll::Ready(part.map(|part| part.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Parts { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Parts { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
