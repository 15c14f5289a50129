//! The file that carries a service to another node: a tar archive that any tar
//! can look into.
//!
//! Its members, in this order: [`DEFINITION`]; `blobs/sha256/<hex>`, the files of
//! the models and the snapshot; `images/<key>.tar`, each an OCI image layout;
//! [`SUMS`], the digest of everything before it. The last one makes a file that
//! was cut off or changed on its way known before anything is done with it.
//!
//! Written by streams of unknown length: a member's header is filled in when its
//! content has been written, so the file must be one that can be sought in.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use lusk_domain::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{commands::upload, render::Trouble};

/// The first member: what the archive carries.
pub(super) const DEFINITION: &str = "lusk-export.json";

/// The last member: digests and sizes of all others by their names.
const SUMS: &str = "lusk-sums.json";

/// A block of a tar archive.
const BLOCK: u64 = 512;

/// Longest name of a member in the oldest format of tar.
const LONGEST_NAME: usize = 100;

/// Largest size that eleven octal digits tell.
const LARGEST_MEMBER: u64 = 0o77_777_777_777;

/// Most bytes of the two members that are read whole.
const LARGEST_TEXT: u64 = 64 * 1024 * 1024;

/// Most members; a service has at most 1,000 models.
const MOST_MEMBERS: usize = 1_000_000;

/// Digest and size of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    digest: Digest,
    size: u64,
}

impl Sum {
    fn json(&self) -> Value {
        json!({ "digest": self.digest, "size": self.size })
    }

    fn of(value: &Value) -> Option<Self> {
        Some(Self {
            digest: value["digest"].as_str()?.parse().ok()?,
            size: value["size"].as_u64()?,
        })
    }
}

/// Writes an archive.
pub(super) struct Writer<'a> {
    file: &'a mut File,
    sums: BTreeMap<String, Sum>,
}

impl<'a> Writer<'a> {
    /// An archive from the beginning of `file` on.
    pub(super) fn new(file: &'a mut File) -> Self {
        Self {
            file,
            sums: BTreeMap::new(),
        }
    }

    /// Adds a member whose content is at hand.
    pub(super) async fn text(&mut self, name: &str, text: &[u8]) -> anyhow::Result<()> {
        let text = Bytes::copy_from_slice(text);
        let parts = futures::stream::iter([Ok::<_, io::Error>(text)]);
        self.member(name, parts).await?;
        Ok(())
    }

    /// Adds a member; gives digest and size of what came.
    pub(super) async fn member<E>(
        &mut self,
        name: &str,
        content: impl Stream<Item = Result<Bytes, E>>,
    ) -> anyhow::Result<(Digest, u64)>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let start = self.file.stream_position()?;
        self.file.write_all(&header(name, 0)?)?;
        let mut content = std::pin::pin!(content);
        let mut hasher = Sha256::new();
        let mut size = 0;
        while let Some(part) = content.next().await {
            let part = part?;
            hasher.update(&part);
            size += part.len() as u64;
            self.file.write_all(&part)?;
        }
        let padding = size.next_multiple_of(BLOCK) - size;
        self.file.write_all(&vec![0; padding as usize])?;
        let end = self.file.stream_position()?;
        self.file.seek(SeekFrom::Start(start))?;
        self.file.write_all(&header(name, size)?)?;
        self.file.seek(SeekFrom::Start(end))?;
        let digest = Digest::from_bytes(hasher.finalize().into());
        self.sums.insert(name.to_owned(), Sum { digest, size });
        Ok((digest, size))
    }

    /// Adds the last member and the end. Gives the size of the archive.
    pub(super) async fn finish(mut self) -> anyhow::Result<u64> {
        let sums = self
            .sums
            .iter()
            .map(|(name, sum)| (name.clone(), sum.json()));
        let sums = serde_json::to_vec_pretty(&Value::Object(sums.collect()))?;
        self.text(SUMS, &sums).await?;
        self.file.write_all(&[0; 2 * BLOCK as usize])?;
        self.file.sync_all()?;
        Ok(self.file.stream_position()?)
    }
}

/// A header of the ustar format: a plain file of this name and size.
fn header(name: &str, size: u64) -> anyhow::Result<[u8; BLOCK as usize]> {
    anyhow::ensure!(
        name.len() <= LONGEST_NAME,
        "`{name}` is longer than {LONGEST_NAME} bytes"
    );
    anyhow::ensure!(
        size <= LARGEST_MEMBER,
        "`{name}` has {size} bytes, a file in an archive has at most {LARGEST_MEMBER}"
    );
    let mut header = [0; BLOCK as usize];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum = checksum(&header);
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// The sum of a header's bytes, its own place counted as spaces.
fn checksum(header: &[u8; BLOCK as usize]) -> u32 {
    let own = 148..156;
    let byte = |(at, byte): (usize, &u8)| {
        if own.contains(&at) {
            u32::from(b' ')
        } else {
            u32::from(*byte)
        }
    };
    header.iter().enumerate().map(byte).sum()
}

/// A member's place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// Where its content begins.
    pub(super) start: u64,
    /// Bytes of its content.
    pub(super) size: u64,
    /// What its content hashes to.
    pub(super) digest: Digest,
}

/// What a file is.
#[derive(Debug)]
pub(super) enum Archive {
    /// A service with all it needs: the definition and the members, checked.
    Service {
        /// The text of [`DEFINITION`].
        definition: Vec<u8>,
        /// All members but the first and the last.
        members: BTreeMap<String, Member>,
    },
    /// Something else; images alone are carried in the format of others.
    Other,
}

/// Reads the archive at `path` to its end and checks every byte of it.
///
/// # Errors
/// It cannot be read, is cut off, or was changed.
pub(super) fn check(path: &Path) -> anyhow::Result<Archive> {
    let mut file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let length = file
        .metadata()
        .with_context(|| format!("reading {}", path.display()))?
        .len();
    match Check::new(&mut file, length).run() {
        Ok(archive) => Ok(archive),
        Err(Flaw::Read(error)) => {
            Err(anyhow::Error::new(error).context(format!("reading {}", path.display())))
        }
        Err(Flaw::Wrong(what)) => Err(Trouble::new(format!(
            "{} is damaged: {what}",
            path.display()
        ))
        .with_help("nothing was taken in; export it again, or copy it again")
        .into()),
    }
}

enum Flaw {
    Read(io::Error),
    Wrong(String),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Wrong("it is cut off".to_owned()),
            _ => Self::Read(error),
        }
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw::Wrong(what.into()))
}

struct Check<'a> {
    file: &'a mut File,
    length: u64,
    members: BTreeMap<String, Member>,
}

impl<'a> Check<'a> {
    fn new(file: &'a mut File, length: u64) -> Self {
        Self {
            file,
            length,
            members: BTreeMap::new(),
        }
    }

    fn run(mut self) -> Result<Archive, Flaw> {
        let first = match self.head() {
            Ok(Some((name, size))) if name == DEFINITION => size,
            Ok(_) | Err(Flaw::Wrong(_)) => return Ok(Archive::Other),
            Err(flaw) => return Err(flaw),
        };
        let definition = self.whole(DEFINITION, first)?;
        let sums = loop {
            let Some((name, size)) = self.head()? else {
                return wrong(format!("its last member, `{SUMS}`, is missing"));
            };
            if name == SUMS {
                break self.whole(SUMS, size)?;
            }
            self.member(name, size)?;
        };
        self.end()?;
        self.compare(&sums)?;
        self.members.remove(DEFINITION);
        self.members.remove(SUMS);
        Ok(Archive::Service {
            definition,
            members: self.members,
        })
    }

    /// Name and size of the next member; none at the end.
    fn head(&mut self) -> Result<Option<(String, u64)>, Flaw> {
        let mut header = [0; BLOCK as usize];
        self.file.read_exact(&mut header)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let told = octal(&header[148..156]);
        if told != Some(u64::from(checksum(&header))) {
            return wrong("a header does not fit its checksum");
        }
        let end = header[..LONGEST_NAME].iter().position(|byte| *byte == 0);
        let name = std::str::from_utf8(&header[..end.unwrap_or(LONGEST_NAME)]);
        let (Ok(name), Some(size), b'0') = (name, octal(&header[124..136]), header[156]) else {
            return wrong("a header is none that `lusk image export` writes");
        };
        Ok(Some((name.to_owned(), size)))
    }

    /// A small member's content.
    fn whole(&mut self, name: &str, size: u64) -> Result<Vec<u8>, Flaw> {
        if size > LARGEST_TEXT {
            return wrong(format!("`{name}` has {size} bytes, over {LARGEST_TEXT}"));
        }
        let start = self.file.stream_position()?;
        self.member(name.to_owned(), size)?;
        let end = self.file.stream_position()?;
        self.file.seek(SeekFrom::Start(start))?;
        let mut content = vec![0; size as usize];
        self.file.read_exact(&mut content)?;
        self.file.seek(SeekFrom::Start(end))?;
        Ok(content)
    }

    /// Hashes a member and notes where it is.
    fn member(&mut self, name: String, size: u64) -> Result<(), Flaw> {
        let start = self.file.stream_position()?;
        let padded = size.checked_next_multiple_of(BLOCK);
        let fits = padded.and_then(|padded| start.checked_add(padded));
        if fits.is_none_or(|end| end > self.length) {
            return wrong("it is cut off");
        }
        if self.members.len() >= MOST_MEMBERS {
            return wrong(format!("it holds more than {MOST_MEMBERS} members"));
        }
        let (digest, _) = upload::digest(io::Read::take(&mut *self.file, size))?;
        let mut padding = vec![0; (size.next_multiple_of(BLOCK) - size) as usize];
        self.file.read_exact(&mut padding)?;
        if padding.iter().any(|byte| *byte != 0) {
            return wrong(format!("`{name:.120}` goes on after its end"));
        }
        let member = Member {
            start,
            size,
            digest,
        };
        match self.members.insert(name.clone(), member) {
            None => Ok(()),
            Some(_) => wrong(format!("`{name:.120}` is in it twice")),
        }
    }

    /// Two empty blocks and nothing else.
    fn end(&mut self) -> Result<(), Flaw> {
        let rest = self.length - self.file.stream_position()?;
        let mut empty = [1; 2 * BLOCK as usize];
        if rest != empty.len() as u64 {
            return wrong("it does not end after its last member");
        }
        self.file.read_exact(&mut empty)?;
        match empty.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => wrong("it does not end after its last member"),
        }
    }

    /// Every member but the last must be what the last one says.
    fn compare(&self, sums: &[u8]) -> Result<(), Flaw> {
        let Ok(Value::Object(sums)) = serde_json::from_slice(sums) else {
            return wrong(format!("`{SUMS}` cannot be read"));
        };
        if sums.len() + 1 != self.members.len() {
            return wrong(format!(
                "it holds {} members, `{SUMS}` tells of {}",
                self.members.len() - 1,
                sums.len()
            ));
        }
        for (name, sum) in &sums {
            let Some(sum) = Sum::of(sum) else {
                return wrong(format!("`{SUMS}` cannot be read"));
            };
            let Some(member) = self.members.get(name) else {
                return wrong(format!("`{name:.120}` is missing"));
            };
            if (member.digest, member.size) != (sum.digest, sum.size) {
                return wrong(format!(
                    "`{name:.120}` has digest {}, {} was written",
                    member.digest, sum.digest
                ));
            }
        }
        Ok(())
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_end_matches(['\0', ' ']);
    u64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(blob: &[u8]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = Writer::new(&mut file);
        writer.text(DEFINITION, b"{}").await.unwrap();
        let parts =
            [&blob[..1], &blob[1..]].map(|part| Ok::<_, io::Error>(Bytes::copy_from_slice(part)));
        let (digest, size) = writer
            .member("blobs/sha256/x", futures::stream::iter(parts))
            .await
            .unwrap();
        assert_eq!((digest, size), (Digest::of(blob), blob.len() as u64));
        let length = writer.finish().await.unwrap();
        let mut content = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, length);
        content
    }

    fn checked(content: &[u8]) -> anyhow::Result<Archive> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        check(file.path())
    }

    #[tokio::test]
    async fn what_is_written_is_found_again() {
        let blob = vec![7; 1000];
        let content = written(&blob).await;
        let Archive::Service {
            definition,
            members,
        } = checked(&content).unwrap()
        else {
            panic!("no service");
        };
        assert_eq!(definition, b"{}");
        let member = members["blobs/sha256/x"];
        let start = member.start as usize;
        assert_eq!(&content[start..start + 1000], &blob[..]);
        assert_eq!((member.digest, members.len()), (Digest::of(&blob), 1));
    }

    #[tokio::test]
    async fn a_file_that_was_cut_off_anywhere_is_refused() {
        let content = written(b"content of a blob").await;
        for length in (BLOCK as usize..content.len()).step_by(100) {
            let error = checked(&content[..length]).unwrap_err().to_string();
            assert!(error.contains("is damaged"), "{length}: {error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_was_changed_anywhere_is_refused() {
        let content = written(&[7; 600]).await;
        for at in (BLOCK as usize..content.len()).step_by(7) {
            let mut changed = content.clone();
            changed[at] ^= 1;
            let error = checked(&changed).unwrap_err().to_string();
            assert!(error.contains("is damaged"), "{at}: {error}");
        }
        let mut longer = content.clone();
        longer.extend([0; 512]);
        assert!(checked(&longer).is_err());
    }

    #[test]
    fn other_files_are_left_to_others() {
        for content in [&b""[..], b"short", &[0; 4096], &[b'x'; 4096]] {
            assert!(matches!(checked(content), Ok(Archive::Other)));
        }
    }
}
