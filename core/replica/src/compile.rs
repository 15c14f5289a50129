//! From a script file to machine code.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{self, Stdio},
    thread,
    time::Duration,
};

use tokio::{io::AsyncReadExt, process::Command};
use wasmtime::Engine;

use crate::{encode, engine};

/// Where code is compiled.
#[derive(Debug, Clone)]
pub enum CompileIn {
    /// On this process's blocking threads. What the compiler allocated stays
    /// with the process.
    ThisProcess,
    /// In a short-lived child: `<binary> compile-component <in> <out>`. Small
    /// inputs, which cost little memory, are compiled here all the same.
    Child(PathBuf),
}

/// Inputs up to this size are always compiled in this process: starting a
/// child takes longer than compiling them.
const SMALL_BYTES: usize = 1 << 20;

/// How long a child may compile. Python's 24 MB take 8 s of CPU.
const CHILD_LIMIT: Duration = Duration::from_secs(600);

/// How much a failing child's last words are kept.
const STDERR_BYTES: u64 = 8 << 10;

/// The sub-command that a child is started with.
const SUBCOMMAND: &str = "compile-component";

/// Why code was not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The input is not valid WebAssembly, or asks for what lusk lacks.
    #[error("{0}")]
    Invalid(String),
    /// A file could not be read or written.
    #[error("cannot access `{path}`")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The compiling process did not end as it should.
    #[error("the compiler {0}")]
    Child(String),
}

/// Compiles the component or core module in `input` (binary or text) and
/// writes the machine code to `output`: the body of the hidden sub-command
/// that [`CompileIn::Child`] starts. Ends the process when its standard input
/// does, which is when the one who started it is gone.
///
/// # Errors
/// The input cannot be compiled, or a file not be accessed.
pub fn compile_for_parent(input: &Path, output: &Path) -> Result<(), CompileError> {
    thread::spawn(|| {
        // Nothing is ever sent; an error is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(1)
    });
    compile_component(input, output)
}

fn compile_component(input: &Path, output: &Path) -> Result<(), CompileError> {
    let bytes = fs::read(input).map_err(io_error(input))?;
    let engine = engine::new_engine().map_err(invalid)?;
    let code = compile_here(&engine, &bytes)?;
    fs::write(output, code).map_err(io_error(output))
}

/// What a WebAssembly binary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Component,
    Module,
}

/// Tells components from core modules; `None` is neither.
pub(crate) fn flavour(wasm: &[u8]) -> Option<Flavour> {
    match wasm.get(..8)? {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0] => Some(Flavour::Component),
        [0, b'a', b's', b'm', 1, 0, 0, 0] => Some(Flavour::Module),
        _ => None,
    }
}

/// Brings text into binary form, and a module that is a component's body into
/// a component; refuses what is no WebAssembly.
pub(crate) fn to_binary(name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if bytes.starts_with(b"\x7fELF") {
        return Err(format!(
            "`{name}` is compiled code, not WebAssembly; lusk compiles scripts itself"
        ));
    }
    let wasm = match wat::parse_bytes(&bytes) {
        Ok(wasm) => wasm.into_owned(),
        Err(mut error) => {
            error.set_path(name);
            return Err(format!("`{name}` is not valid WebAssembly text: {error}"));
        }
    };
    match flavour(&wasm) {
        Some(Flavour::Module) if encode::is_component_body(&wasm) => encode::into_component(wasm)
            .map_err(|text| format!("`{name}` cannot be made a component: {text}")),
        Some(_) => Ok(wasm),
        None => Err(format!("`{name}` is not WebAssembly that lusk knows")),
    }
}

pub(crate) fn compile_here(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    match flavour(wasm) {
        Some(Flavour::Component) => engine.precompile_component(wasm).map_err(invalid),
        Some(Flavour::Module) => engine.precompile_module(wasm).map_err(invalid),
        None => Err(CompileError::Invalid(
            "the input is not WebAssembly".to_owned(),
        )),
    }
}

/// Compiles `wasm` into `output`, wherever `place` says.
pub(crate) async fn compile_to(
    engine: &Engine,
    place: &CompileIn,
    wasm: Vec<u8>,
    output: &Path,
    tmp: &Path,
) -> Result<(), CompileError> {
    match place {
        CompileIn::Child(binary) if wasm.len() > SMALL_BYTES => {
            compile_in_child(binary, &wasm, output, tmp).await
        }
        _ => {
            let (engine, output) = (engine.clone(), output.to_owned());
            tokio::task::spawn_blocking(move || {
                let code = compile_here(&engine, &wasm)?;
                fs::write(&output, code).map_err(io_error(&output))
            })
            .await
            .map_err(|error| CompileError::Child(format!("broke off: {error}")))?
        }
    }
}

async fn compile_in_child(
    binary: &Path,
    wasm: &[u8],
    output: &Path,
    tmp: &Path,
) -> Result<(), CompileError> {
    let input = tempfile::NamedTempFile::new_in(tmp).map_err(io_error(tmp))?;
    fs::write(input.path(), wasm).map_err(io_error(input.path()))?;
    let arguments = [
        OsStr::new(SUBCOMMAND),
        input.path().as_os_str(),
        output.as_os_str(),
    ];
    let mut child = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(io_error(binary))?;
    // Held to the end: a child whose parent was killed must not compute on.
    let _leash = child.stdin.take();
    let mut words = Vec::new();
    let stderr = child.stderr.take();
    let ended = tokio::time::timeout(CHILD_LIMIT, async {
        if let Some(stderr) = stderr {
            let mut stderr = stderr.take(STDERR_BYTES);
            stderr.read_to_end(&mut words).await?;
            tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await?;
        }
        child.wait().await
    })
    .await
    .map_err(|_| CompileError::Child(format!("did not end within {} s", CHILD_LIMIT.as_secs())))?
    .map_err(io_error(binary))?;
    match ended.code() {
        Some(0) => Ok(()),
        Some(_) => Err(CompileError::Invalid(
            String::from_utf8_lossy(&words).trim().to_owned(),
        )),
        None => Err(CompileError::Child(format!(
            "was killed ({ended}); it needs about 600 MB for the Python runner"
        ))),
    }
}

fn invalid(error: wasmtime::Error) -> CompileError {
    CompileError::Invalid(format!("{error:#}"))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> CompileError {
    let path = path.to_owned();
    move |source| CompileError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_binary_are_told_apart() {
        let module = to_binary("a.wat", b"(module)".to_vec()).unwrap();
        assert_eq!(flavour(&module), Some(Flavour::Module));
        let component = to_binary("a.wat", b"(component)".to_vec()).unwrap();
        assert_eq!(flavour(&component), Some(Flavour::Component));
        assert_eq!(to_binary("a.wasm", module.clone()), Ok(module));
    }

    #[test]
    fn a_syntax_error_names_file_and_line() {
        let text = b"(module\n  (func (export \"run\") i32.const))".to_vec();
        let message = to_binary("score.wat", text).unwrap_err();
        assert!(message.contains("score.wat:2:"), "{message}");
    }

    #[test]
    fn compiled_code_of_others_is_refused() {
        let engine = engine::new_engine().unwrap();
        let code = compile_here(&engine, b"\0asm\x01\0\0\0").unwrap();
        let message = to_binary("score.wasm", code).unwrap_err();
        assert!(message.contains("compiled code"), "{message}");
    }

    #[test]
    fn the_subcommand_writes_code() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        fs::write(&input, b"\0asm\x01\0\0\0").unwrap();
        compile_component(&input, &output).unwrap();
        assert!(fs::read(&output).unwrap().starts_with(b"\x7fELF"));
        fs::write(&input, b"\0asm\x09\0\0\0").unwrap();
        assert!(matches!(
            compile_component(&input, &output),
            Err(CompileError::Invalid(_))
        ));
    }
}
