//! Frames between lusk and a worker: two lengths (32 bits, little endian), a
//! JSON head of the first length, raw bytes of the second. lusk speaks first,
//! and then one side after the other.
//!
//! What a worker says is not trusted: both lengths are bounded before anything
//! is read, and no more memory is taken than bytes have come.

use std::io;

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// Most bytes of a head that a worker sends.
const MAX_HEAD_BYTES: usize = 1 << 20;

/// A body up to this size is sent in one piece with its head.
const JOINED_BYTES: usize = 64 << 10;

/// lusk's end.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    max_body_bytes: u64,
}

impl Channel {
    /// A channel over which bodies of at most `max_body_bytes` come in.
    pub(super) fn new(stream: UnixStream, max_body_bytes: u64) -> Self {
        Self {
            stream,
            max_body_bytes,
        }
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, head: &impl Serialize, body: &[u8]) -> io::Result<()> {
        let head = serde_json::to_vec(head)?;
        let joined = if body.len() <= JOINED_BYTES {
            body
        } else {
            &[]
        };
        let mut start = Vec::with_capacity(8 + head.len() + joined.len());
        start.extend(length(head.len())?);
        start.extend(length(body.len())?);
        start.extend(head);
        start.extend(joined);
        self.stream.write_all(&start).await?;
        if joined.len() < body.len() {
            self.stream.write_all(body).await?;
        }
        Ok(())
    }

    /// The next frame.
    pub(super) async fn receive<H: DeserializeOwned>(&mut self) -> io::Result<(H, Bytes)> {
        let head_bytes = self.stream.read_u32_le().await?;
        let body_bytes = self.stream.read_u32_le().await?;
        if head_bytes as usize > MAX_HEAD_BYTES || u64::from(body_bytes) > self.max_body_bytes {
            return Err(invalid(format!(
                "it announced {head_bytes} and {body_bytes} bytes, at most {MAX_HEAD_BYTES} and {} are possible",
                self.max_body_bytes
            )));
        }
        let head = self.read(head_bytes).await?;
        let head = serde_json::from_slice(&head)
            .map_err(|error| invalid(format!("it sent something unreadable: {error}")))?;
        Ok((head, self.read(body_bytes).await?))
    }

    async fn read(&mut self, bytes: u32) -> io::Result<Bytes> {
        let mut content = BytesMut::new();
        let mut rest = (&mut self.stream).take(bytes.into());
        while rest.limit() > 0 {
            if rest.read_buf(&mut content).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(content.freeze())
    }
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes)
        .map(u32::to_le_bytes)
        .map_err(|_| invalid(format!("{bytes} bytes do not fit into one frame")))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pair(max_body_bytes: u64) -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Channel::new(ours, max_body_bytes), theirs)
    }

    #[tokio::test]
    async fn frames_come_as_they_were_sent() {
        let (mut ours, theirs) = pair(1 << 20);
        let mut theirs = Channel::new(theirs, 1 << 20);
        for size in [0, 3, JOINED_BYTES + 1, 1 << 20] {
            let body = vec![7; size];
            let head = json!({"size": size});
            let (sent, received) = tokio::join!(ours.send(&head, &body), theirs.receive::<Value>());
            sent.unwrap();
            assert_eq!(received.unwrap(), (head, Bytes::from(body)));
        }
    }

    #[tokio::test]
    async fn announced_sizes_are_checked_before_anything_is_read() {
        for (head, body) in [(u32::MAX, 0), (2, 11), (2, u32::MAX)] {
            let (mut ours, mut theirs) = pair(10);
            theirs.write_u32_le(head).await.unwrap();
            theirs.write_u32_le(body).await.unwrap();
            let error = ours.receive::<Value>().await.unwrap_err();
            assert!(error.to_string().starts_with("it announced"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_end_in_the_middle_is_an_error() {
        let (mut ours, mut theirs) = pair(10);
        theirs.write_u32_le(2).await.unwrap();
        theirs.write_u32_le(5).await.unwrap();
        theirs.write_all(b"{}abc").await.unwrap();
        drop(theirs);
        let error = ours.receive::<Value>().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
