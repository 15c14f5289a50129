//! The cache of compiled code in the data folder's `aot/`.
//!
//! An entry is `<digest>-<compatibility>.cwasm` and, beside it, a `.check` with
//! its length and CRC-32. Loading maps an entry as code without looking at it,
//! so only a file that passes its check is loaded; any other is compiled anew.
//! Files are 0600 in a folder of 0700 and appear by rename. Compiled code never
//! comes from a user. The folder may be deleted at any time.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lusk_domain::Digest;
use tokio::sync::Mutex;
use wasmtime::{Engine, Module, component::Component};

use crate::{
    compile::{CompileError, CompileIn, Flavour, compile_to, flavour},
    engine,
    models::blocking,
};

/// How names of unfinished files begin.
const TEMPORARY: &str = ".new-";

/// Machine code, mapped into the process.
#[derive(Clone)]
pub(crate) enum Code {
    Component(Component),
    Module(Module),
}

/// Code and where it came from.
pub(crate) struct Loaded {
    pub(crate) code: Code,
    /// How long compiling took; `None` if the cache had it.
    pub(crate) compiled_in: Option<Duration>,
}

/// Why no code could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AotError {
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The cache could not be read or written.
    #[error("cannot access the code cache at `{path}`")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was compiled could not be mapped.
    #[error("compiled code could not be loaded: {0}")]
    Load(String),
}

/// The cache.
#[derive(Debug)]
pub(crate) struct AotCache {
    engine: Engine,
    compatibility: String,
    folder: PathBuf,
    tmp: PathBuf,
    place: CompileIn,
    /// Held while compiling: two deployments of one script compile it once,
    /// and memory for one compilation is enough.
    compiling: Mutex<()>,
}

impl AotCache {
    pub(crate) fn open(
        engine: Engine,
        folder: PathBuf,
        tmp: PathBuf,
        place: CompileIn,
    ) -> Result<Self, AotError> {
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            .map_err(io_error(&folder))?;
        remove_leftovers(&folder).map_err(io_error(&folder))?;
        Ok(Self {
            compatibility: engine::compatibility(&engine),
            engine,
            folder,
            tmp,
            place,
            compiling: Mutex::new(()),
        })
    }

    /// The code of the WebAssembly binary with this digest; `wasm` is asked
    /// for the binary when it must be compiled.
    pub(crate) async fn load(
        &self,
        digest: &str,
        kind: Flavour,
        wasm: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static,
    ) -> Result<Loaded, AotError> {
        if let Some(code) = self.find(digest, kind).await {
            return Ok(Loaded {
                code,
                compiled_in: None,
            });
        }
        let _turn = self.compiling.lock().await;
        if let Some(code) = self.find(digest, kind).await {
            return Ok(Loaded {
                code,
                compiled_in: None,
            });
        }
        let started = Instant::now();
        let code = self.compile(digest, kind, wasm).await?;
        Ok(Loaded {
            code,
            compiled_in: Some(started.elapsed()),
        })
    }

    /// Whether the cache seems to have the code; it may still turn out damaged.
    pub(crate) fn has(&self, digest: &str) -> bool {
        seal_path(&self.entry(digest)).exists()
    }

    async fn compile(
        &self,
        digest: &str,
        kind: Flavour,
        wasm: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static,
    ) -> Result<Code, AotError> {
        let wasm = blocking(wasm).await.map_err(io_error(&self.tmp))?;
        debug_assert_eq!(flavour(&wasm), Some(kind));
        let entry = self.entry(digest);
        let file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(&self.folder)
            .map_err(io_error(&self.folder))?;
        compile_to(&self.engine, &self.place, wasm, file.path(), &self.tmp).await?;
        let engine = self.engine.clone();
        blocking(move || {
            let seal = Seal::of(file.path()).map_err(io_error(file.path()))?;
            file.as_file().sync_all().map_err(io_error(file.path()))?;
            file.persist(&entry)
                .map_err(|error| io_error(&entry)(error.error))?;
            seal.write(&entry)?;
            map_code(&engine, &entry, kind).map_err(|error| AotError::Load(format!("{error:#}")))
        })
        .await
    }

    /// The entry if it is whole.
    async fn find(&self, digest: &str, kind: Flavour) -> Option<Code> {
        let (engine, entry) = (self.engine.clone(), self.entry(digest));
        blocking(move || {
            let wanted = Seal::read(&entry)?;
            if Seal::of(&entry).ok()? != wanted {
                tracing::warn!(entry = %entry.display(), "compiled code is damaged and is made anew");
                return None;
            }
            map_code(&engine, &entry, kind)
                .inspect_err(|error| {
                    tracing::warn!(entry = %entry.display(), %error, "compiled code does not load and is made anew");
                })
                .ok()
        })
        .await
    }

    fn entry(&self, digest: &str) -> PathBuf {
        entry(&self.folder, &self.compatibility, digest)
    }
}

fn entry(folder: &Path, compatibility: &str, digest: &str) -> PathBuf {
    folder.join(format!("{digest}-{compatibility}.cwasm"))
}

/// Whether the cache in `folder`, which need not be there, seems to have the code.
pub(crate) fn is_stored(engine: &Engine, folder: &Path, digest: &str) -> bool {
    let compatibility = engine::compatibility(engine);
    seal_path(&entry(folder, &compatibility, digest)).exists()
}

/// The digest of a script's binary as entries are named.
pub(crate) fn key(wasm: &[u8]) -> String {
    Digest::of(wasm).to_hex()
}

/// Maps compiled code into the process.
#[allow(
    unsafe_code,
    reason = "wasmtime cannot check code that it maps; this is the one place"
)]
fn map_code(engine: &Engine, entry: &Path, kind: Flavour) -> wasmtime::Result<Code> {
    match kind {
        // SAFETY: the file was written by wasmtime's own compiler, in this
        // process or a child of the same binary, into a folder that only this
        // user can write; its length and checksum were just compared with
        // those noted then; and nothing but a rename ever replaces it, so the
        // mapping stays as it is.
        Flavour::Component => {
            unsafe { Component::deserialize_file(engine, entry) }.map(Code::Component)
        }
        // SAFETY: as above.
        Flavour::Module => unsafe { Module::deserialize_file(engine, entry) }.map(Code::Module),
    }
}

/// Length and checksum of an entry.
#[derive(Debug, PartialEq, Eq)]
struct Seal {
    length: u64,
    crc: u32,
}

impl Seal {
    fn of(entry: &Path) -> io::Result<Self> {
        let mut file = fs::File::open(entry)?;
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        let mut length = 0;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => {
                    hasher.update(&buffer[..read]);
                    length += read as u64;
                }
            }
        }
        Ok(Self {
            length,
            crc: hasher.finalize(),
        })
    }

    fn read(entry: &Path) -> Option<Self> {
        let text = fs::read_to_string(seal_path(entry)).ok()?;
        let (length, crc) = text.trim_end().split_once(' ')?;
        Some(Self {
            length: length.parse().ok()?,
            crc: u32::from_str_radix(crc, 16).ok()?,
        })
    }

    fn write(&self, entry: &Path) -> Result<(), AotError> {
        let path = seal_path(entry);
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(folder)
            .map_err(io_error(folder))?;
        fs::write(file.path(), format!("{} {:08x}\n", self.length, self.crc))
            .map_err(io_error(file.path()))?;
        file.persist(&path)
            .map_err(|error| io_error(&path)(error.error))?;
        Ok(())
    }
}

/// Removes what a process that was killed had not finished.
fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(TEMPORARY.as_bytes())
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn seal_path(entry: &Path) -> PathBuf {
    entry.with_extension("check")
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> AotError + use<> {
    let path = path.to_owned();
    move |source| AotError::Io {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";

    fn cache(folder: &Path) -> AotCache {
        AotCache::open(
            engine::new_engine().unwrap(),
            folder.join("aot"),
            folder.to_owned(),
            CompileIn::ThisProcess,
        )
        .unwrap()
    }

    async fn load(cache: &AotCache) -> Loaded {
        cache
            .load(&key(MODULE), Flavour::Module, || Ok(MODULE.to_vec()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_second_load_finds_what_the_first_compiled() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(&cache(folder.path())).await.compiled_in.is_some());
        assert!(load(&cache(folder.path())).await.compiled_in.is_none());
    }

    #[tokio::test]
    async fn unfinished_files_are_removed_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        load(&cache(folder.path())).await;
        let leftover = folder.path().join("aot").join(format!("{TEMPORARY}x"));
        fs::write(&leftover, "half").unwrap();
        assert!(load(&cache(folder.path())).await.compiled_in.is_none());
        assert!(!leftover.exists());
    }

    #[tokio::test]
    async fn files_belong_to_the_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        load(&cache(folder.path())).await;
        for entry in fs::read_dir(folder.path().join("aot")).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn a_damaged_entry_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        load(&cache).await;
        let entry = cache.entry(&key(MODULE));
        let whole = fs::read(&entry).unwrap();
        for damaged in [whole[..whole.len() / 2].to_vec(), b"nonsense".to_vec(), {
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            flipped
        }] {
            fs::write(&entry, damaged).unwrap();
            assert!(load(&cache).await.compiled_in.is_some());
            assert_eq!(fs::read(&entry).unwrap(), whole);
        }
        fs::remove_file(seal_path(&entry)).unwrap();
        assert!(load(&cache).await.compiled_in.is_some());
        assert!(load(&cache).await.compiled_in.is_none());
    }

    #[tokio::test]
    async fn code_of_another_engine_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        load(&cache).await;
        let entry = cache.entry(&key(MODULE));
        let foreign = Engine::default().precompile_module(MODULE).unwrap();
        fs::write(&entry, foreign).unwrap();
        Seal::of(&entry).unwrap().write(&entry).unwrap();
        assert!(load(&cache).await.compiled_in.is_some());
    }
}
