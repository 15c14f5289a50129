//! A connection under TLS, from its first byte to the HTTP inside.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{Settings, line::Wire};
use crate::{
    books::Refusal,
    caller::{Caller, LINGER},
    listener::Answer,
    tls::{HANDSHAKE, Sealed, Tls},
};

impl<A: Answer> Settings<A> {
    /// Serves it to its end. The handshake counts to the time for headers.
    pub(super) async fn sealed(&self, caller: &Arc<Caller>, wire: Wire, tls: &Tls) {
        let deadline = Instant::now() + self.options.header_timeout;
        match self.first_byte(caller, deadline).await {
            None => return,
            Some(HANDSHAKE) => {}
            Some(_) => return self.dismiss(caller, &**caller, Refusal::NotTls).await,
        }
        let Some(stream) = Box::pin(self.handshake(wire, tls, deadline)).await else {
            return;
        };
        match stream.is_http2() {
            true => Box::pin(self.http2(caller, stream.clone(), Bytes::new())).await,
            false => {
                self.http1(caller, &stream, stream.clone(), Bytes::new())
                    .await;
            }
        }
        stream.close().await;
    }

    async fn first_byte(&self, caller: &Caller, deadline: Instant) -> Option<u8> {
        let mut byte = [0];
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            peeked = timeout_at(deadline, caller.stream().peek(&mut byte)) => match peeked {
                Ok(Ok(1)) => byte.first().copied(),
                _ => None,
            }
        }
    }

    async fn handshake(&self, wire: Wire, tls: &Tls, deadline: Instant) -> Option<Sealed> {
        let accepted = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return None,
            accepted = timeout_at(deadline, tls.accept(wire)) => accepted,
        };
        let accepted = accepted.unwrap_or_else(|late| Err(late.into()));
        accepted
            .inspect_err(|error| tracing::debug!(%error, "no handshake"))
            .ok()
    }
}

/// Says a last word to one who has no place here, under TLS where the door speaks it.
pub(crate) async fn turn_away(stream: TcpStream, tls: Option<Tls>, words: Bytes) {
    let (caller, wire) = Caller::split(stream);
    let Some(tls) = tls else {
        return caller.dismiss(&words).await;
    };
    let sealed = async { Box::pin(timeout(LINGER, tls.accept(wire))).await.ok()?.ok() };
    if let Some(stream) = sealed.await {
        caller.dismiss_by(&stream, &words).await;
    }
}
