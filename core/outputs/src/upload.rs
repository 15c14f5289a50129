//! Sends one file. Memory is bounded by one part, whatever the file's size.

use std::{
    fs::File,
    io::{self, Read},
};

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};

/// Bytes of a part; stores want at least 5 MiB, and all but the last alike.
pub(crate) const PART_BYTES: usize = 8 << 20;

/// Why a file was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// Sends the first `size` bytes of `file`, or as many as there are.
pub(crate) async fn send(
    store: &dyn ObjectStore,
    to: &Path,
    file: File,
    size: u64,
) -> Result<u64, UploadError> {
    let mut file = file.take(size);
    let first = next_part(&mut file)?;
    if first.len() < PART_BYTES {
        let sent = first.len() as u64;
        store.put(to, PutPayload::from(first)).await?;
        return Ok(sent);
    }
    let mut upload = store.put_multipart(to).await?;
    match send_parts(&mut *upload, first, &mut file).await {
        Ok(sent) => Ok(sent),
        Err(error) => {
            // Parts that nobody claims would be paid for until the store's
            // owner finds them; the first error is the one to tell.
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    first: Bytes,
    file: &mut impl Read,
) -> Result<u64, UploadError> {
    let mut sent = 0;
    let mut part = first;
    while !part.is_empty() {
        sent += part.len() as u64;
        upload.put_part(PutPayload::from(part)).await?;
        part = next_part(file)?;
    }
    upload.complete().await?;
    Ok(sent)
}

fn next_part(file: &mut impl Read) -> io::Result<Bytes> {
    let mut part = Vec::new();
    file.take(PART_BYTES as u64).read_to_end(&mut part)?;
    Ok(Bytes::from(part))
}
