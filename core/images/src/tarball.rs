//! Reads tar archives that others wrote: layers and exported images.
//!
//! The content is hostile until proven otherwise. Every bound is checked while
//! streaming, before anything is kept: entries, bytes, how much more comes out
//! of a compressed stream than went in, and the bytes of names and other
//! extensions, which the tar reader holds in memory.

use std::{
    cell::Cell,
    io::{self, BufReader, Read},
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use lusk_contract::ImageError;

use crate::disk::{Refusal, verdict};

/// Most entries of an image.
pub(crate) const MAX_ENTRIES: u64 = 200_000;

/// Most bytes of an image, unpacked.
pub(crate) const MAX_UNPACKED: u64 = 10 << 30;

/// How much more may come out of a compressed stream than went in, once it is
/// worth a look. Source code makes 5, tables of numbers 30.
const MAX_RATIO: u64 = 200;

/// What may come out of a stream whatever its ratio.
const FREE_BYTES: u64 = 16 << 20;

/// Most bytes of the headers of one entry, long names included.
const MAX_HEADERS: u64 = 1 << 20;

/// Longest path of an entry, in bytes.
const MAX_PATH: usize = 4_096;

/// Most folders an entry may be below; what walks them recurses.
const MAX_DEPTH: usize = 100;

/// What an image may still take.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            entries: MAX_ENTRIES,
            bytes: MAX_UNPACKED,
        }
    }
}

impl Budget {
    /// Takes from it.
    pub(crate) fn take(&mut self, entries: u64, bytes: u64) -> Result<(), ImageError> {
        let Some(entries) = self.entries.checked_sub(entries) else {
            return Err(ImageError::Refused(format!(
                "more than {MAX_ENTRIES} files and folders"
            )));
        };
        let Some(bytes) = self.bytes.checked_sub(bytes) else {
            return Err(ImageError::Refused(too_large()));
        };
        (self.entries, self.bytes) = (entries, bytes);
        Ok(())
    }
}

fn too_large() -> String {
    format!("more than {} GiB unpacked", MAX_UNPACKED >> 30)
}

/// An entry of an archive.
pub(crate) type Entry<'a, 'r> = tar::Entry<'a, Metered<'r>>;

/// Reads a layer whole and shows its entries in their order.
pub(crate) fn walk(
    what: &str,
    media_type: &str,
    source: &mut dyn Read,
    budget: &mut Budget,
    mut show: impl FnMut(&mut Entry<'_, '_>) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let meter = Rc::new(Meter::new(budget.bytes));
    let counted = Counted {
        inner: source,
        meter: Rc::clone(&meter),
    };
    let refused = |error: io::Error| verdict(what, &error);
    let reader = Metered {
        inner: decompressed(media_type, counted).map_err(refused)?,
        meter: Rc::clone(&meter),
    };
    let mut archive = tar::Archive::new(reader);
    let mut entries = archive.entries().map_err(refused)?;
    loop {
        meter.headers.set(Some(MAX_HEADERS));
        let Some(entry) = entries.next() else {
            break;
        };
        let mut entry = entry.map_err(refused)?;
        meter.headers.set(None);
        budget.take(1, 0).map_err(|error| named(what, error))?;
        show(&mut entry)?;
    }
    meter.headers.set(None);
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(refused)?;
    budget.bytes = budget.bytes.saturating_sub(meter.out.get());
    Ok(())
}

fn named(what: &str, error: ImageError) -> ImageError {
    match error {
        ImageError::Refused(text) => ImageError::Refused(format!("{what}: {text}")),
        other => other,
    }
}

fn decompressed<'r>(media_type: &str, source: Counted<'r>) -> io::Result<Box<dyn Read + 'r>> {
    let plain = media_type.trim_end_matches("+zstd") == media_type;
    Ok(if !plain {
        Box::new(zstd::Decoder::new(source)?)
    } else if media_type.ends_with("+gzip") || media_type.ends_with(".gzip") {
        Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(source)))
    } else if media_type.ends_with(".tar") {
        Box::new(source)
    } else {
        return Err(Refusal::into_io(format!(
            "its media type is `{media_type:.100}`; tar layers are read, plain or compressed by \
             zstd or gzip"
        )));
    })
}

/// Where an entry may be put: its path without `.`; none for the root itself.
pub(crate) fn inner_path(path: &Path) -> Result<Option<PathBuf>, String> {
    let shown = || format!("`{:.200}`", path.display().to_string());
    let depth = path.components().count();
    if depth > MAX_DEPTH {
        return Err(format!(
            "the path {} is {depth} folders deep, at most {MAX_DEPTH} are taken",
            shown()
        ));
    }
    if path.as_os_str().len() > MAX_PATH {
        return Err(format!(
            "the path {} has more than {MAX_PATH} bytes",
            shown()
        ));
    }
    let mut inner = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => inner.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!("the path {} leads out of its folder", shown()));
            }
        }
    }
    Ok((!inner.as_os_str().is_empty()).then_some(inner))
}

/// Counts what goes through the readers.
#[derive(Debug)]
struct Meter {
    /// Read from the source.
    taken: Cell<u64>,
    /// Unpacked.
    out: Cell<u64>,
    most: u64,
    /// Left for the headers of the next entry, while they are read.
    headers: Cell<Option<u64>>,
}

impl Meter {
    fn new(most: u64) -> Self {
        Self {
            taken: Cell::new(0),
            out: Cell::new(0),
            most,
            headers: Cell::new(None),
        }
    }

    fn pass(&self, count: u64) -> io::Result<()> {
        let out = self.out.get() + count;
        self.out.set(out);
        if out > self.most {
            return Err(Refusal::into_io(too_large()));
        }
        let taken = self.taken.get();
        if out > FREE_BYTES && out / MAX_RATIO > taken {
            return Err(Refusal::into_io(format!(
                "{taken} bytes unpack to more than {MAX_RATIO} times as many; it looks like a \
                 decompression bomb"
            )));
        }
        if let Some(left) = self.headers.get() {
            let left = left.checked_sub(count).ok_or_else(|| {
                Refusal::into_io(format!(
                    "the headers of an entry have more than {MAX_HEADERS} bytes"
                ))
            })?;
            self.headers.set(Some(left));
        }
        Ok(())
    }
}

/// Counts what is read from a source.
struct Counted<'r> {
    inner: &'r mut dyn Read,
    meter: Rc<Meter>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter.taken.set(self.meter.taken.get() + count as u64);
        Ok(count)
    }
}

/// Holds unpacked content to its bounds.
pub(crate) struct Metered<'r> {
    inner: Box<dyn Read + 'r>,
    meter: Rc<Meter>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter.pass(count as u64)?;
        Ok(count)
    }
}
