//! Modules of JavaScript scripts: what `import` means, and the text behind it.
//!
//! The engine links modules itself; it asks its host which module a specifier
//! means and what is in it. Module names are paths as the script sees them,
//! below the app root, or names of modules that the runner carries.
//!
//! Invariant: nothing outside the app root is read, whatever links lie in it.

use std::{fs, path::Path};

use serde_json::Value;
use wasmtime::{StoreContextMut, component::Linker};

use crate::{
    context::Context,
    javascript::carried_module,
    models::{APP_ROOT, app_path, blocking, contained_file},
    wording,
};

/// The interface by which the engine asks.
const INTERFACE: &str = "local:init/module-loader";

/// Most bytes of one module.
const MAX_BYTES: u64 = 32 << 20;

/// What may be left out at the end of a specifier.
const ENDINGS: [&str; 5] = ["", ".js", ".mjs", "/index.js", "/index.mjs"];

/// Lets guests ask.
pub(crate) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut loader = linker.instance(INTERFACE)?;
    loader.func_wrap_async(
        "resolve",
        |store: StoreContextMut<'_, Context>, (referrer, specifier): (String, String)| {
            let root = store.data().app_root.clone();
            Box::new(async move {
                let answer = blocking(move || resolve(&root, &referrer, &specifier)).await;
                Ok((answer,))
            })
        },
    )?;
    loader.func_wrap_async(
        "load",
        |store: StoreContextMut<'_, Context>, (name,): (String,)| {
            let root = store.data().app_root.clone();
            Box::new(async move { Ok((blocking(move || load(&root, &name)).await,)) })
        },
    )?;
    Ok(())
}

/// The name of the module that `specifier` means in the module `referrer`.
fn resolve(root: &Path, referrer: &str, specifier: &str) -> Result<String, String> {
    if let Some(name) = carried_module(specifier) {
        return Ok(name.to_owned());
    }
    let folder = referrer.rsplit_once('/').map_or("", |(folder, _)| folder);
    let found = if specifier.starts_with('/') {
        file(root, specifier)
    } else if specifier.starts_with("./") || specifier.starts_with("../") {
        file(root, &format!("{folder}/{specifier}"))
    } else {
        package(root, folder, specifier)
    };
    found.ok_or_else(|| {
        format!(
            "module `{specifier}`, imported by `{referrer}`, is neither a file below {APP_ROOT} \
             nor carried by lusk"
        )
    })
}

/// The text of a module. JSON becomes a module with that value.
fn load(root: &Path, name: &str) -> Result<String, String> {
    let path = app_path(name)
        .and_then(|below| contained_file(root, &below))
        .ok_or_else(|| format!("module `{name}` is no file below {APP_ROOT}"))?;
    let unreadable = |error| format!("module `{name}` cannot be read: {error}");
    let size = fs::metadata(&path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(format!(
            "module `{name}` has {}, at most {} are possible",
            wording::bytes(size),
            wording::bytes(MAX_BYTES)
        ));
    }
    let text = fs::read_to_string(&path).map_err(unreadable)?;
    Ok(if is_json(name) {
        format!("export default {text}\n;")
    } else {
        text
    })
}

fn is_json(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// The module at a path as scripts write it.
fn file(root: &Path, path: &str) -> Option<String> {
    let below = app_path(path)?;
    ENDINGS.iter().find_map(|ending| {
        let below = format!("{below}{ending}");
        contained_file(root, &below)?;
        Some(format!("{APP_ROOT}/{below}"))
    })
}

/// A package in the nearest folder `node_modules` that has it.
fn package(root: &Path, folder: &str, specifier: &str) -> Option<String> {
    let mut parts = specifier.splitn(3, '/');
    let mut name = parts.next()?.to_owned();
    let mut inner = parts.next();
    if name.starts_with('@') {
        name = format!("{name}/{}", inner?);
        inner = parts.next();
    }
    let inner = inner.map(|_| &specifier[name.len() + 1..]);
    let mut folder = folder;
    loop {
        let home = format!("{folder}/node_modules/{name}");
        let found = match inner {
            Some(inner) => file(root, &format!("{home}/{inner}")),
            None => main_module(root, &home),
        };
        if found.is_some() {
            return found;
        }
        folder = folder.rsplit_once('/')?.0;
    }
}

fn main_module(root: &Path, home: &str) -> Option<String> {
    let described = app_path(&format!("{home}/package.json"))
        .and_then(|below| contained_file(root, &below))
        .and_then(|path| fs::read(path).ok())
        .and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let main = described.as_ref().and_then(main_of).unwrap_or("index.js");
    file(root, &format!("{home}/{main}"))
}

/// What `package.json` says is imported by the package's name.
fn main_of(described: &Value) -> Option<&str> {
    let exports = &described["exports"];
    let root = if exports["."].is_null() {
        exports
    } else {
        &exports["."]
    };
    let chosen = ["import", "default"].map(|condition| &root[condition]);
    [
        root,
        chosen[0],
        &chosen[0]["default"],
        chosen[1],
        &described["module"],
        &described["main"],
    ]
    .into_iter()
    .find_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join("app").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn specifiers_mean_what_they_mean_in_node() {
        let folder = folder(&[
            ("score.js", ""),
            ("lib/a.js", ""),
            ("lib/b.mjs", ""),
            ("lib/deep/index.js", ""),
            ("labels.json", "[]"),
            ("node_modules/plain/index.js", ""),
            ("node_modules/main/package.json", r#"{"main": "dist/x.js"}"#),
            ("node_modules/main/dist/x.js", ""),
            ("node_modules/main/y.js", ""),
            (
                "node_modules/@scope/new/package.json",
                r#"{"exports": {".": {"import": {"default": "./esm.mjs"}, "require": "./c.cjs"}}}"#,
            ),
            ("node_modules/@scope/new/esm.mjs", ""),
        ]);
        let root = folder.path().join("app");
        for (referrer, specifier, expected) in [
            ("score.js", "./lib/a.js", "lib/a.js"),
            ("score.js", "./lib/a", "lib/a.js"),
            ("score.js", "./lib/b", "lib/b.mjs"),
            ("score.js", "./lib/deep", "lib/deep/index.js"),
            ("lib/a.js", "../score.js", "score.js"),
            ("lib/a.js", "./../labels.json", "labels.json"),
            ("lib/a.js", "/var/azureml-app/lib/b.mjs", "lib/b.mjs"),
            ("score.js", "plain", "node_modules/plain/index.js"),
            ("lib/a.js", "main", "node_modules/main/dist/x.js"),
            ("score.js", "main/y.js", "node_modules/main/y.js"),
            ("score.js", "@scope/new", "node_modules/@scope/new/esm.mjs"),
        ] {
            let found = resolve(&root, &format!("{APP_ROOT}/{referrer}"), specifier);
            assert_eq!(found, Ok(format!("{APP_ROOT}/{expected}")), "{specifier}");
        }
        for specifier in ["./nothing.js", "nothing", "@scope", "./lib", "", "node:fs"] {
            let refused = resolve(&root, "/var/azureml-app/score.js", specifier).unwrap_err();
            assert!(
                refused.contains(&format!("module `{specifier}`")),
                "{refused}"
            );
        }
    }

    #[test]
    fn nothing_outside_the_app_root_is_read() {
        let folder = folder(&[("score.js", "1"), ("labels.json", "[1]")]);
        let root = folder.path().join("app");
        fs::write(folder.path().join("secret.js"), "SECRET").unwrap();
        symlink(folder.path().join("secret.js"), root.join("link.js")).unwrap();
        let score = "/var/azureml-app/score.js";
        for path in [
            "../secret.js",
            "./link.js",
            "/etc/passwd",
            "/secret.js",
            "/score.js",
        ] {
            assert!(resolve(&root, score, path).is_err(), "{path}");
        }
        for name in [
            "/var/azureml-app/link.js",
            "/var/azureml-app/../secret.js",
            "/etc/passwd",
        ] {
            assert!(load(&root, name).is_err(), "{name}");
        }
        assert_eq!(load(&root, score), Ok("1".to_owned()));
        let json = load(&root, "/var/azureml-app/labels.json");
        assert_eq!(json, Ok("export default [1]\n;".to_owned()));
    }
}
