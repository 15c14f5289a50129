//! Builds the JavaScript runner component.
//!
//! Input: `runner/` (the JavaScript files), the WIT of `lusk-contract` and the
//! parts of WASI in `wit/`. The engine, QuickJS, comes compiled within the crate
//! componentize-qjs; nothing is downloaded, and no JavaScript of the caller's
//! machine is used.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use componentize_qjs::{ComponentizeOpts, Runtime, default_sync_runtime_wasm};
use sha2::{Digest, Sha256};

#[path = "build/graft.rs"]
mod graft;

/// Level for a release.
const RELEASE_LEVEL: i32 = 19;

/// Level for every other profile.
const QUICK_LEVEL: i32 = 9;

fn main() -> Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("no manifest folder")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").context("no output folder")?);
    let scoring = here.join("../contract/wit");
    let (own, runner) = (here.join("wit"), here.join("runner"));
    for input in [
        &scoring,
        &own,
        &runner,
        &here.join("build"),
        &here.join("build.rs"),
    ] {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    let wit = out.join("wit");
    stage(&own, &scoring, &wit)?;
    let component = generate(&wit, &runner)?;
    let digest: String = Sha256::digest(&component)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    fs::write(out.join("runner.wasm.zst"), compress(&component)?)?;
    println!("cargo::rustc-env=LUSK_JAVASCRIPT_DIGEST={digest}");
    Ok(())
}

/// Puts the packages together as the parser wants them: one folder each.
fn stage(own: &Path, scoring: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("while emptying {}", to.display()))?;
    }
    copy(own, to)?;
    let deps = to.join("deps");
    copy(&scoring.join("deps"), &deps)?;
    let folder = deps.join("scoring");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(scoring)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("while reading {}", from.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn generate(wit: &Path, runner: &Path) -> Result<Vec<u8>> {
    let engine = graft::with_jobs(default_sync_runtime_wasm())
        .context("while changing the JavaScript engine")?;
    let main = runner.join("main.js");
    let source = fs::read_to_string(&main).context("while reading main.js")?;
    let options = ComponentizeOpts {
        wit_path: wit,
        js_source: &source,
        js_path: Some(&main),
        module_root: Some(runner),
        world_name: Some("runner"),
        stub_wasi: false,
        disable_gc: false,
        runtime: Runtime::Custom(&engine),
    };
    let composition = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(componentize_qjs::componentize(&options))
        .context("while building the JavaScript runner component")?;
    Ok(graft::largest_component(&composition)?.to_vec())
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let level = if release { RELEASE_LEVEL } else { QUICK_LEVEL };
    zstd::encode_all(bytes, level).context("while compressing the component")
}
