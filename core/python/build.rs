//! Builds the Python runner component.
//!
//! Input: `runner/` (the Python files) and the WIT of `lusk-contract`. Nothing
//! of the caller's own Python is used: the interpreter and its library come
//! from the crate componentize-py, and the guest sees only what is mounted here.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use componentize_py::ComponentGenerator;
use sha2::{Digest, Sha256};

/// Level for a release: 7.9 MB instead of 8.6, for 15 s of CPU time instead of one.
const RELEASE_LEVEL: i32 = 19;

/// Level for every other profile.
const QUICK_LEVEL: i32 = 9;

fn main() -> Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("no manifest folder")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").context("no output folder")?);
    let wit = here.join("../contract/wit");
    let runner = here.join("runner");
    for input in [&wit, &runner, &here.join("build.rs")] {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    let staged = out.join("runner");
    stage(&runner, &staged)?;
    let component = out.join("runner.wasm");
    generate(&wit, &staged, &component)?;
    let bytes = fs::read(&component).context("while reading the component")?;
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    fs::write(out.join("runner.wasm.zst"), compress(&bytes)?)?;
    println!("cargo::rustc-env=LUSK_PYTHON_DIGEST={digest}");
    Ok(())
}

/// Copies the Python files, because the interpreter writes `__pycache__` beside them.
fn stage(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("while emptying {}", to.display()))?;
    }
    copy_python(from, to)
}

fn copy_python(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("while reading {}", from.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "__pycache__" {
                copy_python(&path, &to.join(name))?;
            }
        } else if path.extension().is_some_and(|extension| extension == "py") {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn generate(wit: &Path, python: &Path, component: &Path) -> Result<()> {
    let python = python
        .to_str()
        .context("the target folder's path is not UTF-8")?;
    let names = HashMap::new();
    let generator = ComponentGenerator {
        wit_paths: &[wit],
        worlds: &["lusk:scoring/entry-script"],
        features: &[],
        all_features: false,
        world_module: None,
        python_path: &[python],
        module_worlds: &[],
        app_name: "lusk_app",
        output_path: component,
        add_to_linker: None,
        stub_wasi: false,
        import_interface_names: &names,
        export_interface_names: &names,
        full_names: false,
        intersect_world: None,
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(generator.generate())
        .context("while building the Python runner component")
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let level = if release { RELEASE_LEVEL } else { QUICK_LEVEL };
    zstd::encode_all(bytes, level).context("while compressing the component")
}
