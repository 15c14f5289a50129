//! The tools of this machine that install Python packages, and its Pythons.
//!
//! Nothing is downloaded that nobody asked for: `uv` never fetches a Python.
//! Tools get a short list of variables instead of this program's environment.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use lusk_contract::ImageError;
use pep440_rs::{Version, VersionSpecifiers};

mod run;

pub(crate) use run::{Said, Tool};

/// Longest time that one call of a tool may take; `LUSK_BUILD_TIMEOUT_S` sets another.
pub(crate) const BUILD_TIMEOUT: Duration = Duration::from_mins(30);

/// Longest time that a Python may take to say its version.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Variables that a tool gets when they are set.
const KEPT: [&str; 28] = [
    "ALL_PROXY",
    "CC",
    "CFLAGS",
    "CPATH",
    "CURL_CA_BUNDLE",
    "CXX",
    "CXXFLAGS",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LDFLAGS",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "NETRC",
    "NO_PROXY",
    "PATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "XDG_DATA_HOME",
];

/// The user's settings of the tools and of what chooses a Python.
const KEPT_STARTS: [&str; 3] = ["UV_", "PIP_", "PYENV_"];

/// What a tool gets besides.
const GIVEN: [(&str, &str); 7] = [
    ("NO_COLOR", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PIP_NO_INPUT", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    // So that what is built from sources does not hold the time of the build.
    ("SOURCE_DATE_EPOCH", "315532800"),
    ("UV_NO_PROGRESS", "1"),
    ("UV_PYTHON_DOWNLOADS", "never"),
];

/// A Python of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Python {
    /// The program itself, no shim.
    pub(crate) program: PathBuf,
    /// E.g. `3.11.7`.
    pub(crate) version: Version,
}

impl Python {
    /// E.g. `3.11`.
    pub(crate) fn minor(&self) -> String {
        let release = self.version.release();
        let part = |index| release.get(index).copied().unwrap_or_default();
        format!("{}.{}", part(0), part(1))
    }
}

/// What this machine has.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    variables: Vec<(OsString, OsString)>,
    /// Of one call.
    pub(crate) timeout: Duration,
}

impl Tools {
    /// As the environment of this program says.
    pub(crate) fn of_machine() -> Self {
        let timeout = env::var("LUSK_BUILD_TIMEOUT_S").ok();
        let timeout = timeout.and_then(|seconds| seconds.trim().parse().ok());
        Self::new(
            env::vars_os(),
            timeout.map_or(BUILD_TIMEOUT, Duration::from_secs),
        )
    }

    /// As `variables` say.
    pub(crate) fn new(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        timeout: Duration,
    ) -> Self {
        Self {
            variables: variables.into_iter().collect(),
            timeout,
        }
    }

    /// `LUSK_UV`, else `uv` on `PATH`.
    pub(crate) fn uv(&self) -> Result<Option<PathBuf>, ImageError> {
        let Some(named) = self.variable("LUSK_UV") else {
            return Ok(self.on_path("uv"));
        };
        let path = PathBuf::from(named);
        if is_program(&path) {
            return Ok(Some(path));
        }
        Err(ImageError::Build {
            message: format!(
                "LUSK_UV is `{}`, which is no program; give the path of `uv`, or unset it",
                path.display()
            ),
            log: String::new(),
        })
    }

    /// `python3`, else `python`, of `PATH`.
    pub(crate) fn default_python(&self) -> Option<Python> {
        let named = |name| self.on_path(name).and_then(|path| self.probe(&path));
        named("python3").or_else(|| named("python"))
    }

    /// The Python of a minor version, e.g. `3.11`: the default one, one by
    /// that name, one that `uv` knows.
    pub(crate) fn python(&self, minor: &str) -> Option<Python> {
        let is_it = |python: &Python| python.minor() == minor;
        self.default_python()
            .filter(is_it)
            .or_else(|| {
                let path = self.on_path(&format!("python{minor}"))?;
                self.probe(&path).filter(is_it)
            })
            .or_else(|| self.uv_python(minor).filter(is_it))
    }

    /// The best Python for these bounds: the default one, else the newest that fits.
    pub(crate) fn python_within(&self, bounds: &VersionSpecifiers) -> Option<Python> {
        let fits = |python: &Python| bounds.contains(&python.version);
        self.default_python().filter(fits).or_else(|| {
            let minors = (MINORS.0..=MINORS.1).rev();
            minors
                .map(|minor| format!("3.{minor}"))
                .filter(|minor| may_hold(bounds, minor))
                .find_map(|minor| self.python(&minor).filter(fits))
        })
    }

    /// Whether `python` can run `pip`.
    pub(crate) fn has_pip(&self, python: &Python) -> bool {
        let mut tool = self.tool(&python.program, Path::new("/"));
        tool.args(["-I", "-m", "pip", "--version"]);
        tool.timeout = PROBE_TIMEOUT;
        tool.run(&|_| {}).is_ok_and(|said| said.success)
    }

    /// A call of `program` with temporary files and its working folder in `tmp`.
    pub(crate) fn tool(&self, program: &Path, tmp: &Path) -> Tool {
        let mut variables: BTreeMap<OsString, OsString> = self
            .variables
            .iter()
            .filter(|(name, _)| is_kept(name))
            .cloned()
            .collect();
        let given = GIVEN.map(|(name, value)| (name.into(), value.into()));
        variables.extend(given);
        variables.insert("TMPDIR".into(), tmp.into());
        Tool::new(program, tmp, variables, self.timeout)
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.variables.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_os_str())
    }

    fn on_path(&self, name: &str) -> Option<PathBuf> {
        let path = self.variable("PATH")?;
        env::split_paths(path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| is_program(path))
    }

    fn uv_python(&self, minor: &str) -> Option<Python> {
        let uv = self.uv().ok().flatten()?;
        let mut tool = self.tool(&uv, Path::new("/"));
        tool.args(["python", "find", "--no-project", minor]);
        tool.timeout = PROBE_TIMEOUT;
        let said = tool.run(&|_| {}).ok().filter(|said| said.success)?;
        self.probe(Path::new(said.out.last()?.trim()))
    }

    /// Asks a Python who it is. A shim that has none says nothing.
    fn probe(&self, path: &Path) -> Option<Python> {
        let changed = fs::metadata(path).and_then(|it| it.modified()).ok()?;
        let key = (path.to_owned(), changed);
        if let Some(python) = known(&key).filter(|python| is_program(&python.program)) {
            return Some(python);
        }
        let mut tool = self.tool(path, Path::new("/"));
        tool.args(["-I", "-S", "-c", WHO]);
        tool.timeout = PROBE_TIMEOUT;
        let said = tool.run(&|_| {}).ok().filter(|said| said.success)?;
        let python = match said.out.as_slice() {
            [.., version, program] => Python {
                program: PathBuf::from(program),
                version: Version::from_str(version).ok()?,
            },
            _ => return None,
        };
        let mut probed = PROBED.lock().unwrap_or_else(PoisonError::into_inner);
        probed.insert(key, python.clone());
        Some(python)
    }
}

fn known(key: &(PathBuf, SystemTime)) -> Option<Python> {
    let probed = PROBED.lock().unwrap_or_else(PoisonError::into_inner);
    probed.get(key).cloned()
}

/// Python's own words about itself.
const WHO: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)";

/// Minor versions of Python 3 that are looked for, the lowest and the highest.
const MINORS: (u8, u8) = (6, 15);

/// Asking a Python takes longer than all else that a look-up does, so the
/// answers of this process's life are kept.
static PROBED: Mutex<BTreeMap<(PathBuf, SystemTime), Python>> = Mutex::new(BTreeMap::new());

/// Whether some version of a minor one can be within the bounds.
fn may_hold(bounds: &VersionSpecifiers, minor: &str) -> bool {
    (0..=30).any(|patch| {
        Version::from_str(&format!("{minor}.{patch}")).is_ok_and(|it| bounds.contains(&it))
    })
}

fn is_kept(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    KEPT.contains(&name.as_ref()) || KEPT_STARTS.iter().any(|start| name.starts_with(start))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// Where the host of an address ends, its user and password before it.
fn host_end(address: &str) -> usize {
    let end = address.find(['/', '?', '#']).unwrap_or(address.len());
    let port = address[..end].split_once(':').map_or("", |(_, port)| port);
    // `user:pass/word@host`: what looks like a port is half of a password.
    let is_cut =
        !address[..end].contains(['@', ']']) && port.contains(|c: char| !c.is_ascii_digit());
    match address.rfind('@') {
        Some(at) if is_cut && at > end => {
            let host = address[at..].find(['/', '?', '#']);
            host.map_or(address.len(), |length| at + length)
        }
        _ => end,
    }
}

/// The text without the user, password and query of the addresses in it.
pub(crate) fn redacted(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, address) = rest.split_at(start + 3);
        kept.push_str(before);
        let end = address
            .find(|c: char| c.is_whitespace() || "\"'`<>)".contains(c))
            .unwrap_or(address.len());
        let (address, after) = address.split_at(end);
        let (host, path) = address.split_at(host_end(address));
        match host.rsplit_once('@') {
            Some((_, host)) => kept.extend(["***@", host]),
            None => kept.push_str(host),
        }
        match path.split_once('?') {
            Some((path, _)) => kept.extend([path, "?***"]),
            None => kept.push_str(path),
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests;
