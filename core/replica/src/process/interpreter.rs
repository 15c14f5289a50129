//! The Python of this machine that runs a script.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use lusk_contract::{Revision, StartError, StartErrorKind};
use lusk_domain::FailureDetail;
use rustix::fs::{Access, access};
use tokio::process::Command;

use crate::wording;

/// What is run when nothing is named.
const DEFAULT: &str = "python3";

/// The oldest Python that the native runner works with.
const OLDEST: (u32, u32) = (3, 8);

/// How long an interpreter may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// A Python that was tried.
#[derive(Debug)]
pub(super) struct Interpreter {
    /// Where it is; links are kept, because a virtual environment is known by its path.
    pub(super) path: PathBuf,
    /// Its version, e.g. `3.11.7`.
    pub(super) version: String,
}

/// Finds the revision's interpreter and asks for its version.
pub(super) async fn find(revision: &Revision) -> Result<Interpreter, StartError> {
    let named = revision.image.as_ref();
    let named = named.and_then(|image| image.interpreter.as_deref());
    let named = named.unwrap_or(Path::new(DEFAULT));
    let path = locate(named, &revision.app_root, env::var_os("PATH").as_deref())?;
    let (version, executable) = ask(&path).await?;
    if read_version(&version) < Some(OLDEST) {
        let (major, minor) = OLDEST;
        return Err(not_usable(format!(
            "the interpreter `{}` is Python {version}, the `process` runtime needs {major}.{minor} or newer; name another as `interpreterPath`",
            path.display()
        )));
    }
    // What is on PATH may be a stand-in that looks for the real one each time.
    let path = match executable {
        Some(executable) if is_bare(named) => executable,
        _ => path,
    };
    Ok(Interpreter { path, version })
}

/// Where the interpreter is: a bare name on `PATH`, a relative path below the
/// app root.
fn locate(
    named: &Path,
    app_root: &Path,
    search: Option<&std::ffi::OsStr>,
) -> Result<PathBuf, StartError> {
    if !is_bare(named) {
        let path = app_root.join(named);
        return match access(&path, Access::EXEC_OK) {
            Ok(()) if path.is_file() => Ok(path),
            Ok(()) => Err(missing(&path, "it is no file")),
            Err(error) => Err(missing(&path, &error.to_string())),
        };
    }
    let folders = search.map(env::split_paths).into_iter().flatten();
    let mut candidates = folders.map(|folder| folder.join(named));
    candidates
        .find(|path| path.is_absolute() && path.is_file() && access(path, Access::EXEC_OK).is_ok())
        .ok_or_else(|| {
            not_usable(format!(
                "the interpreter `{}` is not on PATH ({}); install Python, or name one by its path as `interpreterPath`",
                named.display(),
                search.map_or_else(|| "unset".into(), |path| path.to_string_lossy())
            ))
        })
}

fn is_bare(named: &Path) -> bool {
    named.components().count() == 1
}

/// The interpreter's version, and where it says that it is.
async fn ask(path: &Path) -> Result<(String, Option<PathBuf>), StartError> {
    let kept = ["LD_LIBRARY_PATH", "PATH"];
    let child = Command::new(path)
        .args(["-S", "-s", "-E", "-c"])
        .arg("import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)")
        .env_clear()
        .envs(
            kept.into_iter()
                .filter_map(|name| Some((name, env::var_os(name)?))),
        )
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(VERSION_LIMIT, child)
        .await
        .map_err(|_| {
            let limit = wording::duration(VERSION_LIMIT);
            not_a_python(path, &format!("it did not tell its version within {limit}"))
        })?
        .map_err(|error| not_a_python(path, &error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let (version, executable) = said.trim().split_once('\n').unwrap_or((said.trim(), ""));
    if !output.status.success() || read_version(version).is_none() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint = complaint.trim().lines().last().unwrap_or(version);
        return Err(not_a_python(
            path,
            &format!("{}: {complaint}", output.status),
        ));
    }
    let executable = Path::new(executable);
    let executable = (executable.is_absolute() && executable.is_file()).then(|| executable.into());
    Ok((version.to_owned(), executable))
}

fn read_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn missing(path: &Path, reason: &str) -> StartError {
    not_usable(format!(
        "the interpreter `{}` cannot be executed: {reason}; install it there, or correct `interpreterPath`",
        path.display()
    ))
}

fn not_a_python(path: &Path, reason: &str) -> StartError {
    not_usable(format!(
        "the interpreter `{}` is not a Python that works: {reason}; correct `interpreterPath`",
        path.display()
    ))
}

/// The environment of a revision is at fault.
pub(super) fn not_usable(message: String) -> StartError {
    StartError {
        kind: StartErrorKind::EnvironmentNotUsable,
        details: vec![FailureDetail {
            code: "EnvironmentNotUsable".to_owned(),
            message: message.clone(),
        }],
        message,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn file(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\necho 3.7.9\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn bare_names_are_looked_up_and_paths_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        file(&at("one/snake"), 0o644);
        file(&at("two/snake"), 0o755);
        let search = env::join_paths([at("one"), at("two")]).unwrap();
        let found = |name: &str| locate(Path::new(name), folder.path(), Some(&search));
        assert_eq!(found("snake").unwrap(), at("two/snake"));
        assert_eq!(found("two/snake").unwrap(), at("two/snake"));
        for (name, words) in [
            ("adder", "the interpreter `adder` is not on PATH ("),
            ("one/snake", "one/snake` cannot be executed: "),
            ("two", "`two` is not on PATH"),
            ("/nowhere/snake", "`/nowhere/snake` cannot be executed: "),
        ] {
            let error = found(name).unwrap_err();
            assert!(error.message.contains(words), "{error}");
            assert_eq!(error.kind, StartErrorKind::EnvironmentNotUsable);
        }
    }

    #[tokio::test]
    async fn what_is_no_python_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snake");
        file(&path, 0o755);
        assert_eq!(ask(&path).await.unwrap(), ("3.7.9".to_owned(), None));
        let error = ask(Path::new("/bin/false")).await.unwrap_err();
        assert!(
            error.message.contains("`/bin/false` is not a Python"),
            "{error}"
        );
    }
}
